#!/usr/bin/perl

# A certificate is modified a thousand times, the second half of them with a
# state directory, while clients shake hands with all workers.  Each of them
# gets a chain with its own key, and, once a modify has been answered, nothing
# older.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my $modifies = $ENV{WAFCERT_MODIFIES} // (under_valgrind() ? 50 : 1000);
my $clients = 3;
my ($port) = ports(1);

my $own = certificate(hosts => [ 'own.test' ]);

# one after the other, another type of key or another chain
my @pairs = map {
    certificate(hosts => [ 'r.test', "$_.r.test" ],
                type => (qw(ec rsa ed))[$_ % 3], chain => $_ % 2)
} 0 .. 11;
my %known = map { $_->{sent} => 1 } @pairs;

my $server = Wafcert::Server->new(workers => 4, size => '1m');
my $ssl = install('own', $own);

$server->configure(http => <<"END");
    server {
        listen 127.0.0.1:$port ssl reuseport;
        wafcert_serve zone=certs;
        $ssl
        location / { return 200 "\$pid \$wafcert_served_fingerprint"; }
    }
END

ok($server->reload, 'the configuration is taken');
$server->settle;

my $id = create($server, 'project', 'r', $pairs[0])->json->{id};


sub now {
    return clock_gettime(CLOCK_MONOTONIC);
}


# Shakes hands until it is told to stop; a line for each: start, end, result.
sub child {
    my ($file) = @_;

    my $client = Wafcert::TLS::client();
    open my $log, '>', $file or die "$file: $!\n";
    my $stop;
    local $SIG{USR1} = sub { $stop = 1 };

    until ($stop) {
        my $start = now();
        print {$client->{in}} "127.0.0.1 $port r.test\n";
        $client->{in}->flush;
        my $line = readline $client->{out};
        print $log join ' ', $start, now(), $line;
    }

    close $log;
    close $client->{in};
    waitpid $client->{pid}, 0;
    POSIX::_exit(0);
}

handshake($port, 'r.test');

my @children = map {
    my $pid = fork // die "fork: $!\n";
    child("$server->{prefix}/client$_") unless $pid;
    $pid;
} 1 .. $clients;

# what was sent, when it was sent and when it was answered
my @changes = ([ $pairs[0]{sent}, 0, 0 ]);
my $bad = 0;

for my $n (1 .. $modifies) {

    if ($n == int($modifies / 2)) {
        $server->configure(state => 'state');
        ok($server->reload, 'a state directory is taken');
        $server->settle;
    }

    my $pair = $pairs[$n % @pairs];
    my $start = now();

    $bad++ if modify($server, 'project', $id, $pair)->{status} != 200;
    push @changes, [ $pair->{sent}, $start, now() ];
}

kill USR1 => @children;
waitpid $_, 0 for @children;

is($bad, 0, "$modifies modifies");

my ($handshakes, $failed, $unknown, $old, %worker) = (0, 0, 0, 0);

for my $n (1 .. $clients) {
    my $at = 0;
    open my $in, '<', "$server->{prefix}/client$n" or die "client$n: $!\n";

    while (my $line = <$in>) {
        my ($start, $end, $rest) = $line =~ /^(\S+) (\S+) (.*)/;
        my $got = Wafcert::TLS::result($rest);

        $handshakes++;

        if ($got->{failed}) {
            diag($got->{failed}) unless $failed++;
            next;
        }

        my ($pid, $fingerprint) = split ' ', $got->{body};
        $worker{$pid}++;
        $unknown++ unless $known{$got->{sent}}
                          && $fingerprint eq $got->{leaf};

        # the last one that was answered before, or one that was sent since
        $at++ while $at < $#changes && $changes[$at + 1][2] < $start;

        my $good = 0;

        for (my $i = $at; $i <= $#changes && $changes[$i][1] < $end; $i++) {
            $good = 1 if $changes[$i][0] eq $got->{sent};
        }

        $old++ unless $good;
    }
}

diag("$handshakes handshakes, by worker: @{[ values %worker ]}");
cmp_ok($handshakes, '>', $modifies / 10, 'handshakes');
is($failed, 0, 'none of them failed');
is($unknown, 0, 'each had a whole chain');
is($old, 0, 'nothing old, nothing of the server\'s own');
is(scalar(keys %worker), 8, 'all workers took part, before and after')
    unless under_valgrind();

$server->ends_well;
done_testing;
