#!/usr/bin/perl

# What workers keep of handshakes: nothing of names that nobody has, no more of
# the others than they may, and no key that the zone has no more.

use strict;
use warnings;
no warnings qw(portable);

use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Fixtures;
use Wafcert::Server;
use Wafcert::TLS;

my ($port, $reject, $strict) = ports(3);
my $own = certificate(hosts => [ 'own.test' ]);
my $server = Wafcert::Server->new(workers => 1, size => '16m');
my $ssl = install('own', $own);

$server->configure(http => <<"END");
    wafcert_serve_cache 50 1m;
    wafcert_serve zone=certs;

    server {
        listen 127.0.0.1:$port ssl;
        keepalive_timeout 0;
        $ssl
    }

    server {
        listen 127.0.0.1:$reject ssl;
        ssl_reject_handshake on;
        keepalive_timeout 0;
    }

    server {
        listen 127.0.0.1:$strict ssl;
        server_name *.served.test;
        ssl_reject_handshake on;
        keepalive_timeout 0;
    }
END

ok($server->reload, 'the configuration is taken');
$server->settle;

my ($worker) = $server->workers;


# The growth of the worker, in kB, over what is done once more.
sub growth {
    my ($do) = @_;

    $do->();

    my $before = $server->memory($worker);

    $do->();

    return $server->memory($worker) - $before;
}


sub grows_by_less {
    my ($max, $what, $do) = @_;

    my $growth = growth($do);

    # what is freed is kept
    under_valgrind() || under_asan()
        ? pass($what)
        : cmp_ok($growth, '<', $max, "$what: $growth kB");
}


# Strangers, who ask for whatever they like.

{
    my $names = 0;
    my $times = under_valgrind() ? 20 : 600;
    my $long = join '.', ('x' x 60) x 3;

    for my $to ([ $reject, 'rejected' ], [ $strict, 'by a name' ],
                [ $port, 'the server\'s own' ])
    {
        my ($at, $what) = @$to;

        grows_by_less(200, $what, sub {
            for (1 .. $times) {
                $names++;
                handshake($at, $_) for "n$names.$long.served.test";
            }
        });

        grows_by_less(200, "$what, all sorts", sub {
            for my $host (undef, '*', '*.served.test', 'x*.served.test',
                          '127.0.0.1', '::1', 'served.test.', '..', '.',
                          'SERVED.test', 'Served.Test', ('a' x 250) . '.test',
                          map { ucfirst substr('served.test', 0, $_)
                           . uc substr 'served.test', $_ } 1 .. 11)
            {
                handshake($at, $host);
            }
        });
    }
}


# Certificates with many names, of which the cache has room for a few.

{
    my $pair = certificate(hosts => [ 'big.test',
                                      map { "n$_.big.test" } 1 .. 900 ]);
    my $n = 0;
    my @ids;

    my $round = sub {
        for (1 .. (under_valgrind() ? 2 : 8)) {
            my $id = create($server, 'project', 'big' . ++$n, $pair)
                     ->json->{id};
            push @ids, $id;
            $server->wait_for('it is served', sub {
                handshake($port, 'big.test')->{leaf} eq $pair->{leaf};
            });
        }
    };

    grows_by_less(250, 'no more than there is room for', $round);

    $server->request(DELETE => "/$_") for @ids;
    @ids = ();
    is(handshake($port, 'big.test')->{leaf}, $own->{leaf}, 'all are gone');
}


# The bytes of a private key, as numbers in memory are, and as in a file.
sub secrets {
    my ($pair) = @_;

    Wafcert::TLS::write_file('secret.key', $pair->{key});
    my $text = Wafcert::TLS::text_of('secret.key');

    my @secrets = map { s/[\s:]//gr =~ s/^00//r }
                      $text =~ /^(?:priv|prime1|prime2|privateExponent):\n
                                ((?:\ +[\da-f:]+\n)+)/xmg;

    return map { my $bytes = pack 'H*', $_;
                 (substr($bytes, 0, 24), scalar reverse(substr $bytes, 0, 24)) }
               @secrets;
}


# How often one of them is in the worker's own memory.
sub found {
    my (@secrets) = @_;

    my $found = 0;

    open my $maps, '<', "/proc/$worker/maps" or die "maps: $!\n";
    open my $mem, '<:raw', "/proc/$worker/mem" or die "mem: $!\n";

    while (my $map = <$maps>) {
        my ($from, $to) = map { hex } $map =~ /^([\da-f]+)-([\da-f]+) rw.p /
            or next;

        # ASan's own, of which next to nothing is there
        next if $to - $from > 1 << 30;

        sysseek $mem, $from, 0;
        sysread $mem, my $bytes, $to - $from or next;

        for my $secret (@secrets) {
            my $at = -1;
            $found++ while ($at = index $bytes, $secret, $at + 1) >= 0;
        }
    }

    return $found;
}


# A key leaves with its certificate, though nobody shakes hands.  valgrind has
# copies of its own.

for my $type (under_valgrind() ? () : qw(rsa2048 p256 p384 ed)) {
    my $pair = certificate(hosts => [ 'gone.test' ], type => $type);
    my @secrets = secrets($pair);

    for my $how (qw(deleted replaced)) {
        my $id = create($server, 'project', "gone-$type", $pair)->json->{id};

        is(handshake($port, 'gone.test')->{leaf}, $pair->{leaf},
           "$type: it is served");
        cmp_ok(found(@secrets), '>', 0, 'from the worker\'s memory');

        my $answer = $how eq 'deleted' ? $server->request(DELETE => "/$id")
                                       : modify($server, 'project', $id, $own);
        is($answer->{status}, 200, "and $how");

        my $left = 1;

        for (1 .. 60) {
            last unless $left = found(@secrets);
            sleep 0.1;
        }

        is($left, 0, 'its key is gone');
        $server->request(DELETE => "/$id") if $how eq 'replaced';
    }
}

$server->ends_well;
done_testing;
