#!/usr/bin/perl

# What nginx itself logs of a token and of a key, by directives of its own: with
# debug_connection, which asks for no level, and in an access log.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Iam;
use Wafcert::Server;

my $iam = Wafcert::Iam->new;
my $http2 = Wafcert::Server::free_port();

my $server = Wafcert::Server->new(
    workers => 1, level => 'error', events => 'debug_connection 127.0.0.1;',
    api => 'wafcert_auth request=/iam;',
    http => <<'END',
    map $http_x_auth_token $part {
        default                "";
        "~^.(?<middle>.{40})" $middle;
    }

    upstream hashed {
        hash $http_x_auth_token consistent;
        server 127.0.0.1:1;
    }
END
    server => <<"END");
        listen 127.0.0.1:$http2 http2;
        access_log logs/access.log;

        location = /iam {
            internal;
            rewrite_log on;
            if (\$http_x_subject_token ~ "^..(.*)") {
                set \$rest \$1;
            }
            proxy_set_header X-Rest \$rest;
            proxy_pass http://127.0.0.1:$iam->{port};
        }

        location /copies/ {
            rewrite_log on;

            if (\$http_x_auth_token ~ "^...(.*)") {
                set \$rest \$1;
            }

            rewrite ^ /copied/\$rest?t=\$http_x_auth_token&p=\$part last;
        }

        location /copied/ {
            proxy_pass http://hashed;
            proxy_set_header X-Copy \$http_x_auth_token;
            proxy_set_header X-Part \$part;
            proxy_set_header X-Body \$request_body;
        }

        location /host/ {
            resolver 127.0.0.1:1;
            proxy_pass http://\$http_x_auth_token:99999/;
        }

        location /file/ {
            root html/\$http_x_auth_token;
        }
END

my @keys = Wafcert::Fixtures::private_keys();
my $n = 0;

sub token {
    return $iam->token('ok', user => 'alice-' . ++$n);
}

# where 24 characters of a secret stand in a text
sub leak {
    my ($text, @secrets) = @_;

    my %span;

    for my $secret (@secrets) {
        $span{substr $secret, $_, 24} = 1 for 0 .. length($secret) - 24;
    }

    my $line = 0;

    for (split /\n/, $text) {
        $line++;
        my $text = $_;
        return "line $line: " . substr $text, 0, 60
            if grep { $span{substr $text, $_, 24} } 0 .. length($text) - 24;
    }

    return '';
}

my $seen = 0;

sub none_in_log {
    my ($what, @secrets) = @_;

    my $log = substr $server->log, $seen;
    $seen += length $log;

    is(leak($log, @secrets), '', "$what: not in error.log");

    return $log;
}


# By HTTP/1, whatever is made of it.

{
    my $token = token();

    is($server->request(GET => '//v1/p/waf/certificate', undef,
                        "X-Auth-Token: $token")->verdict, '200',
       'a token that is good');

    my $log = none_in_log('a call', $token);

    ok($log =~ qr/\[debug\].* http header: "X-Auth-Token: \*+"$/m,
         'though debug_connection shows the header');
    ok($log =~ qr/\[debug\].* http proxy header: "X-Subject-Token: \*+"$/m,
         'and that of the question');
    ok($log =~ qr/^X-Rest: \*+/m,
         'and what is made of it');

    for my $at (qw(copies host file)) {
        my $answer = $server->request(GET => "//$at/x", undef,
                                      "X-Auth-Token: $token");

        cmp_ok($answer->{status}, '>=', 404, "/$at/ fails");
        $log = none_in_log("/$at/", $token);
        ok($log =~ qr/\[error\]/, 'with a line in the log') if $at ne 'copies';
    }

    ok($server->log =~ qr/\[debug\].* http map: "\*+" "\*+"/, 'map');
    ok($server->log =~ qr/\[debug\].* upstream hash key:"\*+"/, 'hash');
    ok($server->log =~ qr/\[notice\].* "[^"]+" matches "\*+", client: /,
         'rewrite_log, which still tells the client');
    ok($server->log =~ qr/^X-Copy: \*+/m,
         'another header');
    ok($server->log =~ qr/\[error\].* open\(\) ".*\*+.*" failed .*, client:/,
         'the name of a file');

    ok($server->log !~ qr/http script (?:var|capture): "[^*"]/,
       'of no variable the value, which may be made of one');

    # a value may end nothing

    for my $value ("$token\"", "\"$token", "a\"b: $token") {
        $server->request(GET => '//v1/p/waf/certificate', undef,
                         "X-Auth-Token: $value");
        none_in_log('with a quote', $token);
    }

    for my $name ('X_Auth_Token', 'X-Auth-Token.', 'X-Auth-T@ken') {
        $server->request(GET => '//empty', undef, "$name: $token");
        none_in_log($name, $token);
    }

    # a header whose line has become a part of another one
    for my $byte ("\xae", "\x01", "\x7f") {
        my $socket = $server->socket;

        Wafcert::Server::write_all($socket,
            "GET / HTTP/1.1\r\nHost: local${byte}Auth-Token: $token\r\n\r\n");
        is(Wafcert::Server::read_answer($socket)->{status}, 400, 'such a host');
        none_in_log(sprintf('behind the byte %02x', ord $byte), $token);
    }
}


# A token cannot hide who sent it.

{
    my $answer = $server->request(GET => '//file/a-token:x', undef,
                                  'X-Auth-Token: 127.0.0.1, server: , request',
                                  'X-Other-Token: ", client: 127.0.0.1');
    is($answer->{status}, 404, 'no such file');
    ok(substr($server->log, $seen)
       =~ /\[error\].*a-token:x" failed.*, client: 127\.0\.0\.1, server: /,
         'the log tells of whom');
}


# By HTTP/2.

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags,
                                                        $stream) . $payload;
}

sub integer {
    my ($n) = @_;

    return chr $n if $n < 127;

    my $out = chr 127;
    for ($n -= 127; $n >= 128; $n >>= 7) {
        $out .= chr(128 | $n & 127);
    }

    return $out . chr $n;
}

sub literals {
    my @headers = @_;

    my $out = '';

    while (my ($name, $value) = splice @headers, 0, 2) {
        $out .= "\0" . integer(length $name) . $name . integer(length $value)
                . $value;
    }

    return $out;
}

for my $value (sub { "$_[0]\n" }, sub { "a\"$_[0]\r" }, sub { "$_[0]\0" },
               sub { $_[0] })
{
    my $token = token();
    my $socket;

    {
        local $server->{port} = $http2;
        $socket = $server->socket;
    }

    Wafcert::Server::write_all($socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(4, 0, 0, '')
        . frame(1, 5, 1, literals(':method' => 'GET', ':scheme' => 'http',
                                  ':path' => '/v1/p/waf/certificate',
                                  ':authority' => 'x',
                                  'x-auth-token' => $value->($token))));

    $server->wait_for('an answer', sub {
        substr($server->log, $seen) =~ /http2 (?:output|send RST_STREAM)/;
    });
    close $socket;

    none_in_log('HTTP/2', $token);
}


# A body that nginx takes for the next request.

for my $before ('', '{"name": "a", "key": "', "\n") {
    for my $key (@keys[0, 1]) {
        my $socket = $server->socket;
        Wafcert::Server::write_all($socket,
            "POST /v1/p/waf/certificate HTTP/1.1\r\nHost: x\r\n"
            . "X-Auth-Token: nonsense\r\n\r\n$before$key\"}\r\n\r\n");

        is(Wafcert::Server::read_answer($socket)->{status}, 401,
           'no length, and no token');
        sleep 0.1;
        close $socket;

        $server->wait_for('another line', sub {
            substr($server->log, $seen) =~ /client sent invalid /;
        });

        none_in_log('a body', @keys);
    }
}

my $access = Wafcert::Fixtures::read_file("$server->{prefix}/logs/access.log");

is(leak($access, @keys), '', 'and not in access.log');
like($access, qr/"" 400 /, 'which has the request');


# Only what follows another request is not told.

{
    my $socket = $server->socket;

    Wafcert::Server::write_all($socket, "no request at all\r\n\r\n");
    Wafcert::Server::read_answer($socket);
    $server->wait_for('a line', sub {
        Wafcert::Fixtures::read_file("$server->{prefix}/logs/access.log")
            =~ /"no request at all" 400 /;
    });
    pass('a first line is in access.log');
}

$server->ends_well;

done_testing();
