#!/usr/bin/perl

# What OpenSSL cannot use is never chosen for a handshake: the next good one
# is, and the warnings, "?serves=" and "bind_host" tell.  Where a server would
# send it, an upload is refused.

use strict;
use warnings;

use Math::BigInt;
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
    ssl_protocols TLSv1.2 TLSv1.3;
    wafcert_max_rsa_bits 8192;
    $ssl

    server {
        listen 127.0.0.1:$port ssl;
        location / { return 200 \$pid; }
    }
END

my $server = Wafcert::Server->new(workers => 2);


sub parts { return Wafcert::Broken::parts(@_) }

sub armoured {
    my ($label, @members) = @_;

    return ${Wafcert::Broken::armour($label, tlv(0x30, @members))};
}

# A PKCS#8 key with attributes that are none.
sub attributed {
    my ($pair) = @_;

    my $der = Wafcert::Broken::der_of(\$pair->{key});
    my $key = armoured('PRIVATE KEY', parts($der), tlv(0xa0, "\2\1\1"));

    return Wafcert::TLS::pair($pair->{chain}, '', $key);
}

# The certificate with another algorithm of its signature, which is none then,
# and perhaps another public key.
sub resigned {
    my ($text, $algorithm, $key) = @_;

    my ($tbs) = parts(Wafcert::Broken::der_of(\$text));
    my @tbs = parts($tbs);

    $tbs[2] = $algorithm;
    $tbs[6] = tlv(0x30, $algorithm, tlv(3, "\0", $key)) if $key;

    return armoured('CERTIFICATE', tlv(0x30, @tbs), $algorithm,
                    tlv(3, "\0", 'x' x 3309));
}

# With the public key of a certificate that spells its curve out.
sub spelt_out {
    my ($pem) = @_;

    my ($tbs, @rest) = parts(Wafcert::Broken::der_of(\$pem));
    my @fields = parts($tbs);

    ($tbs) = parts(Wafcert::Broken::der_of('explicit.crt'));
    $fields[6] = (parts($tbs))[6];

    return armoured('CERTIFICATE', tlv(0x30, @fields), @rest);
}


sub prime {
    my ($bits) = @_;

    return Math::BigInt->from_hex(`openssl prime -generate -bits $bits -hex`
                                  =~ s/\s//gr);
}

# A number that is no prime for one: the arithmetic is right, and no signature
# is.
sub composite {
    my ($bits, @hosts) = @_;

    # p = 4 * q + 1, which 3 divides; the two highest bits of q are set

    my $q = prime($bits / 2 - 1);

    return ($q % 3 == 2 ? rsa(4 * $q + 1, $q, @hosts) : undef)
           // composite($bits, @hosts);
}

# An RSA key, and a leaf for it.
sub rsa {
    my ($p, $q, @hosts) = @_;

    my ($n, $e) = ($p * $q, Math::BigInt->new(65537));
    my $d = $e->copy->bmodinv(($p - 1) * ($q - 1));

    return undef if $d->is_nan;

    my ($zero, @numbers) = map {
        my $hex = $_->to_hex;
        $hex = "0$hex" if length($hex) % 2;
        $hex = "00$hex" if $hex =~ /^[89a-f]/i;
        tlv(2, pack 'H*', $hex);
    } Math::BigInt->new(0), $n, $e, $d, $p, $q, $d % ($p - 1), $d % ($q - 1),
      $q->copy->bmodinv($p);

    my $leaf = certificate(hosts => \@hosts, type => 'rsa', chain => 0);
    my ($tbs, @rest) = parts(Wafcert::Broken::der_of(\$leaf->{chain}));
    my @tbs = parts($tbs);

    my $algorithm = tlv(0x30, tlv(6, pack 'H*', '2a864886f70d010101'), tlv(5));
    $tbs[6] = tlv(0x30, $algorithm,
                  tlv(3, "\0", tlv(0x30, @numbers[0, 1])));

    return Wafcert::TLS::pair(
        armoured('CERTIFICATE', tlv(0x30, @tbs), @rest), '',
        armoured('RSA PRIVATE KEY', $zero, @numbers));
}

sub shown {
    my ($id) = @_;

    return $server->request(GET => "/$id")->json;
}

sub warned {
    my ($answer) = @_;

    return join ' ', grep { $_ ne 'chain_incomplete' }
                     sort map { $_->{reason} } @{$answer->{warnings} // []};
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
    my ($host, $pair, $what, @options) = @_;

    my %left = map { $_ => 1 } $server->workers;

    for (1 .. 50) {
        my $got = handshake($port, $host, @options);

        return is($got->{leaf} || $got->{failed}, $pair->{leaf}, $what)
            if $got->{leaf} ne $pair->{leaf};

        delete $left{$got->{body}};
        last unless %left;
    }

    pass($what);
}


# what no server served when it was uploaded

my $bad = composite(2048, 'a.test', 'b.test');
my $good = certificate(hosts => [ 'a.test' ], from => -90000, type => 'rsa',
                       chain => 0);

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
like($lines[0], qr/project "project", revision 1,.* cannot sign with it/,
     'is it');

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
    # the debug nginx takes more instructions to leave its mark in the zone
    my $stop = stop_at($holder, 'store_publish', under_asan() ? 500 : 100);
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
$server->wait_for('the trial ends', sub { warned(shown($bad_id)) });
is(warned(shown($bad_id)), 'unusable', 'and that is told');
is($server->news_like(qr/\[error\].*$bad_id.*revision 2/), 1, 'once');

my $mended = certificate(hosts => [ 'a.test', 'b.test' ], type => 'rsa',
                         chain => 0);
is(modify($server, 'project', $bad_id, $mended)->verdict, '200', 'mended');
gets('a.test', $mended, 'it is sent');
is(order('a.test'), 'renamed:served good:older', 'list');
is(warned(shown($bad_id)), '', 'no warning is left');


# where it would be sent, it is refused

sub refused {
    my ($pair, $reason, $sentence) = @_;

    my $answer = create($server, 'project', 'refused', $pair);
    is($answer->verdict, "400 $reason", "$reason: $sentence");
    like($answer->json->{error_msg}, qr/: \Q$sentence\E$/, 'why');

    $answer = create($server, 'project', 'refused', $pair, '?dry_run=true');
    is($answer->verdict, "400 $reason", 'dry run');
}

my $is = 'X509v3 Key Usage';

refused(attributed(certificate(hosts => [ 'c.test' ], type => $_)),
        key_der => 'OpenSSL cannot load block 1 of key: it does not'
        . ' understand its attributes') for qw(ec ed rsa);
refused(certificate(hosts => [ 'c.test' ], type => $_,
                    extensions => [ '2.5.29.15=DER:040178' ]),
        cert_malformed_extension => "OpenSSL cannot read the extension"
        . " \"$is\" of block 1 of content, CN=c.test") for qw(ec rsa);

# a signature by it takes three times as long as by others
refused(rsa(prime(16), prime(2032), 'c.test'),
        key_too_small => 'the key is an RSA key whose shorter prime has 16'
        . ' bits, at least 682 are wanted');

my $usage = certificate(hosts => [ 'c.test' ],
                        extensions => [ 'keyUsage=digitalSignature' ]);

refused(Wafcert::TLS::pair(${Wafcert::Broken::doubled(\$usage->{chain})}, '',
                           $usage->{key}),
        cert_duplicate_extension => 'block 1 of content, CN=c.test, has the'
        . " extension \"$is\" twice");
refused(certificate(hosts => [ 'c.test' ],
                    extensions => [ '2.5.29.19=DER:30060101ff0201ff' ]),
        cert_malformed_extension => 'OpenSSL takes the extensions of block 1'
        . ' of content, CN=c.test, for invalid');

is(create($server, 'project', 'fine',
          certificate(hosts => [ 'c.test' ],
                      extensions => [ 'keyUsage=digitalSignature',
                                      'basicConstraints=CA:FALSE' ]),
          '?dry_run=true')->verdict, '200', 'all others are taken');


# what only some versions of TLS can use is chosen if there is nothing better

my $wild = certificate(hosts => [ '*.d.test' ]);
my $ca = certificate(hosts => [ 'x.d.test' ],
                     extensions => [ 'keyUsage=keyCertSign' ]);

my $ca_id = put(ca => $ca);
gets('x.d.test', $ca, 'it is all there is', 'tls13');
is(order('x.d.test'), 'ca:served', 'list');
like((serves($server, 'project', 'x.d.test'))[0]{message},
     qr/in TLS 1\.3; TLS 1\.2 cannot use it/, 'in which version');

put(wild => $wild);
is(order('x.d.test'), 'wild:served ca:leaf_key_usage', 'even a wildcard');
gets('x.d.test', $wild, 'in TLS 1.2', 'tls12');
gets('x.d.test', $wild, 'in TLS 1.3', 'tls13');
is(bound($ca_id), '', 'bind_host');


# an algorithm that OpenSSL may not know (ML-DSA-65), and a curve by its
# parameters, which no worker builds

my $ml_dsa = tlv(0x30, tlv(6, "\x60\x86\x48\x01\x65\x03\x04\x03\x12"));
my $new = certificate(hosts => [ 'e.test' ]);
my ($leaf, $inter) = $new->{chain} =~ /(-----BEGIN.*?END[^\n]*\n)/gs;

my %new = (
    'an issuer that it signed' => [ $leaf, resigned($inter, $ml_dsa) ],
    'an issuer with such a key' => [ resigned($leaf, $ml_dsa),
                                     resigned($inter, $ml_dsa, 'x' x 1952) ],
    'an issuer with the key of such a curve' =>
        [ resigned($leaf, $ml_dsa), spelt_out($inter) ]
);

for my $what (sort keys %new) {
    my $pair = Wafcert::TLS::pair(@{$new{$what}}, $new->{key});

    my $id = put($what =~ s/ /_/gr => $pair);
    is(warned(shown($id)), $what =~ /key/ ? 'issuer_key_type' : '',
       "$what: warnings");

    for my $version (qw(tls12 tls13)) {
        my $got = handshake($port, 'e.test', $version);
        is($got->{sent} || $got->{failed}, $pair->{sent}, "sent in $version");
    }

    $server->request(DELETE => "/$id");
}


# the level at which OpenSSL sends it is told, and chosen by

put(strong => certificate(hosts => [ 'f.test' ], from => -90000));

my $alike = certificate(hosts => [ 'f.test' ], cn => 'f.test',
                        issuer => 'f.test', digest => 'sha1', chain => 0);
my $alike_id = put(alike => $alike);

is(warned(shown($alike_id)), 'weak_key', 'its issuer has its own name');
is(order('f.test'), 'strong:served alike:weak_key!', 'list');


# a thread tries a key that is so large

{
    my $host = 'wrong.test';
    my $good = certificate(hosts => [ $host ], from => -90000, type => 'rsa',
                           chain => 0);

    put('good-large' => $good);
    my $id = put('wrong-large' => composite(4224, $host));

    gets($host, $good, 'the next good one is sent');
    $server->wait_for('a trial', sub {
        return order($host) eq 'good-large:served wrong-large:unusable!';
    });
    gets($host, $good, 'and after it has failed');
    is($server->news_like(qr/\[error\].*$id.* cannot sign with it/), 1,
       'one line in the log');
}

{
    my $host = 'large.test';
    my $large = certificate(hosts => [ $host ], type => 'rsa4224');
    my $id = put(large => $large);

    $server->wait_for('a trial', sub {
        handshake($port, $host)->{leaf} eq $large->{leaf};
    });

    gets($host, $large, 'a large one is sent when it has signed');
    is(order($host), 'large:served', 'list');
    is(warned(shown($id)), '', 'no warning');
}

$server->ends_well(qr/exited on signal 9/, qr/was locked by/,
                   qr/died while it changed zone/);
done_testing;
