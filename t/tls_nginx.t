#!/usr/bin/perl

# Beside what nginx itself does in a handshake: what is not served is as it
# would be without the module.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port, $reject, $variable, $staple, $verify, $second, $quic) = ports(7);

my %own = map { $_ => certificate(hosts => [ "$_.test" ]) } qw(one two rsa);
$own{rsa} = certificate(hosts => [ 'rsa.test' ], type => 'rsa');

my $server = Wafcert::Server->new(workers => 2, size => '2m');
my %ssl = map { $_ => install($_, $own{$_}) } keys %own;
my ($dir) = $ssl{one} =~ m{(/\S*)/};

# the values of a variable, for workers may not read what the master can
Wafcert::TLS::write_file("$_.map", qq(default "$own{one}{$_}";\n)
                                   . qq(two.test "$own{two}{$_}";\n))
    for qw(chain key);

Wafcert::TLS::write_file('both.pem', "$own{one}{chain}$own{one}{key}");

# nginx staples whatever the file has; OpenSSL has to be able to read it
Wafcert::TLS::openssl('ocsp', '-index', 'index.txt', '-rsigner', 'inter.crt',
                      '-rkey', 'inter.key', '-CA', 'inter.crt', '-issuer',
                      'inter.crt', '-serial', '0x1', '-respout', 'ocsp',
                      '-noverify');

my $logged = 'return 200 "$server_name $wafcert_served_id";';
my ($one, $two) = @ssl{qw(one two)};
my $both = "$one $ssl{rsa}";

my ($nginx) = $server->command;
my $http3 = `$nginx -V 2>&1` =~ /http_v3_module/ && `curl -V` =~ /HTTP3/
    ? <<"END" : '';
    server {
        listen 127.0.0.1:$quic quic reuseport;
        server_name quic;
        wafcert_serve zone=certs;
        $one
        location / { $logged }
    }
END

$server->configure(http => <<"END");
    ssl_protocols TLSv1.2 TLSv1.3;

    $http3
    map \$ssl_server_name \$chain {
        include $dir/chain.map;
    }

    map \$ssl_server_name \$key {
        include $dir/key.map;
    }

    server {
        listen 127.0.0.1:$port ssl http2;
        server_name one.test served.one.test;
        wafcert_serve zone=certs;
        $one
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$port ssl http2;
        server_name two.test served.two.test;
        wafcert_serve zone=certs;
        $two
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$port ssl http2;
        server_name plain.test *.plain.test;
        $two
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$reject ssl default_server;
        server_name default;
        ssl_reject_handshake on;
    }

    server {
        listen 127.0.0.1:$reject ssl;
        server_name ~^served named.test;
        wafcert_serve zone=certs;
        ssl_reject_handshake on;
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$variable ssl;
        server_name variable;
        wafcert_serve zone=certs;
        ssl_certificate data:\$chain;
        ssl_certificate_key data:\$key;
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$staple ssl;
        wafcert_serve zone=certs;
        $both
        ssl_stapling on;
        ssl_stapling_file $dir/ocsp;
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$verify ssl;
        server_name verify;
        wafcert_serve zone=certs;
        $one
        ssl_verify_client on;
        ssl_verify_depth 3;
        ssl_client_certificate $dir/root.crt;
        location / { return 200 "\$ssl_client_verify \$wafcert_served_id"; }
    }

    server {
        listen 127.0.0.1:$second ssl;
        server_name second;
        wafcert_serve zone=certs;
        $one
        ssl_session_cache shared:sessions:1m;
        ssl_session_tickets off;
        location / { $logged }
    }
END

ok($server->reload, 'the configuration is taken');
$server->settle;

my $served = certificate(hosts => [ map { $_, "*.$_" } qw(one.test two.test
                                    plain.test served.test) ],
                         from => -100);
$served->{id} = create($server, 'project', 'served', $served)->json->{id};

sub gets {
    my ($port, $host, $want, $body, $what, @options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got = handshake($port, $host, @options);

    is("$got->{sent}$got->{failed} $got->{body}", "$want->{sent} $body",
       $what);

    return $got;
}


# several servers on one address

gets($port, 'one.test', $served, "one.test $served->{id}", 'the first server');
gets($port, 'two.test', $served, "two.test $served->{id}", 'the second one');
gets($port, 'plain.test', $own{two}, 'plain.test',
     'one without the directive');
gets($port, 'www.plain.test', $own{two}, 'plain.test', 'by a wildcard');
gets($port, 'served.two.test', $served, "two.test $served->{id}",
     'another name of the second');
gets($port, 'no.such.host', $own{one}, 'one.test', 'the default server');
gets($port, undef, $own{one}, 'one.test', 'no name');


# HTTP/2

my $got = handshake($port, 'one.test', 'alpn=h2');
is("$got->{sent} $got->{alpn}", "$served->{sent} h2", 'HTTP/2');
$got = handshake($port, 'no.such.host', 'alpn=h2');
is("$got->{sent} $got->{alpn}", "$own{one}{sent} h2", 'HTTP/2, not served');

my $curl = `curl -sk --http2 --noproxy '*' --resolve two.test:$port:127.0.0.1 \\
            https://two.test:$port/`;
is($curl, "two.test $served->{id}", 'a request');


# HTTP/3

SKIP: {
    skip 'nginx or curl has no HTTP/3', 2 unless $http3;

    # the root is trusted, so the name is compared, too
    for my $host (qw(one.test no.such.host)) {
        my $trust = $host eq 'one.test' ? "--cacert $dir/root.crt" : '-k';
        my $id = $host eq 'one.test' ? $served->{id} : '';

        is(`curl -s $trust --http3-only --noproxy '*' -w ' %{http_version}' \\
            --resolve $host:$quic:127.0.0.1 https://$host:$quic/`,
           "quic $id 3", "HTTP/3, $host");
    }
}


# sessions, tickets

for my $version (qw(tls12 tls13)) {
    for my $host (qw(one.test no.such.host)) {
        my $first = handshake($port, $host, $version, 'keep');
        $got = handshake($port, $host, $version, 'resume');
        is("$first->{session} $got->{session}", 'new reused',
           "$version, $host: a ticket");
        is($got->{body}, 'one.test', 'nothing was sent');
    }
}

for my $host (qw(one.test no.such.host)) {
    handshake($second, $host, 'tls12', 'keep');
    $got = handshake($second, $host, 'tls12', 'resume');
    is($got->{session}, 'reused', "$host: a session");
}


# ssl_reject_handshake

my $alert = 'handshake: tlsv1 unrecognized name';
my $refused = handshake($reject, 'unknown.test')->{failed};
like($refused, qr/unrecognized.name/, 'rejected by the default server');
is(handshake($reject, 'served-not.test')->{failed}, $refused,
   'rejected by the server that serves');
is(handshake($reject, 'named.test')->{failed}, $refused, 'the same');
is(handshake($reject, 'one.test')->{failed}, $refused,
   'the default server does not serve');
gets($reject, 'served.test', $served, "~^served $served->{id}",
     'served, not rejected');
gets($reject, 'served.one.test', $served, "~^served $served->{id}",
     'by a wildcard');
is(handshake($reject, undef)->{failed}, $refused, 'no name');


# variables

gets($variable, 'one.test', $served, "variable $served->{id}", 'served');
gets($variable, 'no.such.host', $own{one}, 'variable', 'not served');
$server->request(DELETE => "/$served->{id}");
gets($variable, 'two.test', $own{two}, 'variable', 'another value');
$served->{id} = create($server, 'project', 'served', $served)->json->{id};


# stapling: of the server's own alone

SKIP: {
    # whether the module is there or not
    skip 'nginx staples nothing with OpenSSL 3.6', 1
        if `$nginx -V 2>&1` =~ /with OpenSSL (?:3\.[6-9]|[4-9])/;

    is(handshake($staple, 'no.such.host', 'status')->{status}, 'stapled',
       'the server\'s own is stapled');
}

is(handshake($staple, 'one.test', 'status')->{status}, 'plain',
   'what is served is not');
gets($staple, 'no.such.host', $own{rsa}, '', 'RSA of the server\'s own',
     'tls12', 'sigalgs=RSA+SHA256');
like(handshake($staple, 'one.test', 'tls12', 'sigalgs=RSA+SHA256')->{failed},
     qr/./, 'its RSA is not beside what is served');


# ssl_verify_client

for my $host (qw(one.test no.such.host)) {
    my $id = $host eq 'one.test' ? " $served->{id}" : '';
    gets($verify, $host, $id ? $served : $own{one}, "SUCCESS$id",
         "$host: client certificate", "cert=$dir/both.pem");
    like(handshake($verify, $host)->{body}, qr/^<html>/, 'none');
}


# reload

ok($server->reload, 'reload');
$server->settle;
gets($port, 'two.test', $served, "two.test $served->{id}", 'kept');
ok($server->configure(http => "wafcert_serve_cache 1; $server->{http}")
   // 1, 'a cache of one');
ok($server->reload, 'reload');
$server->settle;

my $rsa = certificate(hosts => [ 'one.test' ], type => 'rsa', from => -100);
$rsa->{id} = create($server, 'project', 'rsa', $rsa)->json->{id};

for (1 .. 3) {
    gets($port, 'one.test', $served, "one.test $served->{id}", 'EC');
    gets($port, 'one.test', $rsa, "one.test $rsa->{id}", 'RSA', 'tls12',
         'sigalgs=RSA+SHA256');
    gets($port, 'two.test', $served, "two.test $served->{id}", 'another');
}


# directives that are refused

for ([ '', 'invalid number of arguments' ],
     [ 'project=a', 'invalid parameter "project=a"' ],
     [ 'projects=a', 'has no parameter "zone"' ],
     [ 'zone=certs projects=a,', 'empty project in "a,"' ],
     [ 'zone=certs; wafcert_serve off', 'is duplicate' ],
     [ 'zone=certs', 'needs an "ssl_certificate"' ],
     [ 'zone=nowhere', 'nowhere' ])
{
    my ($value, $error) = @$_;

    my $tls = $value eq 'zone=certs' ? '' : $one;
    $server->configure(http => "server { listen 127.0.0.1:$second; $tls
                                wafcert_serve $value; }");
    ok(!$server->reload, "wafcert_serve $value");
    like($server->log, qr/\[emerg\].*\Q$error\E/, $error);
    $server->write_file('logs/error.log', '');
}

$server->ends_well;
done_testing;
