#!/usr/bin/perl

# wafcert_trusted_certificate and wafcert_untrusted: what leads to a trusted
# root is accepted, all else refused or told.  The judge of that is openssl,
# with the same roots.

use strict;
use warnings;

use File::Temp ();
use JSON::PP ();
use Test::More;

use lib 't/lib';
use Wafcert::Fixtures ();
use Wafcert::Server;

my $dir = File::Temp->newdir;

system('/usr/bin/python3', 't/lib/chains.py', $dir) == 0
    or die "t/lib/chains.py failed\n";

my $made = JSON::PP::decode_json(
               Wafcert::Fixtures::read_file("$dir/cases.json"));
my %case = map { $_->{title} => $_ } @{$made->{cases}};
my $json = JSON::PP->new->utf8;

my $server = Wafcert::Server->new(size => '8m', workers => 1, start => 0);

sub write_file {
    my ($name, $text) = @_;

    $server->write_file("conf-$name", $text);
    return "conf-$name";
}


sub blocks {
    my ($content) = @_;

    return $content =~ /(-----BEGIN.*?-----END CERTIFICATE-----\n)/gs;
}


my %known;

# Whether openssl is content with these roots.
sub content {
    my ($chain, $roots) = @_;

    return $known{$roots}{join '', blocks($chain)} //=
        verify($chain, $roots);
}


sub verify {
    my ($chain, $roots) = @_;

    my ($leaf, @issuers) = blocks($chain);
    my @given = map { my ($name, $text) = @$_;
                      length $text
                          ? ("-$name", $server->path(write_file($name, $text)))
                          : () }
                    [ trusted => $roots ], [ untrusted => join '', @issuers ];

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec qw(openssl verify -purpose sslserver -no-CAfile -no-CApath
                -no-CAstore), @given, $server->path(write_file('leaf', $leaf));
        die "openssl: $!";
    }

    waitpid $pid, 0;
    return $? == 0 ? 1 : 0;
}


# Each set of roots is a file, with two locations.

my (%file, @locations);

sub file_of {
    my ($roots) = @_;

    return $file{$roots} //= do {
        my $n = keys %file;     # from 1

        write_file("roots-$n", "Which roots: $n\n\n$roots");

        for my $chain (qw(keep repair)) {
            for my $untrusted (qw(accept reject)) {
                push @locations, <<"END";
        location /$n/$chain/$untrusted/v1/ {
            wafcert_api zone=certs;
            wafcert_auth off;
            wafcert_chain $chain;
            wafcert_trusted_certificate conf-roots-$n;
            wafcert_untrusted $untrusted;
        }
END
            }
        }

        $n;
    };
}


file_of($_->{roots}) for map { @{$_->{clients}} } @{$made->{cases}};

$server->configure(server => join '', @locations);
$server->start;


sub post {
    my ($n, $chain, $untrusted, $case, $name) = @_;

    my $answer = $server->request(
        POST => "//$n/$chain/$untrusted" . Wafcert::Server::API,
        $json->encode({ name => $name, content => $case->{content},
                        key => $case->{key} }))->json;

    my %warned = map { $_->{reason} => $_->{message} } @{$answer->{warnings} // []};

    return { id => $answer->{id}, reason => $answer->{reason} // '',
             words => $answer->{error_msg} // '', warned => \%warned };
}


# What is wrong with the answers to a case.
sub wrong {
    my ($case, $client) = @_;

    my $n = file_of($client->{roots});
    my $name = "$case->{title}.$n";
    my $good = content($case->{content}, $client->{roots});

    my %is = map { my $chain = $_;
                   map { ("$chain.$_" => post($n, $chain, $_, $case,
                                              "$name.$chain.$_")) }
                       qw(accept reject) } qw(keep repair);
    my @wrong;

    for my $chain (qw(keep repair)) {
        my ($told, $refused) = @is{"$chain.accept", "$chain.reject"};
        my $dates = $told->{warned}{expired} || $told->{warned}{not_yet_valid};

        if (!$told->{id}) {
            push @wrong, "$chain: $told->{reason}, then $refused->{reason}"
                if $told->{reason} ne $refused->{reason}
                   || $told->{reason} eq 'chain_untrusted';
            next;
        }

        push @wrong, "$chain: \"$refused->{reason}\", and warned otherwise"
            if !$told->{warned}{untrusted}
               != ($refused->{reason} ne 'chain_untrusted');

        # keys whose signatures cost too much are not verified
        next if $refused->{words} =~ /rare kind/ || $dates;

        push @wrong, "$chain: refused: $refused->{words}"
            if $good && !$refused->{id};

        next if !$refused->{id};

        my $stored = $server->request(GET => "/$refused->{id}")->json;

        push @wrong, "$chain: accepted"
            if !content($stored->{content}, $client->{roots});
    }

    return @wrong;
}


for my $case (@{$made->{cases}}) {
    my $n;
    is(join("\n", map { my @wrong = wrong($case, $_);
                        $n++;
                        map { "client $n: $_" } @wrong } @{$case->{clients}}),
       '', $case->{title});
}


# What a person is told.

sub refusal {
    my ($title, $client) = @_;

    my $case = $case{$title};

    return post(file_of($case->{clients}[$client]{roots}), 'repair', 'reject',
                $case, 'refusal')->{words};
}

like(refusal('root-expired', 0),
     qr/the trusted certificate CN=Past,C=NL expired on \d{4}-\d\d-\d\dT/,
     'the root is named that has expired');
like(refusal('root-not-yet-valid', 0),
     qr/the trusted certificate CN=Early,C=NL is not valid before/,
     'and one that is not valid yet');
like(refusal('root-constraints', 0),
     qr/block 1 of content, CN=quay,C=NL, has a name that the name (?#
        )constraints of an issuer do not permit/, 'a name that it forbids');
like(refusal('root-path-length', 0), qr/pathLenConstraint/, 'its length');
like(refusal('bridge', 4),
     qr/the issuer of block \d of content, CN=Bridge,C=NL, CN=\w+,C=NL, (?#
        )was not sent, and is not trusted/, 'one that nobody has');

like(post(file_of($case{bridge}{clients}[4]{roots}), 'repair', 'accept',
          $case{bridge}, 'told')->{warned}{untrusted},
     qr/no root that is trusted here.*: the issuer of block \d of content, (?#
        )CN=Bridge,C=NL, CN=\w+,C=NL, was not sent, and is not trusted\z/,
     'and a warning tells why');

my $rare = post(file_of($case{'root-koblitz'}{clients}[0]{roots}), 'repair',
                'accept', $case{'root-koblitz'}, 'rare')->{warned};

is(join(' ', sort keys %$rare), 'untrusted', 'a root with a rare key');
like($rare->{untrusted}, qr/block 1 of content.*cannot be judged here: the (?#
     )trusted certificate CN=Rare,C=NL has a key, EC secp256k1, /,
     'is not taken for one that is missing');

# each of its three issuers will do
ok(post(file_of($case{bridge}{clients}[$_]{roots}), 'repair', 'reject',
        $case{bridge}, "bridge.$_")->{id}, "bridge $_") for 0 .. 3;

is(refusal('mesh', 0), '', 'the way out of a mesh is found');

my $alone = post(file_of($case{'root-alone'}{clients}[0]{roots}), 'repair',
                 'reject', $case{'root-alone'}, 'alone');
is(join(' ', sort keys %{$alone->{warned}}), '',
   'what the root itself has issued lacks nothing');

$server->ends_well;


# The directives.

my $roots = $made->{cases}[0]{clients}[0]{roots};
my ($leaf) = blocks($made->{cases}[0]{content});

my %bundle = (
    empty     => [ '',                        qr/there is no PEM block/ ],
    text      => [ "a root\n",                qr/there is no PEM block/ ],
    key       => [ "$roots$made->{cases}[0]{key}",
                   qr/block 2 is a "PRIVATE KEY", not a certificate/ ],
    base64    => [ $roots . $roots =~ s/(BEGIN CERTIFICATE-----\n)./$1*/r,
                   qr/block 2 is no PEM that can be read/ ],
    cut       => [ $roots . ($roots =~ s/-----END.*//sr) . $roots,
                   qr/block 2 is no PEM that can be read/ ],
    begin     => [ $roots . ($roots =~ s/-----\n/----\n/r),
                   qr/block 2 is no PEM that can be read/ ],
    der       => [ $roots =~ s/MII./AAAA/r,
                   qr/block 1 is no certificate that OpenSSL can read/ ],
    missing   => [ undef,                     qr/No such file/ ],
);

sub says {
    my (%arg) = @_;

    $server->configure(server => '', api => 'wafcert_auth off;', http => '',
                       %arg);
    return $server->test;
}

for my $name (sort keys %bundle) {
    my ($text, $words) = @{$bundle{$name}};

    write_file("bad-$name", $text) if defined $text;

    my ($taken, $said) =
        says(http => "wafcert_trusted_certificate conf-bad-$name;");

    ok(!$taken && $said =~ /\[emerg\].*conf-bad-$name.*$words/
       || $said =~ /\[emerg\].*$words.*conf-bad-$name/, "a bundle: $name")
        or diag($said);
    unlike($said, qr/@{[substr $made->{cases}[0]{key}, 60, 20]}/,
           'and no key is told');

    # no key is left among what the tests have logged
    unlink "$server->{prefix}/conf-bad-$name";
}

my $trusted = 'wafcert_trusted_certificate conf-roots-1;';

for my $row (
    [ 0, qr/invalid value "maybe"/, http => 'wafcert_untrusted maybe;' ],
    [ 0, qr/is duplicate/, http => $trusted x 2 ],
    [ 0, qr/invalid (?:parameter|value)? ?""|invalid parameter/,
      http => 'wafcert_trusted_certificate "";' ],
    [ 0, qr{\[emerg\] no "wafcert_trusted_certificate" is defined for the (?#
            )"wafcert_untrusted reject" in location "/v1/"},
      http => 'wafcert_untrusted reject;' ],
    [ 1, qr/successful/, http => 'wafcert_untrusted reject;',
      server => $trusted ],
    [ 1, qr/successful/, http => 'wafcert_untrusted reject;',
      api => "wafcert_auth off; $trusted" ],
    [ 1, qr/successful/, http => $trusted ],
    [ 1, qr/successful/, http => 'wafcert_untrusted accept;' ],
    [ 1, qr/successful/, http => $trusted,
      api => "wafcert_auth off; $trusted wafcert_untrusted reject;" ],
    [ 1, qr/successful/,
      http => 'wafcert_trusted_certificate conf-bad-mixed;' ])
{
    my ($good, $words, %arg) = @$row;

    # as a person keeps them, and as openssl writes them
    write_file('bad-mixed', "a root\r\n" . ($roots =~ s/\n/\r\n/gr)
               . "# another\n" . $leaf . 'end');

    my ($taken, $said) = says(%arg);

    ok($taken == $good && $said =~ $words,
       join ' ', map { ref ? () : $_ } @arg{sort keys %arg})
        or diag($said);
}


# Another store at a reload; and through an edge.

my ($east, $west) = map { $case{bridge}{clients}[$_]{roots} } 1, 0;
my $usual = $case{'root-alone'};

write_file('now', $east);

my $waf = Wafcert::Server::free_port();

$server->configure(
    server => <<"END", http => <<"END2");
        location /edge/ {
            wafcert_validate zone=edge record=on;
            proxy_pass http://127.0.0.1:$waf;
        }
END
    wafcert_trusted_certificate conf-now;
    wafcert_untrusted reject;
    wafcert_zone zone=edge:1m;

    server {
        listen 127.0.0.1:$waf;

        location /edge/v1/ {
            wafcert_api zone=certs;
            wafcert_auth off;
            wafcert_untrusted accept;
        }
    }
END2

sub upload_to {
    my ($path, $name) = @_;

    my $answer = $server->request(POST => $path, $json->encode({
        name => $name, content => $usual->{content}, key => $usual->{key} }));

    return $answer->{status} . ' ' . ($answer->json->{reason} // '');
}

my $edge = '//edge' . Wafcert::Server::API;

{
    $server->start;

    is(upload_to('', 'before'), '200 ', 'a store that has the root');
    is(upload_to($edge, 'before.edge'), '200 ', 'and at an edge');

    my $id = $server->request(GET => '')->json->{items}[0]{id};

    write_file('now', $west);
    ok($server->reload, 'another one is read at a reload');
    $server->settle;

    is(upload_to('', 'after'), '400 chain_untrusted', 'it has not');
    is(upload_to($edge, 'after.edge'), '400 chain_untrusted', 'nor at an edge');

    is($server->request(PUT => "/$id", $json->encode({ name => 'renamed' }))
       ->{status}, 200, 'what is stored can be renamed');

    write_file('now', 'nothing');
    ok(!$server->reload, 'a bad one is not taken');
    is(upload_to('', 'after'), '400 chain_untrusted', 'and the last one stays');
}

$server->ends_well(qr/\[emerg\]/);

done_testing;
