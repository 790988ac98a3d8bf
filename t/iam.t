#!/usr/bin/perl

# Tokens that an IAM service judges; and what it, its network and its clients
# do that they should not.  What Keystone itself does is in t/keystone.t.

use strict;
use warnings;

use File::Temp ();
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Iam;
use Wafcert::Server;

use constant SLOW    => under_valgrind() ? 4 : 1;
use constant SERVICE => 'token-of-the-service-account-0123456789';

my $iam = Wafcert::Iam->new;

my $upstream = <<"END";
    internal;
    proxy_pass http://127.0.0.1:$iam->{port}/v3/auth/tokens?nocatalog;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    proxy_connect_timeout 1s;
    proxy_read_timeout ${\(2 * SLOW)}s;
END

# where a worker may read whoever it is
my $public = File::Temp::tempdir(CLEANUP => 1);
chmod 0755, $public;
my $service_file = "$public/service";

sub service {
    my ($text) = @_;

    open my $out, '>', "$service_file.new" or die "$service_file: $!\n";
    print $out $text;
    close $out;
    rename "$service_file.new", $service_file or die "$service_file: $!\n";
}

service(SERVICE . "\n");

my $server = Wafcert::Server->new(
    size => '1m', workers => 1, level => 'debug',
    api => 'wafcert_auth request=/iam;',
    server => <<"END"
large_client_header_buffers 4 32k;

location = /iam { $upstream }

location = /iam-1.1 {
    $upstream
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}

location = /iam-unbuffered { $upstream proxy_buffering off; }

location = /iam-intercepts {
    $upstream
    proxy_intercept_errors on;
    error_page 401 403 404 500 502 504 =200 /page;
}

location = /page { return 200 "a page"; }

location = /iam-401 { return 401; }
location = /iam-nowhere { return 404; }

location = /iam-down {
    internal;
    proxy_pass http://127.0.0.1:1;
}

location = /iam-recursive {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-recursive;
}

location /1.1/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-1.1;
}

location /unbuffered/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-unbuffered;
}

location /intercepts/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-intercepts;
}

location /down/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-down;
}

location /wrong/v1/ {
    error_log logs/error.log notice;
    wafcert_api zone=certs;
    wafcert_auth request=/iam-401;
}

location /nowhere/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-nowhere;
}

location /recursive/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-recursive;
}

location /uncached/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_cache 0;
}

location /short/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_cache 1s;
}

location /roles/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_roles "write=te_admin,WAF Administrator" read=reader;
    wafcert_denied_status 403;

    location /roles/v1/write/ {
        wafcert_api zone=certs;
        wafcert_auth_roles write=te_admin;
    }
}

location /service/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_service token_file=$service_file;
    wafcert_auth_cache 0;
}
END
);

my @tokens;

sub token {
    push @tokens, $iam->token(@_);
    return $tokens[-1];
}

sub get {
    my ($token, %arg) = @_;

    my $prefix = $arg{at} ? "//$arg{at}" : '/';

    return $server->request(GET => "$prefix/v1/" . ($arg{project} // 'p')
                                   . '/waf/certificate', undef,
                            defined $token ? "X-Auth-Token: $token" : (),
                            @{$arg{headers} // []});
}

# as wire() has it: "//" is the root
sub url {
    my ($at, $project) = @_;

    return '/' . ($at ? "/$at" : '') . "/v1/" . ($project // 'p')
           . '/waf/certificate';
}

sub call {
    my ($method, $token, %arg) = @_;

    return $server->request($method => url($arg{at}, $arg{project})
                                       . ($arg{id} ? "/$arg{id}" : ''),
                            $arg{body},
                            defined $token ? "X-Auth-Token: $token" : ());
}

sub verdict {
    my (@request) = @_;

    return call(@request)->verdict;
}

open my $log, '<', "$server->{prefix}/logs/error.log" or die "error.log: $!\n";

# the lines since the last time, that match
sub log_has {
    my ($pattern) = @_;

    seek $log, 0, 1;
    return grep { /$pattern/ } <$log>;
}

sub asked { return scalar(my @asked = $iam->asked) }


# What the service is told, and what it is not.

{
    my $token = token('ok');

    my $answer = $server->request(
        POST => url(), upload('first'), "X-Auth-Token: $token",
        'X-Subject-Token: another', 'Cookie: a=b', 'Authorization: Basic x',
        'Accept-Encoding: gzip', 'Content-Type: application/json',
        'Range: bytes=0-1', 'If-None-Match: "1"', 'User-Agent: client',
        'X-Forwarded-For: 192.0.2.1');

    is($answer->verdict, '200', 'a token that the service knows');

    my ($asked) = $iam->asked;
    like(delete $asked->{':line'},
         qr{^GET /v3/auth/tokens\?nocatalog HTTP/1\.[01]$}, 'it is asked');
    # nginx's own, of either version
    delete @$asked{qw(host connection)};
    is_deeply($asked, { accept => 'application/json', 'x-auth-token' => $token,
                        'x-subject-token' => $token },
              'with the token and nothing else');

    is(scalar log_has(qr/wafcert create: project "p", .*token "alice"/), 1,
       'the log has the name of the user');
}


# What other modules do to that header is done to a list like any other.

SKIP: {
    my $module = '/usr/lib/nginx/modules/'
                 . 'ngx_http_headers_more_filter_module.so';
    skip 'there is no headers-more', 5 unless -e $module;

    my $more = Wafcert::Server->new(
        name => 'iam-more', workers => 1, main => "load_module $module;",
        api => 'wafcert_auth request=/iam; wafcert_auth_cache 0;',
        server => <<"END");
location = /iam {
    $upstream
    more_set_input_headers "X-1: one" "X-2: two" "X-3: three" "X-4: four";
    more_set_input_headers "Accept: text/plain";
    more_clear_input_headers X-2;
}
END

    is($more->request(GET => url(), undef, 'X-Auth-Token: ' . token('ok'))
       ->verdict, '200', 'headers are added') for 1, 2;

    my ($asked) = $iam->asked;
    is(join(' ', map { $asked->{$_} // '-' } qw(x-1 x-2 x-3 x-4 accept)),
       'one - three four text/plain', 'and are asked with');
    $more->ends_well;
}


# The framing of an answer, and its size.

for my $at ('', '1.1', 'unbuffered') {
    for my $kind (qw(ok chunked closed dribble)) {
        for my $size (0, $kind eq 'dribble' ? 5000 : 200_000) {
            is(verdict(GET => token($kind, catalog => $size), at => $at),
               '200', "$kind, $size bytes, $at");
        }
    }
}

is(verdict(GET => token('ok', pad => 16000)), '200', 'a token of 16 kB');
is(verdict(GET => token('chunked', pad => 30000), at => '1.1'), '200',
   'a token of 30 kB');
$iam->asked;


# What is no answer: one line says why, and the connection stays.

log_has(qr/./);

my $wire = Wafcert::Server::wire(GET => '//empty');

for my $at ('', '1.1', 'unbuffered', 'intercepts') {
    for ([ cut => [], qr/cannot be read/ ],
         [ cut_chunk => [], qr/cannot be read|status 502/ ],
         [ cut_close => [], qr/cannot be read/ ],
         [ bad_chunk => [], qr/cannot be read|status 50/ ],
         [ nothing => [], qr/status 502/ ],
         [ hang => [], qr/status 504/ ],
         [ header => [], qr/status 502/ ],
         [ ok => [ catalog => 400_000 ], qr/larger than 262144 bytes/ ],
         [ chunked => [ catalog => 400_000 ], qr/larger than/ ],
         [ closed => [ catalog => 4_000_000 ], qr/larger than/ ],
         [ ok => [ expires => 'tomorrow' ], qr/token\.expires_at/ ],
         [ status => [ status => 200 ], qr/has no token/ ],
         [ status => [ status => 200, body => '' ], qr/0 bytes .*JSON/ ],
         [ status => [ status => 200, body => "\x1f\x8b\x08" ],
           qr/JSON/ ],
         [ status => [ status => 200, body => '<html>' ], qr/JSON/ ],
         [ status => [ status => 204, body => '' ], qr/status 204/ ],
         [ status => [ status => 302 ], qr/status 302/ ],
         [ status => [ status => 400 ], qr/status 400/ ],
         [ status => [ status => 403 ], qr/status 403/ ],
         [ status => [ status => 429 ], qr/status 429/ ],
         [ status => [ status => 500 ], qr/status 500/ ],
         [ status => [ status => 503 ], qr/status 503/ ])
    {
        my ($kind, $arg, $cause) = @$_;
        my $name = "$at $kind @$arg";

        next if $kind eq 'hang' && $at;

        my $body = upload('never');
        my $socket = $server->socket;

        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            POST => url($at), $body,
            'X-Auth-Token: ' . token($kind, @$arg)));

        my $answer = Wafcert::Server::read_answer($socket);

        is($answer && $answer->verdict, '500 iam_unavailable', $name);

        Wafcert::Server::write_all($socket, $wire);
        my $next = Wafcert::Server::read_answer($socket);

        is($next && $next->{status}, 204, 'and the connection stays');

        my @lines = log_has(qr/\[error\].* IAM service/);

        is(@lines, 1, 'the log has a line');
        like($lines[0], $cause, 'with the cause');
    }
}

is(call(GET => token('status', status => 503))->json->{error_code},
   'WAF.00010002', 'its error_code');

for ([ down => qr/status 502/ ], [ nowhere => qr/there is no IAM/ ],
     [ recursive => qr/IAM service at/ ])
{
    my ($at, $cause) = @$_;

    is(verdict(GET => token('ok'), at => $at), '500 iam_unavailable', $at);
    ok(log_has($cause), 'the log has the cause');
}


# Status codes that are answers.

for my $at ('', '1.1', 'unbuffered', 'intercepts') {
    for my $status (401, 404) {
        is(verdict(GET => token('status', status => $status), at => $at),
           '401 token_invalid', "status $status, $at");
    }
}

is(verdict(GET => undef), '401 token_missing', 'no token');
is(verdict(GET => 'nonsense'), '401 token_invalid', 'a token of nobody');
$iam->asked;

for my $more ('', token('ok'), 'x') {
    is($server->request(GET => url(), undef, 'X-Auth-Token: ' . token('ok'),
                        "x-auth-token: $more")->verdict,
       '401 token_invalid', 'several X-Auth-Token headers');
}

is(asked(), 0, 'and nobody is asked');


# Projects.

for (map { [ $_, token('ok', project => $_) ] }
         '', 'q', 'P', 'p ', 'pp', 'x' x 64, 'x' x 65, 'x' x 300)
{
    my ($project, $token) = @$_;
    my $name = 'a token of project "' . substr($project, 0, 70) . '"';

    is(verdict(GET => $token), '401 token_project', $name);
    is(verdict(GET => $token, project => $project), '200', "$name in it")
        if $project =~ /^\w{1,64}$/;
}


# Roles.

for ([ [], '403 token_role', '403 token_role' ],
     [ ['member'], '403 token_role', '403 token_role' ],
     [ ['reader'], '200', '403 token_role' ],
     [ ['a', 'reader', 'b'], '200', '403 token_role' ],
     [ ['te_admin'], '200', '404 not_found' ],
     [ ['WAF Administrator'], '200', '404 not_found' ],
     [ ['WAF', 'Administrator'], '403 token_role', '403 token_role' ],
     [ ['te_admin,WAF Administrator'], '403 token_role', '403 token_role' ],
     [ ['Te_Admin', 'te_admin '], '403 token_role', '403 token_role' ],
     [ ['member'], '403 token_role', '403 token_role', gated => 2000 ],
     [ ['te_admin'], '200', '404 not_found', gated => 2000 ])
{
    my ($roles, $read, $write, @more) = @$_;
    my $token = token('ok', roles => $roles, @more);
    my $name = @$roles . ' roles, ' . ($roles->[-1] // '');

    for my $time ('', 'from the cache, ') {
        is(verdict(GET => $token, at => 'roles'), $read, "$time$name: read");
        is(verdict(DELETE => $token, at => 'roles', id => '0' x 32), $write,
           "$time$name: write");
    }

    $iam->asked;
    is(verdict(GET => $token), @$roles ? '200' : '401 token_role',
       "$name, and any will do");
    is(asked(), 1, 'which is another question');
}

is($server->request(GET => '//roles/v1/write/v1/p/waf/certificate', undef,
                    'X-Auth-Token: ' . token('ok', roles => ['x']))->verdict,
   '200', 'anybody may read where only writing was given a role');


# The cache.

{
    my $token = token('ok');
    $iam->asked;

    is(verdict(GET => $token), '200', 'a token is asked about');
    is(verdict(GET => $token), '200', 'and once more');
    is(verdict(GET => $token, project => 'q'), '401 token_project',
       'and for another project');
    is(asked(), 1, 'one question');

    is(verdict(GET => $token, at => 'short'), '200', 'the same service');
    is(asked(), 0, 'no question');
    sleep 1.1;
    is(verdict(GET => $token, at => 'short'), '200', 'at most 1 s');
    is(asked(), 1, 'a question');

    is(verdict(GET => $token, at => '1.1'), '200', 'another service');
    is(asked(), 1, 'is asked for itself');

    is(verdict(GET => $token, at => 'uncached'), '200', 'no cache') for 1, 2;
    is(asked(), 2, 'two questions');

    $token = token('status', status => 401);
    is(verdict(GET => $token), '401 token_invalid', 'a refusal') for 1, 2;
    is(asked(), 1, 'one question');
    sleep 2.1;
    is(verdict(GET => $token), '401 token_invalid', 'and 2 s later');
    is(asked(), 1, 'another one');

    $token = token('status', status => 503);
    is(verdict(GET => $token), '500 iam_unavailable', 'no answer') for 1, 2;
    is(asked(), 2, 'two questions');

    $token = token('ok', expires => 2);
    is(verdict(GET => $token), '200', 'a token of 2 s') for 1, 2;
    is(asked(), 1, 'one question');
    sleep 2.1;
    log_has(qr/./);
    is(verdict(GET => $token), '401 token_invalid',
       'it is good no longer, though the service has it that way')
        for 1, 2;
    is(asked(), 1, 'another question');
    like(join('', log_has(qr/\[error\]/)),
         qr/answered for a token that expired \d+ seconds ago/,
         'the log has it');

    $token = token('ok', expires => '2020-02-29T00:00:00.000000Z');
    is(verdict(GET => $token), '401 token_invalid', 'nor was one of 2020');
}


# Equal questions at the same time.

{
    my @request = map { [ GET => url('uncached'), undef,
                          'X-Auth-Token: ' . token(@$_) ] }
                      [ 'ok', delay => 0.5 * SLOW ], [ 'hang' ],
                      [ 'status', status => 401, delay => 0.5 * SLOW ];
    $iam->asked;

    for ([ 0, '200' ], [ 1, '500 iam_unavailable' ],
         [ 2, '401 token_invalid' ])
    {
        my ($i, $verdict) = @$_;

        is(join(' ', grep { $_ ne $verdict }
                     map { $_->verdict }
                     $server->at_once(($request[$i]) x 50)),
           '', "50 times $verdict");
        is(asked(), 1, 'one question');
    }

    # and other ones at the same time

    my @mixed = map { [ GET => url('uncached', $_ % 2 ? 'p' : 'q'), undef,
                        'X-Auth-Token: ' . token('ok', delay => 0.3 * SLOW,
                                            project => $_ % 2 ? 'p' : 'q') ] }
                    1 .. 20;

    is(join(' ', grep { $_ ne '200' } map { $_->verdict }
                 $server->at_once((@mixed) x 4)), '', 'each has its own');
    is(asked(), 20, 'one question for each');
}


# Who asks goes away, and others wait for the answer.

for my $gone (1, 3, 10) {
    my $token = token('ok', delay => 0.4 * SLOW);
    my @sockets;
    $iam->asked;

    for (1 .. 10) {
        push @sockets, my $socket = $server->socket;
        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            GET => url('uncached'), undef, "X-Auth-Token: $token"));
        sleep 0.01;
    }

    close shift @sockets for 1 .. $gone;

    my @answers = map { Wafcert::Server::read_answer($_) } @sockets;

    is(join(' ', map { $_->verdict } @answers),
       join(' ', ('200') x (10 - $gone)), "$gone of 10 go away");
    cmp_ok(asked(), '<=', 1 + $gone, 'one question for each that asked');
}

{
    my $token = token('ok', delay => 0.5 * SLOW);
    my @sockets = map { $server->socket } 1 .. 3;
    my $next = $server->socket;
    $iam->asked;

    for (@sockets, $next) {
        Wafcert::Server::write_all($_, Wafcert::Server::wire(
            GET => url('uncached'), undef, "X-Auth-Token: $token"));
        sleep 0.02;
    }

    # the ones that wait, first; then the one that asked

    close $_ for @sockets[2, 1];
    sleep 0.05;
    close $sockets[0];

    is(Wafcert::Server::read_answer($next)->verdict, '200',
       'those who waited go away, and who asked too');
    is(asked(), 2, 'two questions');
}


# The body is not read before there is an answer.

{
    my $socket = $server->socket;
    my $token = token('ok', delay => 0.3);
    my $body = upload('expected');

    my $wire = Wafcert::Server::wire(POST => url(), $body,
                                     "X-Auth-Token: $token",
                                     'Expect: 100-continue');
    my $head = index($wire, "\r\n\r\n") + 4;

    Wafcert::Server::write_all($socket, substr $wire, 0, $head);
    ok(!IO::Select->new($socket)->can_read(0.15), 'no "100 Continue" yet');
    ok(IO::Select->new($socket)->can_read(5), 'but then');
    sysread $socket, my $continue, 1000;
    like($continue, qr/^HTTP\/1.1 100 /, 'it comes');
    Wafcert::Server::write_all($socket, $body);
    is(Wafcert::Server::read_answer($socket)->verdict, '200', 'accepted');

    $socket = $server->socket;
    $wire =~ s/X-Auth-Token: \S+/'X-Auth-Token: '
                                 . token('status', status => 401)/e;
    $head = index($wire, "\r\n\r\n") + 4;
    Wafcert::Server::write_all($socket, substr $wire, 0, $head);
    sysread $socket, $continue, 1000;
    like($continue, qr/^HTTP\/1.1 401 /, 'a refusal comes without it');

    # a body that comes while the service is asked

    for my $size (10, 100_000) {
        $socket = $server->socket;
        $body = upload("body-$size") =~ s/^\{/'{"x": "' . 'x' x $size
                                              . '", '/er;

        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            POST => url(), $body,
            'X-Auth-Token: ' . token('ok', delay => 0.2)));
        is(Wafcert::Server::read_answer($socket)->verdict, '200',
           "a body of $size bytes that comes before the answer");

        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            POST => url(), $body,
            'X-Auth-Token: ' . token('status', status => 401, delay => 0.2))
            . $wire);
        is(Wafcert::Server::read_answer($socket)->verdict,
           '401 token_invalid', 'and one that is refused');
    }
}


# A service account asks.

{
    my $token = token('ok');
    $iam->asked;

    is(verdict(GET => $token, at => 'service'), '200', 'a service account');

    my ($asked) = $iam->asked;
    is($asked->{'x-auth-token'}, SERVICE, 'it asks');
    is($asked->{'x-subject-token'}, $token, 'about the token');

    for ([ "another-token-of-the-service-account\n", 'another file' ],
         [ "  a-third-token-of-the-service-account\r\n\n", 'with blanks' ])
    {
        my ($text, $name) = @$_;

        service($text);
        sleep 1.1;
        get($token, at => 'service');
        ($asked) = $iam->asked;
        is($asked->{'x-auth-token'}, $text =~ s/\s//gr, $name);
    }

    for ([ '', 'an empty file' ], [ "two tokens\n", 'two words' ],
         [ "one\ntwo\n", 'two lines' ], [ "x\0y", 'a NUL' ],
         [ 'x' x 70_000, 'a large file' ])
    {
        my ($text, $name) = @$_;

        service($text);
        sleep 1.1;
        get($token, at => 'service');
        ($asked) = $iam->asked;
        is($asked->{'x-auth-token'}, 'a-third-token-of-the-service-account',
           "$name: the old one stays");
        ok(log_has(qr/\[crit\].*\Q$service_file\E"/), 'the log has it');
    }

    unlink $service_file;
    sleep 1.1;
    is(verdict(GET => $token, at => 'service'), '200', 'no file');

    # written in place, and within a second

    service("first-token-in-place\n");
    sleep 1.1;
    get($token, at => 'service');
    open my $out, '>', $service_file;
    print $out "other-token-in-place\n";
    close $out;
    $iam->asked;
    sleep 1.1;
    get($token, at => 'service');
    ($asked) = $iam->asked;
    is($asked->{'x-auth-token'}, 'other-token-in-place', 'in place');

    is(verdict(GET => token('status', status => 401), at => 'service'),
       '500 iam_unavailable', '401 is about the service account');
    ok(log_has(qr/refused the token of "wafcert_auth_service"/),
       'the log has it');
    is(verdict(GET => token('status', status => 404), at => 'service'),
       '401 token_invalid', '404 is about the token');
}


# Any number of tokens, and the right ones stay.

{
    my @good = map { token('ok') } 1 .. 4;
    my $n = under_valgrind() ? 200 : 4000;

    is(verdict(GET => $_), '200', 'good tokens are known') for @good;

    my (%status, $sent);
    my $start = time;

    $server->load(16, sub {
        return if $sent++ == $n;
        return [ GET => url('wrong'), undef, "X-Auth-Token: wrong-$sent" ];
    }, sub {
        my ($request, $answer) = @_;
        $status{$answer ? $answer->verdict : 'none'}++;
    });

    is_deeply(\%status, { '401 token_invalid' => $n }, "$n wrong tokens");
    diag(sprintf '%d wrong tokens a second', $n / (time - $start));

    $iam->asked;
    is(verdict(GET => $_), '200', 'good tokens are still known') for @good;
    is(asked(), 0, 'with no question');
}


# A reload keeps what is known; a worker that dies takes nothing with it.

{
    my $token = token('ok');

    get($token);
    ok($server->reload, 'a reload');
    $server->settle;
    $iam->asked;
    is(verdict(GET => $token), '200', 'the token is known');
    is(asked(), 0, 'with no question');

    my ($worker) = $server->workers;
    my $socket = $server->socket;
    Wafcert::Server::write_all($socket, Wafcert::Server::wire(
        GET => url(), undef, 'X-Auth-Token: ' . token('ok', delay => 1)));
    $server->wait_for('a question', sub { asked() });
    kill KILL => $worker;
    $server->wait_for('another worker', sub {
        my ($new) = $server->workers;
        return $new && $new != $worker;
    });

    $iam->asked;
    is(verdict(GET => $token), '200', 'the token is known');
    is(asked(), 0, 'with no question');
}


# No token in any log, whatever the level.

{
    my $log = $server->log;
    my %span;

    for my $token (@tokens, SERVICE, 'another-token-of-the-service-account',
                   'a-third-token-of-the-service-account')
    {
        # of a token that is padded, what is not the padding
        my $part = $token =~ s/\..*//r;
        $span{substr $part, $_, 24} = 1 for 0 .. length($part) - 24;
    }

    my @leaks;

    while ($log =~ /([A-Za-z0-9_-]{24,})/g) {
        my ($run, $end) = ($1, pos $log);
        next unless grep { $span{substr $run, $_, 24} } 0 .. length($run) - 24;
        push @leaks, substr($log, 0, $end) =~ tr/\n// + 1;
        last if @leaks > 5;
    }

    is("@leaks", '', 'no token is in the log');
    like($log, qr/http proxy header: "X-Subject-Token: \*+/,
         'though the log has the header');
}

# What was said for one server is not for another that comes to stand in its
# place in the file.

{
    my ($first, $second) = map { Wafcert::Server::free_port() } 1, 2;

    my $one = sub {
        my ($port, $iam) = @_;

        return "server { listen 127.0.0.1:$port; "
               . 'location /v1/ { wafcert_api zone=certs; '
               . 'wafcert_auth request=/iam; } '
               . "location = /iam { $iam } }" =~ s/\n\s*//gr;
    };

    my $verdict = sub {
        my ($port, $token) = @_;

        local $server->{port} = $port;
        return verdict(GET => $token);
    };

    my ($asks, $refuses) = ($one->($first, $upstream),
                            $one->($second, 'return 401;'));
    my $token = token('ok');

    $server->configure(http => "$server->{http} $asks $refuses");
    ok($server->reload, 'two servers');
    $server->settle;

    is($verdict->($first, $token), '200', 'one knows the token');
    is($verdict->($second, token('ok')), '401 token_invalid',
       'and the other knows none');

    # "second" as it was, in the line where "first" was

    $server->configure(http => $server->{http}
                               =~ s/\Q$asks $refuses\E/$refuses/r);
    ok($server->reload, 'the first one is removed');
    $server->settle;

    is($verdict->($second, $token), '401 token_invalid',
       'which the other takes no token from');
}

$server->ends_well(qr/exited on signal 9/, qr/\Q$service_file\E"/);

done_testing();
