#!/usr/bin/perl

# What OpenSSL cannot use is never chosen for a handshake: the next good one
# is, and the warnings, "?serves=" and "bind_host" tell.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Broken;
use Wafcert::Server;
use Wafcert::Step;
use Wafcert::TLS;

my ($port) = ports(1);
my $own = certificate(hosts => [ 'own.test' ]);
my $ssl = install('own', $own);
my $serving = <<"END";
    wafcert_serve zone=certs;
    $ssl

    server {
        listen 127.0.0.1:$port ssl;
        location / { return 200 \$pid; }
    }
END

my $server = Wafcert::Server->new(workers => 2);


# A PKCS#8 key with attributes that are none: OpenSSL does not decode it.
sub attributed {
    my ($pair) = @_;

    my @members = Wafcert::Broken::members(
                      Wafcert::Broken::der_of(\$pair->{key}));

    my $key = Wafcert::Broken::armour('PRIVATE KEY',
                  Wafcert::Broken::tlv(0x30,
                      (map { Wafcert::Broken::tlv(@$_) } @members),
                      Wafcert::Broken::tlv(0xa0, "\2\1\1")));

    return Wafcert::TLS::pair($pair->{chain}, '', $$key);
}

sub shown {
    my ($id) = @_;

    return $server->request(GET => "/$id")->json;
}

sub warned {
    my ($answer) = @_;

    return join ' ', sort map { $_->{reason} } @{$answer->{warnings} // []};
}

sub bound {
    my ($id) = @_;

    return join ' ', map { $_->{hostname} } @{shown($id)->{bind_host}};
}

sub order {
    my ($host) = @_;

    return join ' ', map { "$_->{name}:$_->{reason}"
                           . ($_->{servable} ? '' : '!') }
                         serves($server, 'project', $host);
}

sub put {
    my ($name, $pair) = @_;

    my $answer = create($server, 'project', $name, $pair);
    is($answer->verdict, '200', "$name is taken");

    return $answer->json->{id};
}

# by each worker, however often the other one comes first
sub gets {
    my ($host, $pair, $what) = @_;

    my %left = map { $_ => 1 } $server->workers;

    for (1 .. 200) {
        my $got = handshake($port, $host);

        return is($got->{leaf} || $got->{failed}, $pair->{leaf}, $what)
            if $got->{leaf} ne $pair->{leaf};

        delete $left{$got->{body}};
        last unless %left;
    }

    pass($what);
}


# what no server served when it was uploaded

my $bad = attributed(certificate(hosts => [ 'a.test', 'b.test' ]));
my $good = certificate(hosts => [ 'a.test' ], from => -90000);

my $good_id = put(good => $good);
my $bad_id = put(bad => $bad);

$server->configure(http => $serving);
ok($server->reload, 'now it is served');
$server->settle;

is(order('a.test'), 'bad:served good:older', 'nothing is known of it yet');

gets('a.test', $good, 'the next good one is sent');
gets('b.test', $own, 'and the server\'s own where there is none');

is(order('a.test'), 'good:served bad:unusable!', 'list');
is((serves($server, 'project', 'a.test'))[1]{message},
   'OpenSSL failed to load it, or to sign with its key', 'why');
is(warned(shown($bad_id)), 'unusable', 'warning');
is(warned(shown($good_id)), '', 'not of the other one');
is(bound($bad_id), '', 'bind_host');
is(bound($good_id), 'a.test', 'of the good one');

my @lines = $server->news_like(qr/\[error\].*certificate $bad_id/);
is(@lines, 1, 'one line in the log');
like($lines[0], qr/project "project", revision 1,.* cannot load it/, 'is it');

ok($server->reload, 'another configuration');
$server->settle;
is(order('a.test'), 'good:served bad:unusable!', 'after a reload');
gets('a.test', $good, 'and in new workers');
is($server->news_like(qr/$bad_id/), 0, 'which say nothing more');

SKIP: {
    my ($holder) = $server->workers;
    my $refused = Wafcert::Step::refused($holder);

    skip $refused, 3 if $refused;

    # the other one is stopped, lest it gets the upload
    my ($other) = grep { $_ != $holder } $server->workers;
    freeze($server, $other);
    my $stop = stop_at($holder, 'store_publish', 100);
    my $upload = $server->send(POST => '', upload('other'));
    stopped_after($stop);
    kill CONT => $other;
    release($stop, 'kill');

    is(order('a.test'), 'good:served bad:unusable!', 'in a zone made again');
    is(warned(shown($bad_id)), 'unusable', 'warning');
    like($server->log, qr/was made again, nothing is lost/, 'it was');
    $server->settle;
}


# a change is a new try

is($server->request(PUT => "/$bad_id", '{"name": "renamed"}')->verdict, '200',
   'renamed');
is(warned(shown($bad_id)), '', 'nothing is known of the new revision');
gets('a.test', $good, 'which fares no better');
is(warned(shown($bad_id)), 'unusable', 'and that is told');
is($server->news_like(qr/\[error\].*$bad_id.*revision 2/), 1, 'once');

my $mended = certificate(hosts => [ 'a.test', 'b.test' ]);
is(modify($server, 'project', $bad_id, $mended)->verdict, '200', 'mended');
gets('a.test', $mended, 'it is sent');
is(order('a.test'), 'renamed:served good:older', 'list');
is(warned(shown($bad_id)), '', 'no warning is left');

$server->ends_well(qr/exited on signal 9/, qr/was locked by/,
                   qr/died while it changed zone/);
done_testing;
