#!/usr/bin/perl

# What a worker keeps in its cache.  A handshake with what it has takes no lock:
# it goes on while another worker is stopped with the zone's lock in its hands,
# and after uploads for other hosts.

use strict;
use warnings;

use IO::Select ();
use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::Step;
use Wafcert::TLS;

my ($port, $restored, $waf) = ports(3);
my $own = certificate(hosts => [ 'own.test' ]);
my $another = certificate(hosts => [ 'another.test' ]);
my $pair = certificate(hosts => [ '*.cached.test', 'cached.test' ]);

my $server = Wafcert::Server->new(workers => 2);
my $ssl = install('own', $own);

$server->configure(http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve zone=certs;
        $ssl
        location / { return 200 "\$pid \$wafcert_served_id"; }
    }

    # an edge, and a WAF that has whatever id it is asked for

    wafcert_zone zone=edge:1m;

    server {
        listen 127.0.0.1:$restored ssl;
        wafcert_serve zone=edge;
        $ssl
    }

    server {
        listen 127.0.0.1:$waf;

        location ~ "/([0-9a-f]{32})\$" {
            if (\$request_method = DELETE) {
                return 204;
            }

            return 200 '{"id": "\$1"}';
        }
    }
END

$server->configure(server => <<"END");
    location /waf/ {
        wafcert_validate zone=edge record=on;
        proxy_pass http://127.0.0.1:$waf;
    }
END

ok($server->reload, 'the configuration is taken');
$server->settle;

my ($holder, $worker) = $server->workers;
my $refused = Wafcert::Step::refused($worker);

my %expected;

sub shakes_hands {
    my ($when) = @_;

    for my $host (sort keys %expected) {
        my ($body, $leaf) = @{$expected{$host}};
        my $got = handshake($port, $host);

        is($got->{failed}, '', "$host, $when");
        is($got->{body}, $body, "$host, $when: worker and id");
        is($got->{leaf}, $leaf, "$host, $when: certificate");
    }
}


SKIP: {
    skip $refused, 1 if $refused;

    my $id = create($server, 'project', 'cached', $pair)->json->{id};

    %expected = ('cached.test' => [ "$worker $id", $pair->{leaf} ],
                 'www.cached.test' => [ "$worker $id", $pair->{leaf} ],
                 'own.test' => [ $worker, $own->{leaf} ]);

    freeze($server, $holder);
    shakes_hands('the first time');
    kill CONT => $holder;

    # only the other one can take the upload
    freeze($server, $worker);
    create($server, 'project', 'another', $another);
    my $stop = stop_at($holder, 'store_publish', 100);
    my $upload = $server->send(POST => '', upload('other'));
    is(stopped_after($stop), 100, 'a worker is stopped in the lock');
    kill CONT => $worker;

    shakes_hands("beside it, time $_") for 1 .. 3;

    my $show = $server->send(GET => "//v1/project/waf/certificate/$id");
    ok(!IO::Select->new($show)->can_read(1), 'a show waits for the lock');

    release($stop, 'go');

    is(Wafcert::Server::read_answer($_)->{status}, 200, 'both are answered')
        for $upload, $show;

    freeze($server, $holder);
    shakes_hands('afterwards');
    kill CONT => $holder;
}


# An id that was dropped and is recorded anew starts with revision 1 again.

{
    my $path = '//waf/v1/project/waf/certificate/' . 'a1' x 16;

    for (1 .. 2) {
        for my $type (qw(rsa ec)) {
            my $new = certificate(hosts => [ 'again.test' ], type => $type);

            is($server->request(PUT => $path, qq({"name": "again",
                                                  $new->{body}}))->{status},
               200, "$type, recorded anew");

            # at once, for workers look through their caches four times a second
            $server->wait_for('the record', sub {
                handshake($restored, 'again.test')->{leaf} eq $new->{leaf}
            });

            my %served = map { handshake($restored, 'again.test')->{leaf} => 1 }
                             1 .. 16;
            is_deeply([ keys %served ], [ $new->{leaf} ],
                      'and served by all workers');

            is($server->request(DELETE => $path)->{status}, 204, 'dropped');
        }
    }
}

$server->ends_well;
done_testing;
