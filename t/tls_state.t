#!/usr/bin/perl

# What is served stays the same, and every host its project's, across whatever
# happens to nginx: with a state directory, and with the zone alone.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port) = ports(1);

my $own = certificate(hosts => [ 'own.test' ]);
my $server = Wafcert::Server->new(workers => 2, size => '2m',
                                  daemon => !under_valgrind());
my $ssl = install('own', $own);

$server->configure(state => '', http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve zone=certs;
        $ssl
        location / { return 200 "\$pid \$wafcert_served_fingerprint"; }
    }
END

ok($server->reload, 'the configuration is taken');
$server->settle;

my %pair = (
    first => certificate(hosts => [ 'p.test' ], from => -3000),
    second => certificate(hosts => [ 'p.test', 'q.test' ], from => -2000),
    before => certificate(hosts => [ 's.test', '*.w.test' ], from => -900),
    other => certificate(hosts => [ 's.test', 'x.w.test' ], from => -800),

    # which begin after another project has the hosts, too
    renewed => certificate(hosts => [ 'p.test', 'q.test' ], from => -1),
    after => certificate(hosts => [ 's.test', '*.w.test' ], from => -1)
);
my %id;

sub put {
    my ($project, $name) = @_;

    my $answer = create($server, $project, $name, $pair{$name});
    die "$name: " . $answer->verdict . "\n" if $answer->{status} != 200;

    $id{$name} = $answer->json->{id};
    return join ' ', map { $_->{message} =~ /: (\S+)$/ }
                     @{$answer->json->{warnings} // []};
}

is(put(one => 'first'), '', 'the first of a host');
is(put(two => 'second'), 'p.test', 'the second, which has another one, too');
is(put(one => 'before'), '', 'the first of others');
sleep 0.01;
is(put(two => 'other'), 's.test', 'the second');
sleep 0.01;
is(modify($server, 'one', $id{first}, $pair{renewed})->verdict, 200,
   'renewed in place, with the other\'s host');
is(put(one => 'after'), '', 'renewed by another one');
is($server->request(DELETE => Wafcert::TLS::path('one') . "/$id{before}")
   ->verdict, 200, 'which takes its place');

my %served = ('p.test' => 'renewed', 'q.test' => 'second', 's.test' => 'after',
              'x.w.test' => 'after', 'y.w.test' => 'after');

sub serves_all {
    my ($what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %name = map { $pair{$_}{sent} => $_ } keys %pair;
    my %got = map {
        my $got = handshake($port, $_);
        $_ => $name{$got->{sent}} // "$got->{sent}$got->{failed}";
    } keys %served;

    is_deeply(\%got, \%served, $what);
}

serves_all('each has what is its own');


# reloads, with and without a state directory

ok($server->reload, 'reload');
$server->settle;
serves_all('a reload');

$server->configure(size => '3m');
ok($server->reload, 'reload');
$server->settle;
serves_all('a reload with another size');

$server->configure(state => 'state');
ok($server->reload, 'reload');
$server->settle;
serves_all('a reload with a state directory');


# ends and starts

ok($server->stop, 'stop');
$server->start;
serves_all('a start');

is(modify($server, 'two', $id{second}, $pair{second})->verdict, 200,
   'nothing changes');
$pair{newest} = certificate(hosts => [ 'p.test', 'q.test' ], from => -1);
is(modify($server, 'two', $id{second}, $pair{newest})->verdict, 200,
   'the other one renews, too');
$served{'q.test'} = 'newest';
serves_all('and has what it had');

$server->kill_all;
$server->start;
serves_all('a start after SIGKILL');


# a worker is killed; another one takes its place

for my $pid ($server->workers) {
    kill KILL => $pid;
    serves_all('a worker is killed');
}

$server->wait_for('new workers', sub { $server->workers == 2 });
serves_all('both of them were');


# two nginx, of which each has to know what the other one has answered

SKIP: {
    skip 'no binary upgrade under valgrind', 1 if under_valgrind();

    my $old = $server->upgrade;
    my %workers = (old => [ $server->workers($old) ],
                   new => [ $server->workers ]);

    my $alone = sub {
        my ($one, $other) = @_;
        kill STOP => @{$workers{$other}};

        # one that is not stopped yet may take a connection
        for my $pid (@{$workers{$other}}) {
            $server->wait_for('a worker stops', sub {
                Wafcert::Fixtures::read_file("/proc/$pid/stat") =~ /\) T/
            });
        }

        kill CONT => @{$workers{$one}};
    };

    for my $turn ([ qw(new old) ], [ qw(old new) ], [ qw(new old) ]) {
        my ($one, $other) = @$turn;

        $pair{newest} = certificate(hosts => [ 'p.test', 'q.test' ],
                                    from => -1);
        $alone->($one, $other);
        is(modify($server, 'two', $id{second}, $pair{newest})->verdict, 200,
           "the $one nginx changes one");
        serves_all('and serves it');

        $alone->($other, $one);
        my ($pid) = split ' ', handshake($port, 'q.test')->{body};
        ok((grep { $_ == $pid } @{$workers{$other}}), "the $other one");
        serves_all('serves it, too');
    }

    kill CONT => @{$workers{$_}} for keys %workers;
    kill QUIT => $old;
    $server->wait_for('the old nginx ends', sub { !kill 0 => $old });
    serves_all('the new one alone');

    $server->kill_all;
    $server->start;
    serves_all('and after SIGKILL and a start');
}

$server->ends_well(qr/exited on signal 9|was locked by/);
done_testing;
