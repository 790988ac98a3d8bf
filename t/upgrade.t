#!/usr/bin/perl

# A state directory of an earlier version: what was answered 200 then is there
# now, whatever is refused today.
#
# t/data/state-1-files.json was made by commit 7d5759e on nginx 1.22.1, by
# uploads to a server with "wafcert_zone zone=certs:4m state=state
# seal_key=seal.key".  It has the files of that directory but for "changes", and
# that key, which seals nothing else; state-1.json has what was listed and shown
# then, in that order, of content and key the SHA-256.
# Made by "openssl req" and "openssl ca" for the years 2024 to 2123, the project
# "project" has
#
#   example     t/data/create-request.json: RSA-1024, expired
#   rsa, ec     ordinary ones, with their issuer
#   dot         the names "." and dot.upgrade.test
#   many        1200 names, n1.upgrade.test to n1200.upgrade.test
#   equal       1200 times the name equal.upgrade.test
#   rsa-8192    a key of that size
#   usage       an EC key with the usage keyAgreement only
#   self        an EC key, whose issuer has its subject and an RSA key
#   attributes  a PKCS#8 key with the attribute keyUsage behind it
#
# and the project "order" has order-1 to order-5, of which the second was
# renamed and then renewed with what "ec" has, and the fourth deleted.
#
# t/data/state-2-files.json was made by commit 7d4218e, from which the refusal of
# such a curve had been taken.  There "project" has "named" and "curve", both for
# curve.upgrade.test, the second one newer: the key of its issuer spells the
# parameters of its curve out, which was accepted once.
#
# t/data/state-3-files.json was made by commit 7d5759e.  There "project" has BER that
# was accepted once: "extensions", whose extensions have an indefinite length,
# "version" and "subject", which have a length that is not minimal, and "issuer",
# whose issuer has such extensions; each for a host of its name, as above.

use strict;
use warnings;

use Digest::SHA ();
use File::Path ();
use JSON::PP ();
use MIME::Base64 ();
use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port) = ports(1);
my $server = Wafcert::Server->new(
    start => 0, size => '4m', state => 'state', workers => 2,
    server => 'wafcert_return_key always;'
);
my $ssl = install('own', certificate(hosts => [ 'own.test' ]));
my @expected = @{JSON::PP::decode_json(
    Wafcert::Fixtures::read_file('t/data/state-1.json'))};

unpack_state($server, 'state-1');

# through this several nginx told each other of changes: there was one
$server->write_file('state/changes', pack 'a16 Q x163840', 'Wchange3', 1);

$server->configure(http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve zone=certs;
        $ssl
    }
END


# In place of what there is.  Each directory is there, as nginx makes them.
sub unpack_state {
    my ($server, $name) = @_;

    my $files = JSON::PP::decode_json(
        Wafcert::Fixtures::read_file("t/data/$name-files.json"));

    File::Path::remove_tree("$server->{prefix}/state");
    unlink "$server->{prefix}/seal.key";

    my $umask = umask 077;

    File::Path::make_path(map { sprintf "$server->{prefix}/state/%02x", $_ }
                              0 .. 255);
    $server->write_file($_, $files->{$_}) for keys %$files;

    umask $umask;
}


sub has_all {
    my ($what) = @_;

    my @got;

    for my $project ('project', 'order') {
        my $path = "//v1/$project/waf/certificate";

        for my $item (@{$server->request(GET => $path)->json->{items}}) {
            my $shown = $server->request(GET => "$path/$item->{id}")->json;

            push @got, {
                project => $project,
                (map { $_ => $shown->{$_} } qw(id name revision timestamp
                                               expire_time fingerprint)),
                (map { $_ => Digest::SHA::sha256_hex($shown->{$_} // '') }
                     qw(content key))
            };
        }
    }

    is(join(' ', map { $_->{name} } @got),
       join(' ', map { $_->{name} } @expected), "$what: all are listed");

    for my $i (0 .. $#expected) {
        is_deeply($got[$i], $expected[$i],
                  "$what: $expected[$i]{name} is as it was, its key, too");
    }
}

# today's rules, which they are exempt from
sub tells {
    my ($what) = @_;

    my %id = map { $_->{name} => $_->{id} } @expected;
    my %rules = (
        usage => 'chain_incomplete leaf_key_usage', rsa => 'root_dropped',
        example => 'expired newlines_repaired no_hosts no_san weak_key'
    );

    for my $name (sort keys %rules) {
        my $path = "//v1/project/waf/certificate/$id{$name}";
        my $warnings = $server->request(GET => $path)->json->{warnings};

        is(join(' ', sort map { $_->{reason} } @$warnings), $rules{$name},
           "$what: $name is told $rules{$name}");
    }
}

sub serves_all {
    my ($what) = @_;

    my %leaf = map { $_->{name} => $_->{fingerprint} } @expected;
    my %name = (
        'rsa.upgrade.test' => 'rsa', 'ec.upgrade.test' => 'ec',
        'x.ec.upgrade.test' => 'ec', 'dot.upgrade.test' => 'dot',
        'n1.upgrade.test' => 'many', 'n1200.upgrade.test' => 'many',
        'equal.upgrade.test' => 'equal', 'self.upgrade.test' => 'self',
        'attrs.upgrade.test' => 'attributes',
        'order1.upgrade.test' => 'order-1'
    );

    for my $host (sort keys %name) {
        is(handshake($port, $host)->{leaf}, $leaf{$name{$host}},
           "$what: $host is served");
    }
}


$server->start;
like($server->news, $server->loaded(scalar @expected),
     'every record is loaded');
has_all('started');
tells('started');
serves_all('started');

# root has unpacked it, and the workers have to write there
is($server->request(POST => '', upload('new'))->verdict, 200,
   'a new one is taken');
$server->request(DELETE => '/' . { $server->stored }->{new});

ok($server->reload, 'a reload');
$server->settle;
has_all('reloaded');

$server->kill_all;
$server->start;
like($server->news, $server->loaded(scalar @expected),
     'every record is loaded once more');
has_all('killed and started');
tells('killed and started');
serves_all('killed and started');

$server->ends_well(qr/signal 9/);


# A server that has what is in t/data/<file>-files.json.
sub older {
    my ($name, $file) = @_;

    my $server = Wafcert::Server->new(name => "upgrade-$name", start => 0,
                                      size => '4m', state => 'state',
                                      workers => 1);

    unpack_state($server, $file);

    $server->configure(http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve zone=certs;
        $ssl
    }
END
    $server->news;
    $server->start;

    return $server;
}

sub shown_by {
    my ($server) = @_;

    my $path = '//v1/project/waf/certificate';

    return map { $_->{name} => $server->request(GET => "$path/$_->{id}")->json }
               @{$server->request(GET => $path)->json->{items}};
}


# OpenSSL would decode it at a handshake, which may take very long, and needs not

my $curve = older(curve => 'state-2');
like($curve->news, $curve->loaded(2), 'an issuer with such a curve is loaded');

my %shown = shown_by($curve);

sub order {
    return join ' ', map { "$_->{name}:$_->{reason}" }
                         serves($curve, 'project', 'curve.upgrade.test');
}

my $got = handshake($port, 'curve.upgrade.test');
my @sent = split /,/, $got->{sent};

is($got->{leaf}, $shown{curve}{fingerprint}, 'it is sent');
is(@sent, @{$shown{curve}{chain}}, 'with its issuer');
is(order(), 'curve:served named:older', 'and it is told');

$curve->ends_well;


# what is no DER all the way down is sent as it was stored

my $ber = older(ber => 'state-3');
like($ber->news, $ber->loaded(4), 'BER is loaded');

%shown = shown_by($ber);

for my $name (sort keys %shown) {
    my @sent = map { Digest::SHA::sha256_hex(MIME::Base64::decode_base64($_)) }
                   $shown{$name}{content}
                       =~ /BEGIN CERTIFICATE-----(.*?)-----END/gs;

    is(handshake($port, "$name.upgrade.test")->{sent}, join(',', @sent),
       "$name is sent");
}

is(join(' ', sort keys %shown), 'extensions issuer subject version', 'all are');

$ber->ends_well;
done_testing;
