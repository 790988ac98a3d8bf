#!/usr/bin/perl

# An edge that has the tokens judged by an IAM service before it reads an
# upload, in front of a real WAF.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Iam;
use Wafcert::Server;

my $iam = Wafcert::Iam->new;

my $server = Wafcert::Server->new(
    size => '4m', workers => 1, level => 'info',
    # what is freed is overwritten: nothing is to look at it any more
    env => { MALLOC_PERTURB_ => 165 },
    http => <<'END',
    wafcert_zone zone=edge:4m;
END
    server => <<"END",
        large_client_header_buffers 4 32k;

        location = /iam {
            internal;
            proxy_pass http://127.0.0.1:$iam->{port}/;
            proxy_buffer_size 32k;
            proxy_buffers 4 32k;
        }

        location = /iam-down {
            internal;
            proxy_pass http://127.0.0.1:1;
        }

        location /all/ {
            wafcert_validate zone=edge;
            wafcert_auth request=/iam all=on;
            wafcert_auth_roles write=te_admin read=te_admin;
            proxy_pass http://127.0.0.1:1;
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
END
);

# proxies to the server's own location of the API

$server->configure(server => $server->{server} . join '', map { <<"END" }
        location /$_->[0]/ {
            wafcert_validate zone=edge record=on;
            wafcert_auth request=$_->[1];
            wafcert_auth_cache $_->[2];
            wafcert_auth_roles write=te_admin;
            $_->[3]
            rewrite ^/[a-z]+/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
END
    [ edge => '/iam', '60s', '' ], [ uncached => '/iam', 0, '' ],
    [ down => '/iam-down', 0, '' ],
    [ after => '/iam', 0, 'post_action /empty;' ]);

ok($server->reload, 'the configuration is taken');
$server->settle;


sub token { return $iam->token('ok', roles => ['te_admin'], @_) }

sub path {
    my ($where, $rest) = @_;

    return "//$where/v1/p/waf/certificate" . ($rest // '');
}

sub call {
    my ($where, $token, $method, $rest, $body, @headers) = @_;

    return $server->request($method => path($where, $rest), $body,
                            defined $token ? "X-Auth-Token: $token" : (),
                            @headers);
}

sub names {
    my ($base) = @_;

    my $list = $server->request(GET => $base)->json;

    return join ' ', sort map { $_->{name} } @{$list->{items}};
}

sub waf { return names('//v1/p/waf/certificate') }

# what is recorded comes after the answer
sub knows {
    my ($expected, $what) = @_;

    my $names = '';

    for (1 .. 3000) {
        $names = names(path('known'));
        last if $names eq $expected;
        sleep 0.02;
    }

    is($names, $expected, $what);
}

sub asked { return scalar(my @asked = $iam->asked) }


# What is no route: a good token will do.

is($server->request(GET => '//all/x')->verdict, '401 token_missing',
   'all=on: a token is missing');
is($server->request(GET => '//all/x', undef, 'X-Auth-Token: unknown')->verdict,
   '401 token_invalid', 'or not known');
is($server->request(PUT => '//all/x', 'x', 'X-Auth-Token: '
                    . $iam->token('ok', project => 'other'))->{status}, 502,
   'one for whichever project, with no role, will do');
asked();


# Each call.

for my $where (qw(edge uncached)) {
    my $token = token();
    my $answer = call($where, $token, POST => '', upload('www'));

    is($answer->{status}, 200, "$where: a create");
    knows('www', 'is recorded');

    my $id = $answer->json->{id};

    is(call($where, $token, GET => '')->json->{total}, 1, 'a list');
    is(call($where, $token, GET => "/$id")->{status}, 200, 'a show');
    is(call($where, $token, PUT => "/$id", '{"name": "web"}')->{status}, 200,
       'a modify');
    knows('web', 'is recorded');
    is(call($where, $token, DELETE => "/$id")->{status}, 200, 'a delete');
    knows('', 'is recorded');

    is(asked(), $where eq 'edge' ? 1 : 5, 'the service has been asked');
    like($server->log, qr/wafcert modify: .* name "web", .* token "alice"/,
         'the log has the name of the user');
}


# Who may not, and what is wrong: the WAF sees nothing of it.

for ([ edge => undef, '401 token_missing' ],
     [ edge => $iam->token('status', status => 404), '401 token_invalid' ],
     [ edge => token(roles => ['reader']), '401 token_role' ],
     [ edge => token(project => 'q'), '401 token_project' ],
     [ down => token(), '500 iam_unavailable' ])
{
    my ($where, $token, $verdict) = @$_;

    is(call($where, $token, POST => '', upload('x'))->verdict, $verdict,
       $verdict);
    is(call($where, $token, POST => '', 'x')->verdict, $verdict,
       'before the upload is judged');
}

is(call('edge', token(), POST => '', 'x')->verdict, '400 json_syntax',
   'an upload that is not good');
is(waf(), '', 'the WAF has seen nothing of it');


# The body comes when it likes, and in whatever framing.

for my $delay (0, 0.3) {
    my $token = token(delay => $delay);
    my $body = upload("late-$delay");
    my $socket = $server->socket;
    my $wire = Wafcert::Server::wire(POST => path('edge'), $body,
                                     "X-Auth-Token: $token");
    my $head = substr $wire, 0, index($wire, "\r\n\r\n") + 4, '';

    Wafcert::Server::write_all($socket, $head);

    for my $part ($wire =~ /.{1,1000}/gs) {
        Wafcert::Server::write_all($socket, $part);
        sleep 0.05;
    }

    is(Wafcert::Server::read_answer($socket)->{status}, 200,
       "a body in pieces, the service answers after $delay s");

    my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                              upload("chunked-$delay") =~ /.{1,500}/gs;

    is(call('edge', token(delay => $delay), POST => '', "${chunks}0\r\n\r\n",
            'Transfer-Encoding: chunked', 'Expect: 100-continue')->{status},
       200, 'and one in chunks');
}

knows('chunked-0 chunked-0.3 late-0 late-0.3', 'all are recorded');


# Many at once with the same token, of which one asks.

{
    my $token = token(delay => 0.5);

    asked();

    my @answers = $server->at_once(map {
        [ POST => path('edge'), upload("m$_"), "X-Auth-Token: $token" ]
    } 1 .. 8);

    is(join(' ', map { $_->{status} } @answers), join(' ', (200) x 8),
       'eight at once');
    is(asked(), 1, 'the service has been asked once');
}


# Connections that have had an answer: nginx is told that they can be written to
# by the same event that brings the next request.  Nobody here has a token that
# is worth anything.

{
    my $bad = $iam->token('status', status => 401, delay => 0.3);
    my ($worker) = $server->workers;

    my $connect = sub {
        my $socket = $server->socket;
        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            GET => path('uncached'), undef, 'X-Auth-Token: nonsense'));
        Wafcert::Server::read_answer($socket);
        return $socket;
    };

    my $send = sub {
        my ($socket, @request) = @_;
        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            $request[0], path('uncached', $request[1]), @request[2 .. 3]));
        sleep 0.03;
    };

    my $answers = sub {
        return join ' ', map { $_ ? $_->verdict : 'none' }
                         map { Wafcert::Server::read_answer($_) } @_;
    };

    my @sockets = map { $connect->() } 1 .. 4;

    for my $call ([ GET => '', undef ], [ POST => '', upload('nobody') ],
                  [ POST => '?dry_run=true', upload('nobody') ],
                  [ DELETE => '/' . '0' x 32, undef ])
    {
        asked();
        $send->($_, @$call, "X-Auth-Token: $bad") for @sockets;

        # one that waits goes away
        splice @sockets, 1, 1, $connect->();

        is($answers->(@sockets[0, 2, 3]),
           join(' ', ('401 token_invalid') x 3), "$call->[0], over each");
        is(asked(), 2, 'one question, and one of the new connection');
    }

    is(($server->workers)[0], $worker, 'the worker lives');

    # and with a good one all get what they came for, once

    for my $rest ('', '?dry_run=true') {
        my $good = token(delay => 0.3);

        $send->($_, POST => $rest, upload('kept'), "X-Auth-Token: $good")
            for @sockets;
        is($answers->(@sockets), join(' ', ('200') x @sockets),
           "a good token, $rest");
    }
}


# Clients that go away while the service is asked.

{
    my $token = token(delay => 0.5);

    for my $i (1 .. 4) {
        my $socket = $server->socket;

        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            POST => path('edge'), upload("gone$i"), "X-Auth-Token: $token"));
        sleep 0.05;
        close $socket;
    }

    sleep 1;
    unlike(waf(), qr/gone/, 'what nobody waits for is not passed on');
    is(call('edge', $token, POST => '', upload('stays'))->{status}, 200,
       'and whoever comes next is');
}

# The same where nginx goes on with such a request elsewhere: others who wait for
# the answer have it, whoever asks for it in the end.

for my $gone ([ 0 ], [ 1 ], [ 2 ], [ 0, 1 ], [ 1, 2 ], [ 0, 1, 2 ]) {
    my $token = token(delay => 0.3);
    my @sockets = map { $server->send(POST => path('after'), upload("w$_"),
                                      "X-Auth-Token: $token") } 1 .. 4;
    sleep 0.1;
    close $sockets[$_] for @$gone;

    is(Wafcert::Server::read_answer($sockets[3])->{status}, 200,
       "@$gone of 4 go away, and there is a post_action");
}

$server->ends_well(qr/cannot be read|status 50[24]|connect\(\) failed/);

done_testing();
