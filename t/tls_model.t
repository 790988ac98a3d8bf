#!/usr/bin/perl

# Whose a host is, and which certificate is sent for it, beside a model that
# looks at everything each time: random creates, modifies and deletes of names
# that overlap, by several projects, with a clock that is put on and back.

use strict;
use warnings;

use List::Util qw(max min);
use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

# how far the clock may drift while the test runs, in seconds
use constant DRIFT => under_valgrind() ? 1800 : 300;
use constant UNIT  => 100 * DRIFT;

my $steps = $ENV{WAFCERT_STEPS} // (under_valgrind() ? 40 : 300);
my ($port) = ports(1);

seeded();

my $own = certificate(hosts => [ 'own.test' ]);
my $ssl = install('own', $own);

my $server = Wafcert::Server->new(workers => 1, size => '8m',
                                  start => 0);
my $clock = "$server->{prefix}/clock";

system('cc', '-O', '-Wall', '-shared', '-fPIC', '-o', "$clock.so",
       't/lib/clock.c') == 0
    or die "t/lib/clock.c was not compiled\n";

$server->write_file('clock', pack 'q', 0);
$server->configure(env => { LD_PRELOAD => "$clock.so",
                            WAFCERT_CLOCK => $clock }, http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        $ssl
        wafcert_serve zone=certs;
        location / { return 200 "\$wafcert_served_id"; }
    }
END
$server->start;

sub any {
    return $_[rand @_];
}

my @names = qw(a.test b.test www.a.test x.a.test *.a.test x.b.test *.b.test);
my @hosts = (qw(a.test www.a.test x.a.test z.a.test x.b.test y.b.test));
my @projects = qw(one two three);

# times are in units of the clock, from the start; no clock stops where a
# certificate starts or ends, and no two start at one time but the same
my @spans = map { my $from = int rand 30;
                  [ $from - 8 + $_ / 1000, $from + any(0 .. 12) ] } 1 .. 25;

sub pair {
    my ($names, $span) = @_;

    return unsigned($names, from => int(($span->[0] - 0.5) * UNIT),
                    to => int(($span->[1] + 0.5) * UNIT));
}


# the model: a record has project, names, span, sequence, and since of each name

my (%records, %past, $now, $sequence);

sub wildcard {
    my ($name) = @_;

    return $name =~ /^[^*.]+(\..+\..+|\.[a-z]+)$/ ? "*$1" : '';
}

# of a project, or of any
sub having {
    my ($name, $project) = @_;

    return grep { exists $_->{since}{$name}
                  && (!defined $project || $_->{project} eq $project) }
                values %records;
}

sub valid {
    my ($record, $when) = @_;

    return $record->{span}[0] - 0.5 <= $when
           && $when <= $record->{span}[1] + 0.5;
}

sub dated {
    my ($new, $old) = @_;

    for my $name (@{$new->{names}}) {
        my $start = max($now, $new->{span}[0] - 0.5);
        my @before;
        my $since = $start;

        if ($start <= $new->{span}[1] + 0.5) {
            for my $of ($name, wildcard($name)) {
                for my $other (having($of)) {
                    my $others = $other->{since}{$of};

                    # what another project has was uploaded before
                    if ($other->{project} ne $new->{project}) {
                        $since = max($since, $others)
                            if $others > $other->{span}[0] - 0.5;
                        next;
                    }

                    next if !valid($other, $start)
                            || ($old && $other == $old && $start > $now);
                    push @before, $others;
                }
            }
        }

        $new->{since}{$name} = min($since, @before);
    }
}

sub published {
    my ($new) = @_;

    for my $name (@{$new->{names}}) {
        my $since = $new->{since}{$name};

        next if $since > $new->{span}[1] + 0.5;

        for (having($name, $new->{project})) {
            $_->{since}{$name} = $since
                if $_->{since}{$name} > $since
                   && $_->{since}{$name} <= $new->{span}[1] + 0.5;
        }
    }

    $records{$new->{id}} = $new;
}

# the id of what is sent, and whose the host is
sub chosen {
    my ($host) = @_;

    my @all = map { my $of = $_; map { [ $_, $of ] } having($of) }
                  grep { $_ } $host, wildcard($host);

    my ($owner) = sort { $a->[0]{since}{$a->[1]} <=> $b->[0]{since}{$b->[1]}
                         || $a->[0]{sequence} <=> $b->[0]{sequence} }
                       grep { valid($_->[0], $now) } @all;

    my $project = $owner && $owner->[0]{project};

    my ($best) = map { $_->[0] }
                 sort { valid($b->[0], $now) <=> valid($a->[0], $now)
                        || ($b->[1] eq $host) <=> ($a->[1] eq $host)
                        || $b->[0]{span}[0] <=> $a->[0]{span}[0]
                        || $b->[0]{sequence} <=> $a->[0]{sequence} }
                 grep { $_->[0]{span}[0] - 0.5 <= $now
                        && (!$project || $_->[0]{project} eq $project) } @all;

    return ($best ? $best->{id} : '', $project // '');
}


# no two changes are at one time, whatever the clock does

sub tick {
    my $to = $now // 0;

    do {
        $to = rand() < 0.8 ? ($now // 0) + rand 0.6 : rand 30;
    } while (abs($to - int($to) - 0.5) < 0.05
             || $past{int $to * UNIT / DRIFT}
             || $past{int($to * UNIT / DRIFT) - 1}
             || $past{int($to * UNIT / DRIFT) + 1});

    $past{int $to * UNIT / DRIFT} = 1;
    $now = $to;

    open my $out, '+<', $clock or die "$clock: $!\n";
    syswrite $out, pack 'q', $now * UNIT;
    close $out;

    # nginx has the time of its last event
    $server->request(GET => '') for 1, 2;
}

sub change {
    my @ids = sort keys %records;
    my $old = @ids ? $records{any(@ids)} : undef;
    my $what = !$old || (@ids < 30 && rand() < 0.5) ? 'create'
               : rand() < 0.6 ? 'modify' : 'delete';

    if ($what eq 'delete') {
        delete $records{$old->{id}};
        return ($what, $server->request(DELETE =>
                       Wafcert::TLS::path($old->{project}) . "/$old->{id}"));
    }

    my %seen;
    my $new = { names => [ grep { !$seen{$_}++ }
                           map { any(@names) } 1 .. 1 + rand 4 ],
                span => any(@spans) };
    my $pair = pair($new->{names}, $new->{span});

    $new->{leaf} = $pair->{leaf};

    if ($what eq 'create') {
        $new->{project} = any(@projects);
        $new->{sequence} = ++$sequence;
        dated($new);

        my $answer = create($server, $new->{project}, "n$sequence", $pair);

        $new->{id} = $answer->json->{id};
        published($new);
        return ($what, $answer);
    }

    # what changes nothing is no change

    my $answer = modify($server, $old->{project}, $old->{id}, $pair);

    return ($what, $answer) if $old->{leaf} eq $pair->{leaf};

    $new->{$_} = $old->{$_} for qw(project sequence id);
    dated($new, $old);
    delete $records{$old->{id}};
    published($new);

    return ($what, $answer);
}

my $wrong = 0;

for my $step (1 .. $steps) {
    tick();

    my ($what, $answer) = change();
    my @differ;

    push @differ, $answer->verdict if $answer->{status} != 200;

    for my $host (@hosts) {
        my ($id, $project) = chosen($host);
        my $got = handshake($port, $host);

        push @differ, "$host: " . ($got->{body} || $got->{failed} || 'none')
                      . ", not $id"
            if ($got->{body} // '') ne $id;
    }

    my $host = any(@hosts);
    my (undef, $owner) = chosen($host);

    for my $project (@projects) {
        my @taken = grep { $_->{reason} eq 'host_taken' }
                         serves($server, $project, $host);

        push @differ, "$host: taken from $project, of $owner"
            if @taken && (!$owner || $owner eq $project);
        push @differ, "$host: not taken from $project, of $owner"
            if !@taken && $owner && $owner ne $project
               && grep { $_->{span}[0] - 0.5 <= $now }
                       map { $_ ? having($_, $project) : () }
                           $host, wildcard($host);
    }

    if (@differ) {
        fail("step $step, $what");
        diag($_) for @differ;
        last if ++$wrong == 3;
    }
}

is($wrong, 0, "$steps changes");


# more names and certificates than one look takes: what follows takes the names
# over all the same

sub at {
    $now = $_[0];

    open my $out, '+<', $clock or die "$clock: $!\n";
    syswrite $out, pack 'q', $now * UNIT;
    close $out;

    $server->request(GET => '') for 1, 2;
}

my @many = map { "m$_.test" } 1 .. 999;
my @next = map { pair([ @many, "f$_.test" ], [ 45, 50 ]) } 1 .. 4;
my $first = pair(\@many, [ 35, 46 ]);

at(40);
is(create($server, 'one', "next$_", $next[$_])->verdict, '200', 'what follows')
    for 0 .. 3;
is(create($server, 'one', 'first', $first)->verdict, '200', 'the first');
at(41);
is(create($server, 'two', 'late', pair(\@many, [ 35, 60 ]))->verdict, '200',
   'another project');

for my $host ('m1.test', 'm500.test', 'm999.test') {
    at(41);
    is(handshake($port, $host)->{leaf}, $first->{leaf}, "$host: the first");
    at(48);
    is(handshake($port, $host)->{leaf}, $next[3]{leaf}, "$host: what follows");
}

$server->ends_well;
done_testing;
