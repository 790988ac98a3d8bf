# What tools/demo, tools/test and tools/crashtest share.  To be sourced from
# the project's root, by sh.
# shellcheck shell=sh

PATH=$PATH:/usr/sbin:/sbin

# what the module needs, as Debian names it
# shellcheck disable=SC2034
build_packages="gcc libc6-dev make nginx nginx-dev libjansson-dev"


say() {
    printf '%s\n' "$*"
}


die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}


# can_apt: is this a Debian, and may we install here?
can_apt() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null
}


apt_install() {
    if [ "$(id -u)" = 0 ]; then
        set -- tools/install "$@"
    else
        set -- sudo tools/install "$@"
    fi

    "$@" </dev/null >>build/apt.log 2>&1 || {
        tail -n 15 build/apt.log >&2
        die "apt-get failed, all of its output is in build/apt.log"
    }
}


# installed <package>...: what is not goes into $missing
installed() {
    missing=
    for package in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" \
                     2>/dev/null) || status=
        [ "$status" = installed ] || missing="$missing $package"
    done
    [ -z "$missing" ]
}


# need <package>...: installs those that are missing; where there is no
# Debian, says what is needed and hopes for the best
need() {
    if ! command -v dpkg-query >/dev/null; then
        say "needed, as Debian names it: $*"
        return
    fi

    ! installed "$@" || return 0

    can_apt || die "neither root nor sudo; please install:$missing"

    say "installing$missing"
    # shellcheck disable=SC2086
    apt_install $missing
}


# fetch <deb|deb-src> <release> <apt-get's arguments>: into build/apt; "own" is
# the release of this machine.  With apt's own options, from the mirror that this
# machine uses, whose copy of unstable may be an old one: nothing changes in the
# machine's sources.
fetch() {
    type=$1
    release=$2
    shift 2

    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI) $(RELEASE)' \
                 "Created-By: Packages" "Origin: Debian" \
             | sed -n 's/^Debian //p' | head -n 1)
    [ -n "$mirror" ] || die "no mirror of Debian in apt's sources"

    [ "$release" != own ] || release=${mirror#* }

    rm -rf build/apt
    mkdir -p build/apt/lists/partial build/apt/cache/archives/partial
    say "$type" \
        "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "${mirror%% *} $release main" >build/apt/sources.list

    (cd build/apt && own_apt_get update && own_apt_get "$@") \
        >>build/apt.log 2>&1 || {
        tail -n 15 build/apt.log >&2
        die "not fetched from Debian: $*"
    }
}


own_apt_get() {
    apt-get -q -o Dir::Etc::sourcelist="$PWD/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Acquire::Check-Valid-Until=false \
        -o Acquire::Retries=3 "$@"
}


# plain_path: nginx's and Test::Nginx's scripts stop at blanks; where the
# project's path has such, goes on through a link without
plain_path() {
    case $PWD in
        *[!A-Za-z0-9/._-]*)
            link=$(mktemp -d)
            trap 'rm -rf "$link"' EXIT
            ln -s "$PWD" "$link/wafcert"
            cd "$link/wafcert"
            say "this runs as $PWD"
    esac
}


# free_port <first>: the first port from there on that nobody listens at
free_port() {
    perl -MIO::Socket::INET -e '
        for my $port ($ARGV[0] .. 65000) {
            IO::Socket::INET->new(LocalAddr => "0.0.0.0",
                                  LocalPort => $port, Listen => 1,
                                  ReuseAddr => 1)
                and print($port) and exit 0;
        }
        exit 1' "$1"
}


# example <file> <directory> <port>: a copy of an example that runs in a
# directory of its own, as nginx -p <directory>/ -c conf/nginx.conf
example() {
    mkdir -p "$2/conf" "$2/logs" "$2/modules" "$2/temp"

    # another user could not get at what is below /root
    user=
    [ "$(id -u)" != 0 ] || user='user root;'

    ln -sf "$PWD/build/ngx_http_wafcert_module.so" "$2/modules/"
    sed -e "s|127\.0\.0\.1:8080|127.0.0.1:$3|" \
        -e "s|/var/log/nginx/|logs/|" \
        -e "s|/var/lib/wafcert|state|" \
        -e "/^user /d" \
        -e "s|^events|$user\npid logs/nginx.pid;\n\n&|" \
        -e "s|^http {|&\n\
    client_body_temp_path temp/1;\n    proxy_temp_path temp/2;\n\
    fastcgi_temp_path temp/3;\n    uwsgi_temp_path temp/4;\n\
    scgi_temp_path temp/5;\n|" \
        "$1" >"$2/conf/nginx.conf"

    [ -e "$2/conf/wafcert.seal" ] || tools/seal-key "$2/conf/wafcert.seal"
}


# tokens <file> <token> <project>: a tokens file with one token that may write
tokens() {
    hash=$(printf %s "$2" | sha256sum)
    (umask 077; say "${hash%% *}  $3  write  demo" >"$1")
}
