# Sourced by the scripts of this directory.  Each line of $dir/results is a
# name and its figures, of one round.


# middle: the median of lines
middle() {
    sort -n | awk '
        { v[NR] = $1 }
        END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}


# median <what> <column>
median() {
    awk -v what="$1" -v c=$(($2 + 1)) '$1 == what { print $c }' \
        "$dir/results" | middle
}


# ratio <one> <other> <column> [<factor>]: the median of the rounds' ratios
ratio() {
    awk -v one="$1" -v other="$2" -v c=$(($3 + 1)) -v factor="${4:-1}" '
        $1 == one { v[++n] = $c }
        $1 == other { w[++m] = $c }
        END { for (i = 1; i <= n; i++) { print factor * v[i] / w[i] } }' \
        "$dir/results" | middle
}
