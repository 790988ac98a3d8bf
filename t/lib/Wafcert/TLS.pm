package Wafcert::TLS;

# Certificates with chosen times, and handshakes, for the tests of
# wafcert_serve:
#
#   my $pair = certificate(hosts => [ 'a.test' ], from => -60, to => 3600);
#   create($server, 'project', 'name', $pair);
#   is(handshake($port, 'a.test')->{leaf}, $pair->{leaf});
#
# A pair is a hash of chain and key (PEM), leaf (SHA-256 in hex), sent (that
# of all that is sent, joined by commas) and body (members of an upload).

use strict;
use warnings;

use Cwd ();
use Digest::SHA ();
use Exporter qw(import);
use IPC::Open2 ();
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Time::HiRes ();

use Wafcert::Broken ();
use Wafcert::Fixtures ();

*tlv = \&Wafcert::Broken::tlv;

our @EXPORT = qw(certificate unsigned install create modify serves handshake client
                 ports);

my $json = JSON::PP->new->utf8->allow_nonref;
my $dir = "build/tls-$$";
my $owner = $$;
my ($made, %client);


END {
    if ($owner == $$ && $made) {
        local $?;
        close $client{in} if $client{in};
        waitpid $client{pid}, 0 if $client{pid};
        system 'rm', '-rf', $dir;
    }
}


sub directory {
    return if $made++;

    Wafcert::Fixtures::ready();
    mkdir 'build';
    mkdir $dir or die "$dir: $!\n";

    for (qw(root.crt root.key inter.crt inter.key rsa.key ec.key ed.key)) {
        write_file($_, Wafcert::Fixtures::text($_));
    }

    write_file('ca.cnf', <<'END');
[ca]
default_ca = any
[any]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = policy
rand_serial = yes
copy_extensions = copy
unique_subject = no
[policy]
commonName = optional
[req]
distinguished_name = dn
[dn]
END
    write_file('index.txt', '');
    write_file('index.txt.attr', "unique_subject = no\n");
}


sub write_file {
    my ($name, $text) = @_;

    open my $out, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
    print $out $text;
    close $out or die "$dir/$name: $!\n";
}


sub read_file {
    return Wafcert::Fixtures::read_file("$dir/$_[0]");
}


sub openssl {
    my (@args) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        chdir $dir and exec 'openssl', @args;
        POSIX::_exit(127);
    }

    waitpid $pid, 0;
    die "openssl @args:\n" . read_file('log') if $?;
}


# What OpenSSL prints of a private key.
sub text_of {
    my ($name) = @_;

    openssl('pkey', '-in', $name, '-noout', '-text');

    return read_file('log');
}


# A key of the fixtures, or a new one: "rsa1024", "rsa3072", "p384", ...
sub key_of {
    my ($type) = @_;

    directory();

    return $type if -e "$dir/$type.key";

    my @option = $type =~ /^rsa(\d+)/ ? (RSA => "rsa_keygen_bits:$1")
                                      : (EC => 'ec_paramgen_curve:'
                                               . ($type =~ /^p(\d+)/
                                                  ? "P-$1" : 'P-256'));

    openssl('genpkey', '-algorithm', $option[0], '-pkeyopt', $option[1],
            '-out', "$type.key");

    return $type;
}


sub utc {
    return POSIX::strftime('%Y%m%d%H%M%SZ', gmtime shift);
}


# hosts     names and addresses
# type      of key: rsa, ec, ed, or a new one
# from, to  seconds from now
# chain     0: without the issuer
# digest    of the signature; default sha256
# san       instead of the hosts, as OpenSSL has it
# cn        common name; default: the first host
# extensions  lines of an OpenSSL configuration, besides the hosts
# issuer    common name of another one, with an RSA key
my $number = 0;

sub certificate {
    my (%arg) = (hosts => [], type => 'ec', from => -86400, to => 86400 * 90,
                 chain => 1, digest => 'sha256', @_);

    my $key = key_of($arg{type});
    my $name = 'c' . ++$number;
    my $now = time;

    my $san = $arg{san}
              // join ',', map { (/^[\d.]+$|:/ ? 'IP:' : 'DNS:') . $_ }
                               @{$arg{hosts}};
    my $cn = $arg{cn} // $arg{hosts}[0] // 'none';

    openssl('req', '-new', '-config', 'ca.cnf', '-key', "$key.key",
            '-subj', "/CN=$cn", '-out', 'csr',
            $san ? ('-addext', "subjectAltName=$san") : ());

    my ($issuer, @extensions) = ('inter');

    if ($arg{extensions}) {
        write_file('extensions.cnf',
                   join "\n", @{$arg{extensions}}, "subjectAltName=$san", '');
        @extensions = ('-extfile', 'extensions.cnf');
    }

    if ($arg{issuer}) {
        $issuer = "issuer$number";
        write_file("$issuer.key", read_file('rsa.key'));
        openssl('req', '-x509', '-new', '-config', 'ca.cnf', '-key', 'rsa.key',
                '-subj', "/CN=$arg{issuer}", '-out', "$issuer.crt");
    }

    openssl('ca', '-config', 'ca.cnf', '-batch', '-notext', '-in', 'csr',
            '-md', $arg{digest},
            '-startdate', utc($now + $arg{from}),
            '-enddate', utc($now + $arg{to}),
            '-cert', "$issuer.crt", '-keyfile', "$issuer.key", @extensions,
            '-out', "$name.crt");

    my $leaf = read_file("$name.crt");

    return pair($leaf, $arg{chain} ? read_file("$issuer.crt") : '',
                read_file("$key.key"));
}


# One with these names, in any bytes, alone and signed by nobody.  Options are
# those of certificate().
my %signed;

sub unsigned {
    my ($names, %arg) = @_;

    my $pair = $signed{join ' ', map { "$_=$arg{$_}" } sort keys %arg}
               //= certificate(hosts => [ 'x' ], %arg, chain => 0);

    my ($tbs, @rest) = Wafcert::Broken::members(
                           Wafcert::Broken::der_of(\$pair->{chain}));
    my @tbs = Wafcert::Broken::members(tlv(@$tbs));

    $tbs[7][1] = tlv(0x30, tlv(0x30, tlv(6, "\x55\x1d\x11"),
                     tlv(4, tlv(0x30, map { tlv(0x82, $_) } @$names))));

    $tbs = tlv(0x30, map { tlv(@$_) } @tbs);

    return pair(${Wafcert::Broken::armour('CERTIFICATE',
                      tlv(0x30, $tbs, map { tlv(@$_) } @rest))},
                '', $pair->{key});
}


sub pair {
    my ($leaf, $issuers, $key) = @_;

    my $chain = $leaf . $issuers;
    my @sums = map { Digest::SHA::sha256_hex(MIME::Base64::decode($_)) }
                   $chain =~ /BEGIN CERTIFICATE-----(.*?)-----END/gs;

    return {
        chain => $chain, key => $key, leaf => $sums[0],
        sent => join(',', @sums),
        body => join ', ', '"content": ' . $json->encode($chain),
                           '"key": ' . $json->encode($key)
    };
}


# Directives for a server's own, from files that are no part of the scenario:
# that is searched for keys.
sub install {
    my ($name, $pair) = @_;

    my $file = Cwd::getcwd() . "/$dir/$name";

    write_file("$name.crt", $pair->{chain});
    write_file("$name.key", $pair->{key});

    return "ssl_certificate $file.crt; ssl_certificate_key $file.key;";
}


sub path {
    return "//v1/$_[0]/waf/certificate";
}


sub create {
    my ($server, $project, $name, $pair, $arg) = @_;

    return $server->request(POST => path($project) . ($arg // ''),
                            qq({"name": "$name", $pair->{body}}));
}


sub modify {
    my ($server, $project, $id, $pair) = @_;

    return $server->request(PUT => path($project) . "/$id",
                            "{$pair->{body}}");
}


# What "?serves=" lists: an array.
sub serves {
    my ($server, $project, $host) = @_;

    my $answer = $server->request(GET => path($project) . "?serves=$host");

    return @{$answer->json->{items} // die $answer->verdict . "\n"};
}


# Ports that are free now.
sub ports {
    my ($n) = @_;

    my @sockets = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                              Listen => 1) } 1 .. $n;

    return map { $_->sockport } @sockets;
}


# The TLS client of t/lib/handshake.c.
sub client {
    directory();

    my $program = "$dir/handshake";

    if (!-e $program) {
        system('cc', '-O', '-Wall', '-o', $program, 't/lib/handshake.c',
               '-lssl', '-lcrypto') == 0
            or die "t/lib/handshake.c was not compiled\n";
    }

    my $pid = IPC::Open2::open2(my $out, my $in, $program);

    return { pid => $pid, in => $in, out => $out };
}


# Options as in t/lib/handshake.c; "to=<address>" is where it connects to.
sub handshake {
    my ($port, $host, @options) = @_;

    %client = %{client()} unless $client{pid};

    my ($address) = map { /^to=(.*)/ ? $1 : () } @options;

    print {$client{in}} join(' ', $address // '127.0.0.1', $port, $host // '-',
                             grep { !/^to=/ } @options), "\n";
    $client{in}->flush;

    return result(scalar readline $client{out});
}


sub result {
    my ($line) = @_;

    chomp $line;
    return { failed => $1, leaf => '', sent => '' }
        if $line =~ /^failed (.*)/;

    my %result;
    (undef, @result{qw(sent version alpn session status body)}) =
        split ' ', $line, 7;

    $result{leaf} = (split /,/, $result{sent})[0];
    $result{failed} = '';
    $result{body} = ($result{body} // '') =~ s/\s+$//r;

    return \%result;
}

1;
