#!/usr/bin/perl

# The names of a certificate, in whatever bytes they come, and how many.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port) = ports(1);

my $own = certificate(hosts => [ 'own.test' ]);
my $server = Wafcert::Server->new(workers => 2, size => '8m',
                                  state => 'state');
my $ssl = install('own', $own);

$server->configure(http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        $ssl
        wafcert_serve zone=certs;
    }
END

ok($server->reload, 'nginx takes the configuration');
$server->settle;


sub put {
    my ($name, $pair) = @_;

    my $answer = create($server, 'project', $name, $pair);
    is($answer->verdict, '200', "create $name");

    return $answer->json;
}

sub show {
    my ($id) = @_;

    return $server->request(GET => "/$id")->json;
}

sub bound {
    my ($shown) = @_;

    return join ' ', map { $_->{hostname} } @{$shown->{bind_host}};
}


# what no host can have

my $long = join '.', ('a' x 60) x 4;
my $dots = 'a' x 243 . '.' x 60;

my @odd = ('.', '..', '.' x 255, '*', '*.', '*..', '*.*', '*.*.test', 'a*.test',
           '*a.test', 'a.*.test', '.test', 'a..test', 'a.test..', '-.', $dots,
           "$long.test.", "$long.$long", "nul\0.test", "tab\t.test", ' .test',
           "\x7f.test", "\xc3\xbc.test", '');

for my $n (0 .. $#odd) {
    my $name = $odd[$n] =~ s/([^!-~])/sprintf '%%%02x', ord $1/ger;
    my $pair = unsigned([ $odd[$n], "odd-$n.test" ]);
    my $id = put("odd-$n", $pair)->{id};

    is(bound(show($id)), "odd-$n.test", "\"$name\" is no host");
    is(handshake($port, "odd-$n.test")->{leaf}, $pair->{leaf},
       'its other name is served');
    is($server->request(GET => "?serves=$name")->verdict,
       $name eq '' ? '200' : '400 serves_illegal', 'nor can it be asked for')
        unless $name eq '-.' || $name eq "$long.test.";
    is(modify($server, 'project', $id, unsigned([ $odd[$n] ]))->verdict,
       '200', 'modify');
    is(bound(show($id)), '', 'no host is left');
    is(handshake($port, "odd-$n.test")->{leaf}, $own->{leaf},
       'nor is any served');
    is($server->request(DELETE => "/$id")->verdict, '200', 'delete')
        if $n % 2;
}

# in one certificate, and as its common name

my @all = map { ($_, "n$_.test") } 0 .. $#odd;
my $all = put(all => unsigned([ map { $odd[$_], "n$_.test" } 0 .. $#odd ]));
is(bound(show($all->{id})), join(' ', map { "n$_.test" } 0 .. $#odd),
   'all of them in one');

for my $cn ('.', '..', '*', '.test', 'a..test') {
    my $id = put("cn$cn" =~ tr/*/-/r, certificate(cn => $cn))->{id};
    is(bound(show($id)), '', "common name $cn");
    is($server->request(DELETE => "/$id")->verdict, '200', 'delete');
}

my $list = $server->request(GET => '?host=true')->json;
is(scalar(map { @{$_->{bind_host}} } @{$list->{items}}), scalar @odd, 'list');


# a name may have upper case; one with its last dot is another name

my $case = put(case => unsigned([ 'UPPER.test', 'dot.test.' ]));
is(bound(show($case->{id})), 'upper.test', 'upper case, and a last dot');


# they are the same after a restart

my %before = map { $_->{id} => bound($_) }
                 @{$server->request(GET => '?host=true')->json->{items}};

$server->stop;
$server->start;

my %after = map { $_->{id} => bound($_) }
                @{$server->request(GET => '?host=true')->json->{items}};

is_deeply(\%after, \%before, 'after a restart');

is($server->request(DELETE => "/$_")->verdict, '200', "delete $_")
    for sort keys %after;

$server->ends_well;
done_testing;
