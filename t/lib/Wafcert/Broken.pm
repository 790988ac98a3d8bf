package Wafcert::Broken;

# What t/diagnoses.t uploads beside the fixtures: more certificates and keys,
# which join the fixtures in build/fixtures, and ways to break a good text.
#
# A text is written as it is put together: a string is the name of a fixture,
# an array is several texts, one after the other, and a reference to a string
# is that string.  All functions take any of these and return the last.

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(:flock);
use MIME::Base64 qw(decode_base64 encode_base64);

use Wafcert::Fixtures ();

our @EXPORT = qw(text der_of armour relabel naked edit replace join_lines
                 bad_der dressed names tlv rsa_key ec_key pkcs8_ec pkcs8_ed
                 pkcs8_ring zeros openssh);

*key = \&Wafcert::Fixtures::key;
*certificate = \&Wafcert::Fixtures::certificate;
*openssl = \&Wafcert::Fixtures::openssl;
*write_file = \&Wafcert::Fixtures::write_file;

my $dir = 'build/fixtures';
my @ca = ('basicConstraints=critical,CA:TRUE', 'keyUsage=keyCertSign');
my $ready;


sub text {
    my ($text) = @_;

    return join '', map { text($_) } @$text if ref $text eq 'ARRAY';
    return $$text if ref $text;

    ready();

    return Wafcert::Fixtures::text($text);
}


# The DER of the first block.
sub der_of {
    my ($text) = @_;

    my ($base64) = text($text) =~ /-----BEGIN [^-]+-----(.*?)-----END/s;

    return decode_base64($base64);
}


sub armour {
    my ($label, $der) = @_;

    my $base64 = encode_base64($der, '');
    $base64 =~ s/(.{1,64})/$1\n/g;

    return \"-----BEGIN $label-----\n$base64-----END $label-----\n";
}


sub relabel {
    my ($text, $label) = @_;

    return armour($label, der_of($text));
}


# base64 without the lines around it
sub naked {
    my ($der) = @_;

    return \encode_base64(ref $der ? $$der : der_of($der));
}


sub edit {
    my ($text, $edit) = @_;

    local $_ = text($text);
    $edit->();

    return \"$_";
}


# One character of a line (counted from 1, as a column is) for another one.
sub replace {
    my ($text, $line, $column, $character) = @_;

    my @lines = split /^/, text($text);
    substr $lines[$line - 1], $column - 1, 1, $character;

    return \join '', @lines;
}


# What is between the BEGIN and the END line, in one.
sub join_lines {
    my ($text, $by) = @_;

    return edit($text, sub {
        s{(-----BEGIN[^\n]+\n)(.*?)\n(-----END)}
         {my ($begin, $base64, $end) = ($1, $2, $3);
          $base64 =~ s/\n/$by/g; "$begin$base64\n$end"}gse;
    });
}


# A block of the same label with other DER.
sub bad_der {
    my ($text, $edit) = @_;

    my ($label) = text($text) =~ /-----BEGIN ([^-]+)-----/;
    local $_ = der_of($text);
    $edit->();

    return armour($label, $_);
}


# The same certificate with another subject, or with what is given for its
# extensions: all of them, tag and length included.
sub dressed {
    my ($text, %with) = @_;

    my ($tbs, @signature) = map { tlv(@$_) } members(der_of($text));
    my @fields = map { tlv(@$_) } members($tbs);

    $fields[5] = $with{subject} // $fields[5];
    $fields[7] = $with{extensions} // $fields[7];

    return armour('CERTIFICATE',
                  tlv(0x30, tlv(0x30, @fields), @signature));
}


# Extensions that are alternative names alone.
sub names {
    return tlv(0xa3, tlv(0x30, tlv(0x30, "\x06\x03\x55\x1d\x11",
                                   tlv(0x04, tlv(0x30, @_)))));
}


sub tlv {
    my ($tag, @bodies) = @_;

    my $body = join '', @bodies;
    my $n = length $body;

    return pack('C', $tag)
           . ($n < 128 ? pack('C', $n)
              : $n < 256 ? pack('CC', 0x81, $n)
              : $n < 65536 ? pack('Cn', 0x82, $n)
              : pack('CCn', 0x83, $n >> 16, $n & 65535))
           . $body;
}


# Tag and body of each member of a SEQUENCE.
sub members {
    my ($der) = @_;

    my @members;
    my $body = (take(\$der))[1];

    push @members, [ take(\$body) ] while length $body;

    return @members;
}


sub take {
    my ($der) = @_;

    my ($tag, $n) = unpack 'CC', substr $$der, 0, 2, '';

    if ($n > 127) {
        my $bytes = substr $$der, 0, $n - 128, '';
        $n = hex unpack 'H*', $bytes;
    }

    return ($tag, substr $$der, 0, $n, '');
}


# The certificate, with its keyUsage twice.
sub doubled {
    my ($text) = @_;

    my ($tbs, @signature) = parts(der_of($text));
    my @tbs = parts($tbs);
    my ($extensions) = parts($tbs[-1]);

    $tbs[-1] = tlv(0xa3, tlv(0x30, map { /\x55\x1d\x0f/ ? ($_, $_) : $_ }
                                       parts($extensions)));

    return armour('CERTIFICATE', tlv(0x30, tlv(0x30, @tbs), @signature));
}


# The members of a SEQUENCE, as they stand there.
sub parts {
    return map { tlv(@$_) } members($_[0]);
}


# The PKCS#1 key with other members: n => what becomes of the n-th one's
# bytes (0 is the version, 1 the modulus, ...), and bytes after the last.
sub rsa_key {
    my ($name, $edits, $more) = @_;

    my @members = members(der_of($name));

    for my $n (keys %$edits) {
        local $_ = $members[$n][1];
        $edits->{$n}->();
        $members[$n][1] = $_;
    }

    return armour('RSA PRIVATE KEY',
                  tlv(0x30, (map { tlv(@$_) } @members), $more // ''));
}


my %oid = ('P-256' => "\x2a\x86\x48\xce\x3d\x03\x01\x07",
           'P-384' => "\x2b\x81\x04\x00\x22",
           'Koblitz' => "\x2b\x81\x04\x00\x0a");

# secret, curve and point of a SEC 1 key
sub ec_parts {
    my ($name) = @_;

    my (undef, $secret, undef, $point) = members(der_of($name));

    return (secret => $secret->[1], curve => 'P-256',
            point => substr +(take(\$point->[1]))[1], 1);
}


sub ec_der {
    my (%part) = @_;

    return tlv(0x30, tlv(2, "\1"), tlv(4, $part{secret}),
               $part{curve} ? tlv(0xa0, tlv(6, $oid{$part{curve}})) : (),
               $part{point} ? tlv(0xa1, tlv(3, "\0", $part{point})) : ());
}


sub ec_key {
    my ($name, %part) = @_;

    return armour('EC PRIVATE KEY', ec_der(ec_parts($name), %part));
}


# "curve" is the one that stands inside
sub pkcs8_ec {
    my ($name, %part) = @_;

    my $algorithm = tlv(0x30, tlv(6, "\x2a\x86\x48\xce\x3d\x02\x01"),
                        tlv(6, $oid{'P-256'}));

    return armour('PRIVATE KEY',
                  tlv(0x30, tlv(2, "\0"), $algorithm,
                      tlv(4, ec_der(ec_parts($name), %part))));
}


# As RFC 5958 has it: with the public half of "public".
sub pkcs8_ed {
    my ($name, $public) = @_;

    my ($algorithm, $octets) = (members(der_of("$name.key")))[1, 2];

    return armour('PRIVATE KEY',
                  tlv(0x30, tlv(2, "\1"), tlv(@$algorithm), tlv(@$octets),
                      tlv(0x81, "\0", substr der_of("$public.pub"), -32)));
}


# As older ring and rcgen wrote it: explicitly tagged.
sub pkcs8_ring {
    my ($name, $public) = @_;

    my ($algorithm, $octets) = (members(der_of("$name.key")))[1, 2];

    return armour('PRIVATE KEY',
                  tlv(0x30, tlv(2, "\1"), tlv(@$algorithm), tlv(@$octets),
                      tlv(0xa1, tlv(3, "\0", substr der_of("$public.pub"),
                                               -32))));
}


# An EC key, as SEC 1 or PKCS#8, with zeros before its private value.
sub zeros {
    my ($name, $n) = @_;

    my $sec1 = $name =~ s/\.key$/.sec1/r;
    my %part = ec_parts($sec1);
    my @longer = (secret => "\0" x $n . $part{secret});

    return $name eq $sec1 ? ec_key($sec1, @longer) : pkcs8_ec($sec1, @longer);
}


# The Ed25519 key as ssh-keygen writes it.
sub openssh {
    my ($name) = @_;

    my $secret = substr der_of("$name.key"), -32;
    my $public = substr der_of("$name.pub"), -32;
    my $key = pack '(N/a)2', 'ssh-ed25519', $public;
    my $private = pack('NN', 1, 1) . $key
                  . pack '(N/a)2', $secret . $public, '';

    $private .= pack 'C*', 1 .. -length($private) % 8;

    return armour('OPENSSH PRIVATE KEY',
                  "openssh-key-v1\0" . pack '(N/a)3NN/aN/a', 'none', 'none',
                  '', 1, $key, $private);
}


sub ready {
    return if $ready;

    Wafcert::Fixtures::ready();

    open my $lock, '>', "$dir.lock" or die "$dir.lock: $!";
    flock $lock, LOCK_EX or die "flock: $!";

    my $made = "$dir/made.broken";

    make() unless -e $made && -M $made <= -M "$dir/made"
                  && -M $made <= -M __FILE__;

    $ready = 1;
}


sub make {
    make_keys();
    make_authorities();
    make_leaves();
    make_dates();
    make_files();

    write_file('made.broken');
}


sub make_keys {
    key("rsa$_", 'RSA', "rsa_keygen_bits:$_") for 1024, 3072, 4096,
                                                  4098;
    key('pss', 'RSA-PSS', 'rsa_keygen_bits:2048');
    key('koblitz', 'EC', 'ec_paramgen_curve:secp256k1');
    key('brainpool', 'EC', 'ec_paramgen_curve:brainpoolP256r1');
    key('x25519', 'X25519');
    key('ed2', 'ED25519');

    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt',
            'rsa_keygen_bits:2048', '-pkeyopt', 'rsa_keygen_primes:3',
            '-out', 'multi.key');
    openssl('dsaparam', '-genkey', '-out', 'dsa.key', '1024');
    openssl('dsa', '-in', 'dsa.key', '-out', 'dsa.old');
    openssl('genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt',
            'group:ffdhe2048', '-out', 'dh.params');
    openssl('genpkey', '-paramfile', 'dh.params', '-out', 'dh.key');
    openssl('ecparam', '-name', 'prime256v1', '-param_enc', 'explicit',
            '-genkey', '-noout', '-out', 'explicit.sec1');
    openssl('pkey', '-in', 'explicit.sec1', '-out', 'explicit.key');

    openssl('pkey', '-in', "$_.key", '-pubout', '-out', "$_.pub")
        for qw(ec ec2 ed ed2);
    openssl('ec', '-in', 'ec.key', '-conv_form', 'compressed',
            '-out', 'ec.compressed');
    openssl('ec', '-in', 'ec.key', '-no_public', '-out', 'ec.short');
}


# root - inter - sub, and beside them: a root of another tree; its cross
# certificate for inter; and one of inter's name with another key.
sub make_authorities {
    key($_, 'EC', 'ec_paramgen_curve:P-256') for qw(sub strange twin);

    certificate('strange', subject => '/O=Strange/CN=Root',
                extensions => \@ca);
    certificate('sub', subject => '/O=Wafcert/CN=Sub', issuer => 'inter',
                extensions => \@ca);
    certificate('cross', subject => '/O=Wafcert/CN=Intermediate',
                key => 'inter', issuer => 'strange', extensions => \@ca);
    certificate('twin', subject => '/O=Wafcert/CN=Intermediate',
                issuer => 'root', extensions => \@ca);
}


sub make_leaves {
    Wafcert::Fixtures::leaf($_)
        for qw(rsa1024 rsa3072 rsa4096 rsa4098 pss koblitz brainpool dsa);
    Wafcert::Fixtures::leaf('explicit', key => 'explicit');
    Wafcert::Fixtures::leaf('alien', key => 'ec2', issuer => 'strange');
    Wafcert::Fixtures::leaf('deep', key => 'ec', issuer => 'sub');
    Wafcert::Fixtures::leaf('self', key => 'ec', issuer => undef);

    certificate('usage', key => 'ec', issuer => 'inter',
        subject => '/CN=usage', extensions => [ '2.5.29.15=DER:040178' ]);
    certificate('cn', key => 'ec', issuer => 'inter', extensions => [],
                subject => '/O=Wafcert/CN=only.example.com');
    certificate('utf8', key => 'ec', issuer => 'inter',
                subject => "/O=M\xc3\xbcller \\/ S\xc3\xb6hne, \"AG\"",
                extensions => [ 'subjectAltName=DNS:*.example.com' ]);

    openssl('x509', '-req', '-in', 'rsa.csr', '-CA', 'inter.crt', '-CAkey',
            'inter.key', '-CAcreateserial', '-days', 3650, $_->[0],
            '-out', "$_->[1].crt")
        for [ '-sha256', 'v1' ], [ '-sha1', 'sha1' ];
}


sub make_dates {
    write_file('index.txt');
    openssl('ca', '-config', 'ca.cnf', '-batch', '-notext', '-in', 'f.csr',
            '-startdate', '20200101000000Z', '-enddate', '20210101000000Z',
            '-cert', 'inter.crt', '-keyfile', 'inter.key',
            '-out', 'expired.crt');
    openssl('ca', '-config', 'ca.cnf', '-gencrl', '-crldays', 30,
            '-cert', 'inter.crt', '-keyfile', 'inter.key', '-out', 'ca.crl');
}


sub make_files {
    openssl('x509', '-in', 'rsa.crt', '-trustout', '-addtrust', 'serverAuth',
            '-out', 'rsa.trusted');
    openssl('x509', '-in', 'rsa.crt', '-text', '-out', 'rsa.text');
    openssl('x509', '-in', 'rsa.crt', '-text', '-noout', '-out', 'text');
    openssl('pkcs12', '-in', 'p12.der', '-passin', 'pass:secret', '-nodes',
            '-out', 'rsa.bags');
}

1;
