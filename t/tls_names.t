#!/usr/bin/perl

# Which names a project's certificates are sent for ("wafcert_serve_names"),
# which names nobody's are, and what is told of certificates that take the
# place of a server's own.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port, $inherits) = ports(2);
my $own = certificate(hosts => [ 'own.test', 'www.own.test', '*.wild.test',
                                 '192.0.2.7' ]);
my $ssl = install('own', $own);

my $server = Wafcert::Server->new(workers => 1);

sub configure {
    my ($names, $more) = @_;

    $server->configure(http => <<"END");
        wafcert_serve zone=certs;
        ssl_protocols TLSv1.2 TLSv1.3;
        $ssl
        @{[ $more // '' ]}

        server {
            listen 127.0.0.1:$port ssl;
            $names
        }
END
}

sub allowed {
    my ($names, $what) = @_;

    configure($names);
    ok($server->reload, $what);
    $server->settle;
}

sub rejected {
    my ($names, $pattern) = @_;

    configure($names);
    my ($taken, $said) = $server->test;
    ok(!$taken, "$names: refused");
    like($said, qr/\[emerg\].*$pattern/, 'why');
}

sub warned {
    my ($answer) = @_;

    return join ' ', map { $_->{message} =~ /: (\S+)$/
                           ? "$_->{reason}:$1" : $_->{reason} }
                         @{$answer->json->{warnings} // []};
}

sub put {
    my ($project, $name, @hosts) = @_;

    my $pair = certificate(hosts => [ @hosts ]);
    my $answer = create($server, $project, $name, $pair);
    is($answer->{status}, 200, "$project: $name");

    return ($pair, $answer);
}

sub gets {
    my ($host, $pair, $what) = @_;

    my $got = handshake($port, $host);
    is($got->{leaf} || $got->{failed}, $pair->{leaf}, $what);
}

sub order {
    my ($project, $host) = @_;

    return join ' ', map { "$_->{name}:$_->{reason}"
                           . ($_->{servable} ? '' : '!') }
                         serves($server, $project, $host);
}

sub bound {
    my ($project, $answer) = @_;

    my $path = Wafcert::TLS::path($project) . '/' . $answer->json->{id};
    my $shown = $server->request(GET => $path)->json;

    return join ' ', map { $_->{hostname} } @{$shown->{bind_host}};
}


# the directive

rejected('wafcert_serve_names a;', 'invalid number of arguments');
rejected("wafcert_serve_names $_ a.test;", qq(invalid project "\Q$_\E"))
    for 'a/b', '*';
rejected("wafcert_serve_names a $_;", qq(invalid name "\Q$_\E"))
    for '*', '.', '*.', 'a..test', 'a.', '..a', 'a.*', '*a.test', 'a/b',
        '*.*.test', 'a_:b', 'a' x 256;


# one list

allowed("wafcert_serve_names one WWW.a.test *.b.test;
         wafcert_serve_names one .c.test 2001:DB8:0::1;
         wafcert_serve_names two x.a.test;", 'a list');

my ($a, $answer) = put(one => 'a', 'www.a.test', 'x.a.test');
is(warned($answer), 'host_not_allowed:x.a.test', 'a name beyond it');
gets('www.a.test', $a, 'a name');
gets('x.a.test', $own, 'a name beyond it');
is(order(one => 'www.a.test'), 'a:served', 'list');
is(order(one => 'x.a.test'), 'a:host_not_allowed!', 'list');
like((serves($server, one => 'x.a.test'))[0]{message}, qr/^no server sends/,
     'why');
is(bound(one => $answer), 'www.a.test', 'bind_host');

my ($b) = put(one => 'b', '*.b.test', 'b.test', 'y.x.b.test');
gets('x.b.test', $b, '"*.name"');
gets('b.test', $own, 'is not the name itself');
gets('y.x.b.test', $own, 'nor two labels more');

my ($c) = put(one => 'c', 'c.test', 'x.c.test', 'y.x.c.test', 'xc.test');
gets('c.test', $c, '".name" is the name');
gets('x.c.test', $c, 'one label more');
gets('y.x.c.test', $c, 'and two');
gets('xc.test', $own, 'but no other');

(undef, $answer) = put(one => 'six', '2001:db8::1');
is(warned($answer), '', 'an address, however it is spelled');

my ($x) = put(two => 'x', 'x.a.test', 'c.test');
gets('x.a.test', $x, 'a name that the other project may not have');
gets('c.test', $c, 'and one that this one may not have');
is(order(two => 'c.test'), 'x:host_not_allowed!', 'list');

my ($none) = put(three => 'none', 'n.test', 'x.a.test');
gets('n.test', $own, 'a project that is not listed');
is(order(three => 'n.test'), 'none:host_not_allowed!', 'list');
$answer = create($server, 'three', 'dry', $none, '?dry_run=true');
is(warned($answer), 'host_not_allowed:n.test', 'dry run');

# a wildcard is sent for the names below it that are listed
my ($star) = put(two => 'star', '*.a.test');
gets('z.a.test', $own, 'a wildcard beyond the list');
$server->request(DELETE => Wafcert::TLS::path('two') . '/'
                           . (serves($server, two => 'x.a.test'))[0]{id});
gets('x.a.test', $star, 'and in it');


# lists are inherited where there is none

$server->configure(http => <<"END");
    wafcert_serve zone=certs;
    ssl_protocols TLSv1.2 TLSv1.3;
    $ssl
    wafcert_serve_names one www.a.test;

    server {
        listen 127.0.0.1:$inherits ssl;
        wafcert_serve zone=certs projects=one;
    }

    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve_names three n.test;
    }
END

ok($server->reload, 'two lists');
$server->settle;

gets('n.test', $none, 'a list of its own');
gets('www.a.test', $own, 'takes the place of the other');
is(handshake($inherits, 'www.a.test')->{leaf}, $a->{leaf}, 'inherited');
is(handshake($inherits, 'c.test')->{leaf}, $own->{leaf}, 'the whole of it');
is(order(three => 'n.test'), 'none:served', 'each project is told');
is(order(one => 'www.a.test'), 'a:served', 'what its servers do');
$answer = create($server, 'three', 'dry', $none, '?dry_run=true');
is(warned($answer), 'host_not_allowed:x.a.test', 'and is warned');


# without a list

allowed('', 'no list');

($a, $answer) = put(p => 'static', 'www.own.test');
is(warned($answer), 'static_displaced:www.own.test', 'a server\'s own');
gets('www.own.test', $a, 'is displaced');

for (['*.own.test', 'by a wildcard'], ['*.wild.test', 'a wildcard'],
     ['x.wild.test', 'one below a wildcard'], ['192.0.2.7', 'an address'],
     ['127.0.0.1', 'an address that is listened to'])
{
    my ($host, $what) = @$_;
    my $pair = certificate(hosts => [ 'free.test', $host ]);
    my $answer = create($server, 'p', 'dry', $pair, '?dry_run=true');

    is(warned($answer), "static_displaced:$host", $what);
}

for ('own.test.test', 'x.own.test', 'y.x.wild.test', 'wild.test', '*.x.test',
     '127.0.0.2')
{
    my $pair = certificate(hosts => [ $_ ]);
    my $answer = create($server, 'p', 'dry', $pair, '?dry_run=true');

    is(warned($answer), '', "$_ is not");
}


# names that are nobody's

my ($top) = put(p => 'top', '*.test', '*.top.test');
gets('zone.test', $own, 'a star above a single label');
gets('x.top.test', $top, 'above two');

my $words = certificate(hosts => [ 'words.test' ], cn => 'words.test',
                        extensions => [], san => 'DNS:words.test,'
                        . 'DNS:127.0.0.1,DNS:::1,DNS:2001:DB8::1');
$answer = create($server, 'p', 'words', $words);
is($answer->{status}, 200, 'addresses in words');
is(join(' ', @{$answer->json->{hosts}}), 'words.test', 'are no hosts');
gets('words.test', $words, 'a name beside them');
gets(undef, $own, 'a client that sends no name');

$server->ends_well(qr/"wafcert_serve_names"|invalid (?:project|name) "/);
done_testing;
