#!/usr/bin/perl

# Which certificate a handshake gets: by name, wildcard, address, time, chain,
# type of key and security level; and what "?serves=" and "bind_host" say.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port, $strict, $anywhere) = ports(3);

my $own = certificate(hosts => [ 'own.test' ]);

my $server = Wafcert::Server->new(workers => 2, size => '2m');

my $ssl = install('own', $own);
my $logged = 'return 200 "$wafcert_served_id $wafcert_served_fingerprint";';

$server->configure(http => <<"END");
    wafcert_serve zone=certs;
    ssl_protocols TLSv1.2 TLSv1.3;
    $ssl

    server {
        listen 127.0.0.1:$port ssl;
        listen [::1]:$port ssl;
        location / { $logged }
    }

    server {
        listen 127.0.0.1:$strict ssl;
        ssl_ciphers DEFAULT:\@SECLEVEL=3;
        location / { $logged }
    }

    server {
        listen $anywhere ssl;
        wafcert_serve zone=certs projects=second,third;
        location / { $logged }
    }
END

ok($server->reload, 'nginx takes the directive');
$server->settle;

my %id;

sub put {
    my ($name, $pair, $project) = @_;

    my $answer = create($server, $project // 'project', $name, $pair);
    die "$name: " . $answer->verdict . "\n" if $answer->{status} != 200;

    $id{$name} = $answer->json->{id};
    return $answer->json;
}

sub gone {
    my ($project) = @_;

    for my $of (@_ ? @_ : 'project') {
        my $list = $server->request(GET => Wafcert::TLS::path($of))->json;
        $server->request(DELETE => Wafcert::TLS::path($of) . "/$_->{id}")
            for @{$list->{items}};
    }

    %id = ();
}

sub gets {
    my ($host, $pair, $what, @options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got = handshake($port, $host, @options);
    is($got->{sent} || $got->{failed}, $pair->{sent}, $what);

    return $got;
}

# "name:reason ..." of a list
sub order {
    my ($host, $project) = @_;

    my %name = reverse %id;

    return join ' ', map { "$name{$_->{id}}:$_->{reason}"
                           . ($_->{servable} ? '' : '!') }
                         serves($server, $project // 'project', $host);
}

sub bound {
    my ($name, $project) = @_;

    my $shown = $server->request(GET => Wafcert::TLS::path($project
                                     // 'project') . "/$id{$name}")->json;

    return join ' ', map { $_->{hostname} } @{$shown->{bind_host}};
}

# times in certificates are whole seconds
sub wait_until {
    my ($when) = @_;

    $when = 1.2 + int $when;
    sleep $when - time if $when > time;
}

sub warned {
    my ($answer) = @_;

    return join ' ', sort map { $_->{reason} } @{$answer->{warnings} // []};
}


# names

gets('www.a.test', $own, 'nothing is stored: the server has its own');
gets(undef, $own, 'and without a name');

my $a = certificate(hosts => [ 'www.A.test', 'a.test' ]);
put(a => $a);

my $got = gets('www.a.test', $a, 'exact name');
is($got->{body}, "$id{a} $a->{leaf}", 'variables');
gets('WWW.a.TEST', $a, 'in any case');
gets('www.a.test.', $a, 'with a last dot');
gets('a.test', $a, 'its other name');
$got = gets('b.test', $own, 'no such name');
is($got->{body}, '', 'variables are empty');
gets('x.www.a.test', $own, 'below it');

my $wild = certificate(hosts => [ '*.a.test' ]);
put(wild => $wild);

gets('www.a.test', $a, 'an exact name beats a wildcard');
gets('mail.a.test', $wild, 'a wildcard covers a label');
gets('x.mail.a.test', $own, 'and no more than one');
gets('*.a.test', $own, 'nobody is called so');
gets('.a.test', $own, 'nor so');
gets('xn--mller-kva.a.test', $wild, 'A-labels');

is(order('www.a.test'), 'a:served wild:wildcard', 'the list tells');
is(order('WWW.A.TEST.'), 'a:served wild:wildcard', 'in any case');
is(order('mail.a.test'), 'wild:served', 'wildcard');
is(order('*.a.test'), 'wild:served', 'a wildcard can be asked for');
is(order('b.test'), '', 'nothing');
is(bound('a'), 'www.a.test a.test', 'bind_host');
is(bound('wild'), '*.a.test', 'bind_host of a wildcard');

my $verdict = $server->request(GET => '?serves=' . 'a' x 256)->verdict;
is($verdict, '400 serves_illegal', 'no name of a host');

my ($listed) = map { $_->{bind_host}[0] }
                   grep { $_->{name} eq 'a' }
                        @{$server->request(GET => '?host=true')->json->{items}};
like($listed->{id}, qr/^[0-9a-f]{32}$/, 'its id');
is("$listed->{hostname} $listed->{waf_type}", 'www.a.test premium', 'list');

gone();
gets('www.a.test', $own, 'deleted');

my $cn = certificate(hosts => [], cn => 'cn.test');
put(cn => $cn);
gets('cn.test', $cn, 'the common name of a certificate without names');


# addresses

my $address = certificate(hosts => [ '127.0.0.1', '::1', 'addr.test' ]);
put(address => $address);
gets(undef, $address, 'IPv4 address');
gets(undef, $address, 'IPv6 address', 'to=::1');
gets('127.0.0.1', $address, 'a client that sends the address as a name');
gets('addr.test', $address, 'its name');
is(order('127.0.0.1'), 'address:served', 'address in the list');
is(order('::1'), 'address:served', 'IPv6 address in the list');
gone();
gets(undef, $own, 'no address');


# rank

my $old = certificate(hosts => [ 'r.a.test' ], from => -3000);
my $new = certificate(hosts => [ 'r.a.test' ], from => -1000);
my $bare = certificate(hosts => [ 'r.a.test' ], from => -500, chain => 0);
my $expired = certificate(hosts => [ 'r.a.test' ], from => -400, to => -100);
my $later = certificate(hosts => [ 'r.a.test' ], from => 86400);
$wild = certificate(hosts => [ '*.a.test' ]);

put(later => $later);
gets('r.a.test', $own, 'what is not valid yet waits');
put(expired => $expired);
gets('r.a.test', $expired, 'there is nothing better');
put(wild => $wild);
gets('r.a.test', $wild, 'a valid wildcard beats an expired exact name');
put(bare => $bare);
gets('r.a.test', $bare, 'exact name');
put(old => $old);
gets('r.a.test', $old, 'a complete chain beats a later not_before');
put(new => $new);
gets('r.a.test', $new, 'later not_before');
is(order('r.a.test'), 'new:served old:older bare:chain_incomplete '
   . 'wild:wildcard expired:expired later:not_yet_valid!', 'list');
is(bound('new'), 'r.a.test', 'bind_host of the winner');
is(bound('old'), '', 'bind_host of another');
gone();


# time

my $unit = under_valgrind() ? 5 : 1;
my $now = time;
my $becomes = certificate(hosts => [ 't.a.test' ], from => 4 * $unit);
my $ends = certificate(hosts => [ 't.a.test' ], from => -5, to => 8 * $unit);
put(becomes => $becomes);
put(ends => $ends);
gets('t.a.test', $ends, 'the only one that is valid');
is(order('t.a.test'), 'ends:served becomes:not_yet_valid!', 'list');
wait_until($now + 4 * $unit);
gets('t.a.test', $becomes, 'became valid, with no call');
is(order('t.a.test'), 'becomes:served ends:older', 'list');
gone();
put(ends => $ends);
put(wild => $wild);
gets('t.a.test', $ends, 'about to expire');
wait_until($now + 8 * $unit);
gets('t.a.test', $wild, 'expired, with no call');
gone();


# types of key

my %type = map { $_ => certificate(hosts => [ 'k.test' ], type => $_) }
               qw(ec rsa ed);
put($_ => $type{$_}) for sort keys %type;

gets('k.test', $type{ec}, 'EC is what most clients prefer');
gets('k.test', $type{rsa}, 'RSA', "sigalgs=$_", 'tls12')
    for 'RSA+SHA256', 'rsa_pss_rsae_sha256';
$got = gets('k.test', $type{rsa}, 'RSA in TLSv1.3',
            'sigalgs=rsa_pss_rsae_sha256', 'tls13');
is($got->{body}, "$id{rsa} $type{rsa}{leaf}", 'the variable is RSA\'s');
gets('k.test', $type{ed}, 'Ed25519', 'sigalgs=ed25519');
is(order('k.test'), 'ec:served ed:served rsa:served', 'list');

my $newer = certificate(hosts => [ 'k.test' ], type => 'rsa', from => -60);
put(newer => $newer);
gets('k.test', $type{ec}, 'EC as before');
gets('k.test', $newer, 'the newer RSA', 'sigalgs=RSA+SHA256', 'tls12');
is(order('k.test'), 'ec:served ed:served newer:served rsa:older', 'list');
gone();

put(rsa => $type{rsa});
gets('k.test', $type{rsa}, 'RSA alone', 'tls12');
like(handshake($port, 'k.test', 'sigalgs=ECDSA+SHA256')->{failed}, qr/./,
     'nothing of the server\'s own is mixed into it');
gone();


# security level

my $weak = certificate(hosts => [ 'w.test' ], type => 'rsa1024', from => -60);
my $sha1 = certificate(hosts => [ 'w.test' ], type => 'rsa',
                       digest => 'sha1');
my $fair = certificate(hosts => [ 'w.test' ], type => 'rsa', from => -6000);

is(warned(put(weak => $weak)), 'weak_key', 'RSA-1024');
gets('w.test', $own, 'is passed over');
is(warned(put(sha1 => $sha1)), 'weak_key', 'SHA-1');
gets('w.test', $own, 'is passed over');
is(order('w.test'), 'weak:weak_key! sha1:weak_key!', 'list');
put(fair => $fair);
gets('w.test', $fair, 'the next one');
is(handshake($strict, 'w.test')->{leaf}, $own->{leaf}, 'RSA-2048 at level 3');
put(ec => certificate(hosts => [ 'w.test' ]));
isnt(handshake($strict, 'w.test')->{leaf}, $own->{leaf}, 'P-256 at level 3');
gone();


# projects

my %of = map { $_ => certificate(hosts => [ 'p.test', "$_.test" ]) }
             qw(first second third);

is(warned(put(first => $of{first}, 'first')), '', 'the first of a name');
my $answer = put(second => $of{second}, 'second');
is(warned($answer), 'host_taken', 'another project');
like($answer->{warnings}[0]{message}, qr/: p\.test$/, 'which name');
gets('p.test', $of{first}, 'the first keeps it');
gets('second.test', $of{second}, 'the other has its other name');
is(order('p.test', 'second'), 'second:host_taken', 'list');
is(bound('second', 'second'), 'second.test', 'bind_host');

$answer = create($server, 'third', 'third', $of{third}, '?dry_run=true');
is(warned($answer->json), 'host_taken', 'dry run');

is(warned(put(www => certificate(hosts => [ 'q.first.test' ]), 'first')), '',
   'a name below');
is(warned(put(star => certificate(hosts => [ '*.first.test' ]), 'second')), '',
   'a wildcard beside it');
is(order('q.first.test', 'second'), 'star:host_taken', 'stays the first\'s');
is(order('z.first.test', 'second'), 'star:served', 'all others do not');
is(warned(put(z => certificate(hosts => [ 'z.first.test' ]), 'first')),
   'host_taken', 'nor can one be taken from a wildcard');
isnt(handshake($port, 'z.first.test')->{leaf}, '', 'and it is served');

# what follows on another certificate takes over its right
my $renewed = certificate(hosts => [ 'p.test' ], from => -50);
my $was = $id{first};
put(renewed => $renewed, 'first');
$server->request(DELETE => Wafcert::TLS::path('first') . "/$was");
gets('p.test', $renewed, 'renewed by another certificate');
is(modify($server, 'first', $id{renewed}, $of{first})->verdict, '200',
   'renewed in place');
gets('p.test', $of{first}, 'it is still the first\'s');

is(handshake($anywhere, 'p.test')->{leaf}, $of{second}{leaf},
   'projects=: the first is not asked');

$server->request(DELETE => Wafcert::TLS::path('first') . "/$id{renewed}");
gets('p.test', $of{second}, 'given up');
is(warned(put(again => $of{first}, 'first')), 'host_taken', 'for good');
gets('p.test', $of{second}, 'it is the second\'s');

# one that expires
gone(qw(first second third));
$now = time;
put(short => certificate(hosts => [ 'e.test' ], to => 4 * $unit), 'first');
is(warned(put(next => certificate(hosts => [ 'e.test' ]), 'second')),
   'host_taken', 'taken');
is(order('e.test', 'second'), 'next:host_taken', 'by the first');
wait_until($now + 4 * $unit);
is(order('e.test', 'second'), 'next:served', 'until it expires');
modify($server, 'first', $id{short}, certificate(hosts => [ 'e.test' ]));
is(order('e.test', 'first'), 'short:host_taken', 'no way back');


# as many as nobody has

gone(qw(first second third));

my @hosts = map { sprintf 'host-number-%04d.many.test', $_ } 1 .. 600;
my $many = certificate(hosts => \@hosts);
put(many => $many);
gets($hosts[599], $many, 'the last of 600 names');
is(bound('many'), "@hosts", 'bind_host has all of them');
put("n$_" => $many) for 1 .. 3;

my $items = $server->request(GET => '?host=true')->json->{items};
is(scalar(@$items), 4, 'a list of them');
is(scalar(map { @{$_->{bind_host}} } @$items), 600, 'is whole');
gone();

$server->ends_well;
done_testing;
