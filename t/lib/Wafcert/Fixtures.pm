package Wafcert::Fixtures;

# Certificates and keys, made by the openssl command once a week and kept in
# build/fixtures.

use strict;
use warnings;

use Fcntl qw(:flock);
use File::Path ();
use JSON::PP ();
use MIME::Base64 ();

my $dir = 'build/fixtures';
my $san = 'subjectAltName=DNS:%s.example.com,DNS:*.%1$s.example.com,'
          . 'IP:192.0.2.1,IP:2001:db8::1';

my %cache;


sub text {
    my ($name) = @_;

    ready();

    return $cache{$name} //= read_file("$dir/$name");
}


# the base64 of all private keys, without line ends
sub private_keys {
    ready();

    my @keys;

    for my $file (glob "$dir/*") {
        my $text = read_file($file);

        push @keys, map { s/\s//gr }
                        $text =~ /PRIVATE\ KEY-----(.*?)-----END/gs;
    }

    return @keys;
}


sub ready {
    return if %cache;

    mkdir 'build';
    open my $lock, '>', "$dir.lock" or die "$dir.lock: $!";
    flock $lock, LOCK_EX or die "flock: $!";

    my $made = "$dir/made";
    my $fresh = -e $made && -M $made < 7 && -M $made <= -M __FILE__;

    make() unless $fresh;

    $cache{made} = '';
}


sub read_file {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


sub write_file {
    my ($name, @text) = @_;

    open my $out, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
    print $out @text;
    close $out or die "$dir/$name: $!\n";
}


sub openssl {
    my (@args) = @_;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', "$dir/log";
        chdir $dir and exec 'openssl', @args;
        die "openssl: $!";
    }

    waitpid $pid, 0;
    die "openssl @args:\n" . read_file("$dir/log") if $?;
}


sub key {
    my ($name, $algorithm, $option) = @_;

    openssl('genpkey', '-algorithm', $algorithm,
            $option ? ('-pkeyopt', $option) : (), '-out', "$name.key");
}


sub certificate {
    my ($name, %arg) = @_;

    my $issuer = $arg{issuer};

    openssl('req', '-x509', '-config', 'openssl.cnf', '-new', '-key',
            ($arg{key} // $name) . '.key', '-subj', $arg{subject},
            '-days', $arg{days} // 3650, '-out', "$name.crt",
            $issuer ? ('-CA', "$issuer.crt", '-CAkey', "$issuer.key") : (),
            map { ('-addext', $_) } @{$arg{extensions}});
}


sub leaf {
    my ($name, %arg) = @_;

    certificate($name, subject => "/O=Wafcert/CN=$name.example.com",
                issuer => 'inter', %arg,
                extensions => [ sprintf($san, $name),
                                'basicConstraints=CA:FALSE' ]);
}


sub bundle {
    my ($name, @parts) = @_;

    write_file($name, map { read_file("$dir/$_") } @parts);
}


sub make {
    File::Path::remove_tree($dir);
    mkdir $dir, 0700 or die "$dir: $!";

    write_file('openssl.cnf', "[req]\ndistinguished_name = dn\n[dn]\n");

    key('root', 'EC', 'ec_paramgen_curve:P-256');
    key('inter', 'EC', 'ec_paramgen_curve:P-256');
    key('rsa', 'RSA', 'rsa_keygen_bits:2048');
    key('other', 'RSA', 'rsa_keygen_bits:2048');
    key('ec', 'EC', 'ec_paramgen_curve:P-256');
    key('ec2', 'EC', 'ec_paramgen_curve:P-256');
    key('p384', 'EC', 'ec_paramgen_curve:P-384');
    key('p521', 'EC', 'ec_paramgen_curve:P-521');
    key('ed', 'ED25519');
    key('ed448', 'ED448');

    my @ca = ('basicConstraints=critical,CA:TRUE', 'keyUsage=keyCertSign');

    certificate('root', subject => '/O=Wafcert/CN=Root', extensions => \@ca);
    certificate('inter', subject => '/O=Wafcert/CN=Intermediate',
                issuer => 'root', extensions => \@ca);

    leaf($_) for qw(rsa ec p384 p521 ed ed448);
    leaf('renewed', key => 'rsa');
    leaf('soon', key => 'ec', days => 20);
    certificate('nohosts', key => 'ec', subject => '/O=Wafcert',
                issuer => 'inter', extensions => []);

    bundle("$_.chain", "$_.crt", 'inter.crt')
        for qw(rsa ec p384 p521 ed renewed soon nohosts);
    bundle('rsa.full', 'rsa.crt', 'inter.crt', 'root.crt');
    bundle('rsa.wrong', 'inter.crt', 'rsa.crt');
    bundle('rsa.many', ('rsa.crt') x 11);
    bundle('rsa.blocks', ('rsa.crt') x 17);

    make_future();
    make_spellings();
    make_other_files();
    make_examples();

    write_file('made');
}


# "openssl req" makes no certificate that is valid later
sub make_future {
    write_file('ca.cnf', <<'END');
[ca]
default_ca = later
[later]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = any
rand_serial = yes
[any]
organizationName = optional
commonName = optional
END
    write_file('index.txt');

    openssl('req', '-new', '-config', 'openssl.cnf', '-key', 'ec.key',
            '-subj', '/O=Wafcert/CN=future.example.com', '-out', 'f.csr');
    openssl('ca', '-config', 'ca.cnf', '-batch', '-notext', '-in', 'f.csr',
            '-startdate', '20400101000000Z', '-enddate', '20410101000000Z',
            '-cert', 'inter.crt', '-keyfile', 'inter.key',
            '-out', 'future.crt');

    bundle('future.chain', 'future.crt', 'inter.crt');
}


sub make_spellings {
    openssl('rsa', '-in', 'rsa.key', '-traditional', '-out', 'rsa.pkcs1');
    openssl('ec', '-in', 'ec.key', '-out', 'ec.sec1');
    openssl('ecparam', '-name', 'prime256v1', '-out', 'ec.params');
    bundle('ec.both', 'ec.params', 'ec.sec1');
}


# what somebody might send instead
sub make_other_files {
    openssl('req', '-new', '-config', 'openssl.cnf', '-key', 'rsa.key',
            '-subj', '/CN=rsa.example.com', '-out', 'rsa.csr');
    openssl('crl2pkcs7', '-nocrl', '-certfile', 'rsa.crt', '-out', 'rsa.p7');
    openssl('pkey', '-in', 'rsa.key', '-pubout', '-out', 'rsa.pub');
    openssl('pkcs8', '-topk8', '-in', 'rsa.key', '-passout', 'pass:secret',
            '-out', 'rsa.enc');
    openssl('rsa', '-in', 'rsa.key', '-traditional', '-aes128',
            '-passout', 'pass:secret', '-out', 'rsa.old');
    openssl('pkcs12', '-export', '-in', 'rsa.crt', '-inkey', 'rsa.key',
            '-passout', 'pass:secret', '-out', 'p12.der');
    openssl('ec', '-in', 'ec.key', '-param_enc', 'explicit', '-no_public',
            '-out', 'ec.explicit');
    bundle('ec.several', 'ec.key', 'ec2.key');

    write_file('rsa.p12', MIME::Base64::encode(read_file("$dir/p12.der")));

    make_large();
    make_inconsistent();
}


# it takes a minute to make one of 8208 bits that is right
sub make_large {
    my $n = 'INTEGER:0x' . 'c1' x 1026;

    write_file('large.cnf', "asn1 = SEQUENCE:key\n[key]\nv = INTEGER:0\n",
               "n = $n\ne = INTEGER:65537\n",
               map { "$_ = INTEGER:0x" . 'c1' x 513 . "\n" }
                   qw(d p q dp dq qi));
    openssl('asn1parse', '-genconf', 'large.cnf', '-out', 'large.der');
    write_file('large.pkcs1', pem('RSA PRIVATE KEY', 'large.der'));
}


# the private half of one key with the public half of another
sub make_inconsistent {
    openssl('ec', '-in', "$_.key", '-outform', 'DER', '-out', "$_.der")
        for qw(ec ec2);

    my $der = read_file("$dir/ec.der");
    substr($der, -64) = substr read_file("$dir/ec2.der"), -64;

    write_file('mixed.der', $der);
    write_file('ec.mixed', pem('EC PRIVATE KEY', 'mixed.der'));
}


sub pem {
    my ($label, $file) = @_;

    my $base64 = MIME::Base64::encode(read_file("$dir/$file"), '');
    $base64 =~ s/(.{1,64})/$1\n/g;

    return "-----BEGIN $label-----\n$base64-----END $label-----\n";
}


# The reference's examples: as they are, and as openssl writes them.
sub make_examples {
    for my $name (qw(request response)) {
        my $example = JSON::PP::decode_json(
                          read_file("t/data/create-$name.json"));

        write_file("$name.sent", $example->{content});
        write_file("$name.key", $example->{key});

        for my $member (qw(content key)) {
            my ($begin, $base64, $end) = split /\n/, $example->{$member};

            # openssl itself reads neither blanks nor long lines
            $base64 =~ s/ //g;
            $base64 =~ s/(.{1,64})/$1\n/g;
            write_file("$name.$member.in", "$begin\n$base64$end\n");
        }

        openssl('x509', '-in', "$name.content.in", '-out', "$name.crt");
        openssl('pkey', '-in', "$name.key.in", '-out', "$name.pkcs8",
                $name eq 'response' ? '-traditional' : ());
    }
}

1;
