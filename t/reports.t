#!/usr/bin/perl

# What people ran into who do this job with other products, as they reported
# it there: a story for each, by the project and the number of the report.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Temp ();
use IO::Compress::Gzip qw(gzip);
use JSON::PP ();
use MIME::Base64 ();
use Test::More;

use lib 't/lib';
use Wafcert::Broken;
use Wafcert::Server;
use Wafcert::TLS;

my ($port, $waf) = ports(2);
my $json = JSON::PP->new;
my $token = 'a-token-of-this-test';

my $own = certificate(hosts => [ 'own.test' ]);
my $ssl = install('own', $own);

my $server = Wafcert::Server->new(
    workers => 2, size => '4m', start => 0,
    http => <<"END",
        wafcert_zone zone=edge:1m;

        server {
            listen 127.0.0.1:$port ssl;
            wafcert_serve zone=certs;
            ssl_protocols TLSv1.2 TLSv1.3;
            $ssl
            location / { return 200 served; }
        }

        # it answers all
        server {
            listen 127.0.0.1:$waf;
            location / {
                add_header X-Waf asked always;
                return 200 '{}';
            }
        }
END
    server => <<"END");
        location /locked/v1/ {
            wafcert_api zone=certs;
            wafcert_auth tokens=tokens;
        }

        location /edge/ {
            wafcert_validate zone=edge;
            proxy_pass http://127.0.0.1:$waf/;
        }
END

$server->write_file('tokens', sha256_hex($token) . " project write test\n");
$server->start;

my $edge = '//edge/v1/project/waf/certificate';
my $locked = '//locked/v1/project/waf/certificate';


# The body of an upload: texts as Wafcert::Broken has them.
sub body {
    my (%member) = (name => \'report', @_);

    return $json->encode({ map { my $text = text($member{$_});
                                 utf8::decode($text);
                                 ($_ => $text) } keys %member });
}

# The answer to a dry run of one, with the fixtures of a pair for the rest.
sub try {
    my (%member) = @_;

    my $pair = delete $member{pair} // 'rsa';

    return $server->request(POST => '?dry_run=true',
                            body(content => "$pair.chain", key => "$pair.key",
                                 %member));
}

# The members of a pair that certificate() has made.
sub made {
    my ($pair) = @_;

    return (content => \$pair->{chain}, key => \$pair->{key});
}

# "reason ..." of warnings
sub warned {
    my ($answer) = @_;

    return join ' ', sort map { $_->{reason} }
                         @{$answer->json->{warnings} // []};
}

# what is said of one of them
sub says {
    my ($answer, $reason) = @_;

    return join '', map { $_->{reason} eq $reason ? $_->{message} : () }
                        @{$answer->json->{warnings} // []};
}

sub put {
    my ($name, $pair) = @_;

    my $answer = create($server, 'project', $name, $pair);
    die "$name: " . $answer->verdict . "\n" if $answer->{status} != 200;

    return $answer;
}

# "reason", or "reason!" of what is not served, in the order of the choice
sub standing {
    my ($host) = @_;

    return join ' ', map { $_->{reason} . ($_->{servable} ? '' : '!') }
                         serves($server, 'project', $host);
}

sub bound {
    my ($id) = @_;

    my $shown = $server->request(GET => "/$id")->json;

    return join ' ', map { $_->{hostname} } @{$shown->{bind_host}};
}

# Tests a refusal: its reason, and a part of the sentence and the hint.
sub refused {
    my ($answer, $reason, $says, $hint, $status) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($answer->verdict, ($status // 400) . " $reason", "$reason: $says");
    like($answer->json->{error_msg}, qr/$says/, 'what is said');
    like($answer->json->{hint} // '', qr/$hint/, 'how to mend it')
        if defined $hint;
}

# Tests that one is taken, with these warnings.
sub taken {
    my ($answer, $title, $warnings) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($answer->verdict, 200, $title) or diag($answer->json->{error_msg});
    is(warned($answer), $warnings // '', 'warnings');
}


subtest 'openssl#25799, forge#660: an extension twice, or unreadable' => sub {
    my $good = certificate(hosts => [ 'twice.test' ]);

    put(good => $good);

    my $usage = certificate(hosts => [ 'twice.test' ], chain => 0,
                            extensions => [ 'keyUsage=digitalSignature' ]);

    refused(create($server, 'project', 'twice', Wafcert::TLS::pair(
                ${Wafcert::Broken::doubled(\$usage->{chain})}, '',
                $usage->{key})),
            'cert_duplicate_extension', '"X509v3 Key Usage" twice', 'anew');

    my %broken = (
        'authority key identifier' => '2.5.29.35=DER:3003800201',
        'subject key identifier' => '2.5.29.14=DER:03020101',
        'key usage' => '2.5.29.15=critical,DER:040178',
        'basic constraints' => '2.5.29.19=DER:30060101ff0201ff',
        'extended key usage' => '2.5.29.37=DER:30030601',
        'CRL points' => '2.5.29.31=DER:3003020101',
        'name constraints' => '2.5.29.30=DER:3003020101',
    );

    for my $what (sort keys %broken) {
        refused(create($server, 'project', 'broken', certificate(
                    hosts => [ 'twice.test' ],
                    extensions => [ $broken{$what} ])),
                'cert_malformed_extension', 'block 1 of content', 'anew');
    }

    for my $version (qw(tls12 tls13)) {
        is(handshake($port, 'twice.test', $version)->{leaf}, $good->{leaf},
           "the good one is in service: $version");
    }

    is(standing('twice.test'), 'served', 'and is all there is');
};


subtest 'Malcolm#833, mirror-registry#5: EC without digitalSignature' => sub {
    my $pair = certificate(hosts => [ 'usage.keys.test' ],
                           extensions => [ 'keyUsage=keyEncipherment' ]);
    my $answer = put(usage => $pair);

    is(warned($answer), 'leaf_key_usage', 'warned');
    like(says($answer, 'leaf_key_usage'),
         qr/: block 1 of content, CN=usage\.keys\.test: .*keyEncipherment/,
         'of what');

    my ($item) = serves($server, 'project', 'usage.keys.test');
    is($item->{reason}, 'served', 'it is all there is');
    like($item->{message}, qr/in TLS 1\.3; TLS 1\.2 cannot use it/,
         '"?serves=" tells the truth');

    is(handshake($port, 'usage.keys.test', 'tls13')->{leaf}, $pair->{leaf},
       'TLS 1.3');
    isnt(handshake($port, 'usage.keys.test', 'tls12')->{leaf}, $pair->{leaf},
         'TLS 1.2');

    my $good = certificate(hosts => [ '*.keys.test' ]);
    put(instead => $good);

    is(standing('usage.keys.test'), 'served leaf_key_usage', 'one that is better');
    is(handshake($port, 'usage.keys.test', 'tls12')->{leaf}, $good->{leaf},
       'TLS 1.2');
};


subtest 'apisix#11414: a dot at the end of a name' => sub {
    my $answer = put(dot => certificate(hosts => [ 'www.dot.test.' ]));

    is(warned($answer), 'host_unusable no_hosts', 'warned');
    like(says($answer, 'host_unusable'), qr/"www\.dot\.test\."/, 'quoted');
    is(bound($answer->json->{id}), '', 'nothing is bound');
};


subtest 'cryptography#13118, haproxy#2166: another label than the key' => sub {
    my @keys = (
        [ rsa => 'rsa.key', 'RSA PRIVATE KEY' ],
        [ rsa => 'rsa.key', 'EC PRIVATE KEY' ],
        [ ec => 'ec.key', 'EC PRIVATE KEY' ],
        [ ed => 'ed.key', 'EC PRIVATE KEY' ],
        [ rsa => 'rsa.pkcs1', 'PRIVATE KEY' ],
        [ rsa => 'rsa.pkcs1', 'EC PRIVATE KEY' ],
        [ ec => 'ec.sec1', 'PRIVATE KEY' ],
        [ ec => 'ec.sec1', 'RSA PRIVATE KEY' ],
        [ rsa => 'rsa.key', 'ENCRYPTED PRIVATE KEY' ],
        [ ec => 'ec.sec1', 'OPENSSH PRIVATE KEY' ],
    );

    for (@keys) {
        my ($pair, $key, $label) = @$_;

        taken(try(pair => $pair, key => relabel($key, $label)),
              "$key between the lines of $label",
              $pair eq 'ed' ? 'leaf_key_type' : '');
    }

    my $answer = $server->request(POST => '', body(
        name => \'relabelled', content => 'ec.chain',
        key => relabel('ec.sec1', 'PRIVATE KEY')));

    refused(try(pair => 'ed', key => armour($_, der_of(openssh('ed')))),
            'key_type', "OpenSSH's own format", 'ssh-keygen')
        for 'PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY';

    is(openssl_key($answer->json->{key}), openssl_key(text('ec.key')),
       'it is returned with the label that it should have');
    like($answer->json->{key}, qr/\A-----BEGIN EC PRIVATE KEY-----\n/,
         'which is that of SEC 1');
};


subtest 'mbed-crypto#331: a private value with a zero before it' => sub {
    for (map { [ $_, 'ec.sec1' ], [ $_, 'ec.key' ] } 1, 2) {
        my ($zeros, $key) = @$_;

        taken(try(pair => 'ec', key => zeros($key, $zeros)),
              "$zeros bytes more in $key") if $zeros == 1;
    }

    my $answer = $server->request(POST => '', body(
        content => 'ec.chain', key => zeros('ec.key', 1),
        name => \'longer'));

    is(openssl_key($answer->json->{key}), openssl_key(text('ec.key')),
       'what is returned is the key');
};


subtest 's2n-tls#1136: a comment with a BEGIN line in it' => sub {
    my $comment = "# copy all from -----BEGIN CERTIFICATE----- to the end\n";

    for my $text ($comment, "$comment\n$comment", " $comment",
                  $comment =~ s/from/$& ----- and/r)
    {
        taken(try(content => [ \$text, 'rsa.chain' ]), 'above the chain');
        taken(try(content => [ 'rsa.crt', \$text, 'inter.crt' ]), 'within');
        taken(try(key => [ \($text =~ s/CERTIFICATE/PRIVATE KEY/gr),
                           'rsa.key' ]), 'above the key');
    }

    taken(try(content => [ 'rsa.chain', \$comment ]), 'below');
};


subtest 'check_ssl_cert#416: an expired and a renewed one of one key' => sub {
    my @host = (hosts => [ 'renewed.test' ]);
    my $old = certificate(@host, from => -9000, to => -60, chain => 0);
    my $new = certificate(@host, from => -8000, chain => 0);
    my $newer = certificate(@host, from => -4000, chain => 0);
    my $later = certificate(@host, from => 4000);

    my $n = 0;

    for my $files ([ $old, $newer, $later ], [ $later, $new, $newer, $old ],
                   [ $old, $new, $later, $newer ])
    {
        my $content = join '', map { $_->{chain} } @$files;
        my $answer = $server->request(POST => '', body(
            name => \('renewed-' . ++$n), content => \$content,
            key => \$old->{key}));

        is($answer->json->{fingerprint}, $newer->{leaf}, 'the newest of all');
        is(warned($answer), 'chain_repaired', 'warned');
        like(says($answer, 'chain_repaired'), qr/left out: blocks 1, /,
             'of the others');
        is(handshake($port, 'renewed.test')->{leaf}, $newer->{leaf}, 'served');
    }

    # made before or after, to try a server or to ask for a certificate
    Wafcert::TLS::openssl('req', '-x509', '-new', '-config', 'ca.cnf',
                          '-key', 'ec.key', '-subj', '/CN=renewed.test',
                          '-addext', 'subjectAltName=DNS:renewed.test',
                          '-days', 9, '-out', 'self.crt');
    my $self = Wafcert::TLS::read_file('self.crt');

    for my $of ($old, $newer) {
        for my $content ("$of->{chain}$self", "$self$of->{chain}") {
            my $answer = $server->request(POST => '?dry_run=true', body(
                name => \'self-signed', content => \$content,
                key => \$old->{key}));

            is($answer->json->{fingerprint}, $of->{leaf},
               'no self-signed one instead of it');
        }
    }
};


subtest 'kore#792: flags without a value' => sub {
    my $body = body(name => \'flagged', content => 'ec.chain',
                    key => 'ec.key');

    for my $arg ('dry_run', 'dry_run=', 'dry_run&x=1', 'x=1&dry_run',
                 'dry_run=TRUE', 'dry_run=1', 'dry_run=yes', 'dry%5Frun',
                 'DRY_RUN', 'dry_run=false&dry_run=true',
                 'dry_run=true&dry_run=false', 'dry_run=true&dry_run')
    {
        for my $of ([ gateway => '' ], [ edge => $edge ]) {
            my ($who, $path) = @$of;
            my $answer = $server->request(POST => "$path?$arg", $body);

            refused($answer, 'dry_run_illegal', 'dry_run', 'true or false');
            is($answer->{headers}{'x-waf'}, undef, "?$arg, $who");
        }
    }

    is(scalar @{$server->request(GET => '?name=flagged')->json->{items}}, 0,
       'nothing was done');

    my $id = $server->request(POST => '?dry_run=false', $body)->json->{id};

    for my $of ([ gateway => '' ], [ edge => $edge ]) {
        my ($who, $path) = @$of;
        my $answer = $server->request(DELETE => "$path/$id?dry_run=true");

        refused($answer, 'dry_run_illegal', 'no dry run',
                'create and modify');
        is($answer->{headers}{'x-waf'}, undef, "a delete, $who");
    }

    is($server->request(DELETE => "/$id?dry_run=false")->verdict, 200,
       'a delete that is no dry run');

    for my $arg ('host', 'host=', 'host=1', 'host=true&host=false') {
        refused($server->request(GET => "?$arg"), 'host_illegal', 'host',
                'true or false');
    }

    refused($server->request(GET => "?$_"), 'serves_illegal', 'serves',
            'www\.example\.com') for 'serves', 'serves=';
};


subtest 'certificates by what is more than a host' => sub {
    for my $host ('https://renewed.test/', 'renewed.test:443', 'a/b',
                  'https%3A%2F%2Frenewed.test', '[::1]', '[::1]:443',
                  'user@renewed.test', 'renewed.test?', 'two%20words',
                  'a..test', '.test', '%2e', '*', 'w*.test',
                  'a.test&serves=b.test')
    {
        refused($server->request(GET => "?serves=$host"), 'serves_illegal',
                'serves', 'www\.example\.com');
    }

    is(standing($_), 'served older older', $_)
        for 'renewed.test', 'RENEWED.test', 'renewed.test.';
};


subtest 'go#43954, testssl.sh#2345: names that no client asks for' => sub {
    my $unusable = 'host_unusable no_hosts';

    for my $name ('two words.test', 'https://x.test/', 'x.test:8443', '*',
                  'w*.x.test', 'x.*.test', '*.*.test', '.x.test', 'x..test',
                  '192.0.2.7', '2001:db8::7', '*.', 'x.test/a', 'a,b.test',
                  'x_.*')
    {
        my $answer = create($server, 'project', 'odd',
                            unsigned([ $name ], from => -50));

        is(warned($answer), "chain_incomplete $unusable", "\"$name\"");
        like(says($answer, 'host_unusable'), qr/"\Q$name\E"/, 'quoted');
        is(bound($answer->json->{id}), '', 'not bound');

        $server->request(DELETE => "/" . $answer->json->{id});

        $answer = create($server, 'project', 'odd',
                         unsigned([ 'x.test', $name ], from => -50));
        is(warned($answer), 'chain_incomplete host_unusable', 'and another');
        is(bound($answer->json->{id}), 'x.test', 'which is bound');

        $server->request(DELETE => "/" . $answer->json->{id});
    }
};


subtest 'openssl#9134, agent-rs#457: Ed25519 of older ring and rcgen' => sub {
    taken(try(pair => 'ed', key => pkcs8_ring('ed', 'ed')),
          'the public half as [1] around a BIT STRING', 'leaf_key_type');
    taken(try(pair => 'ed', key => pkcs8_ed('ed', 'ed')), 'as it should be',
          'leaf_key_type');
    refused(try(pair => 'ed', key => pkcs8_ring('ed', 'ed2')),
            'key_inconsistent', 'the public key beside it', '-check');

    my ($seed, $public) = map { substr der_of($_), -32 } 'ed.key', 'ed.pub';

    refused(try(pair => 'ed', key => pkcs8_as('ed.key', tlv(4, $seed
                                                        . $public))),
            'key_der', 'public half behind its 32 bytes', 'RFC 8410');
    refused(try(pair => 'ed', key => pkcs8_as('ed.key', $seed)),
            'key_der', 'without the OCTET STRING', 'RFC 8410');

    my $answer = $server->request(POST => '', body(
        name => \'ring', content => 'ed.chain',
        key => pkcs8_ring('ed', 'ed')));

    is(openssl_key($answer->json->{key}), openssl_key(text('ed.key')),
       'what is returned is the key');
};


subtest 'harper#1438, sqrl#2168: a body that is compressed' => sub {
    my $body = body(content => 'rsa.chain', key => 'rsa.key');
    gzip(\$body => \my $gzip);

    for my $coding (qw(gzip deflate br zstd GZIP), 'gzip, identity') {
        for my $of ([ gateway => '' ], [ edge => $edge ]) {
            my ($who, $path) = @$of;
            my $answer = $server->request(POST => "$path?dry_run=true", $gzip,
                                          "Content-Encoding: $coding");

            refused($answer, 'content_encoding', 'Content-Encoding',
                    'without Content-Encoding', 415);
            is($answer->{headers}{'x-waf'}, undef, "$coding, $who");
            is($answer->json->{error_code}, 'WAF.00011014', 'error_code');
        }
    }

    for my $coding ('identity', 'Identity', '') {
        is($server->request(POST => '?dry_run=true', $body,
                            "Content-Encoding: $coding")->verdict, 200,
           "\"$coding\" is none");
    }

    my $id = '0' x 32;

    refused($server->request(PUT => "/$id", $gzip, 'Content-Encoding: gzip'),
            'content_encoding', 'Content-Encoding', 'without', 415);
    is($server->request(GET => '', undef, 'Content-Encoding: gzip')->verdict,
       200, 'what has no body may have the header');
};


subtest 'pem-rs#37: header lines in a block' => sub {
    for my $header ('X-Key-Id: 42', 'Comment: exported by a-tool',
                    'localKeyID: 01 00 00 00', "Subject: /CN=x\nIssuer: y")
    {
        my $lines = "$header\n\n";

        refused(try(content => edit('rsa.chain', sub { s/-\n/-\n$lines/ })),
                'content_pem_base64', 'header line.* at line 2\b',
                'above the BEGIN line');
        refused(try(key => edit('rsa.key', sub { s/-\n/-\n$lines/ })),
                'key_pem_base64', 'header line.* at line 2\b',
                'above the BEGIN line');
    }
};


subtest 'acme.sh#2357: must-staple, and nothing staples' => sub {
    my $answer = put(staple => certificate(
        hosts => [ 'staple.test' ],
        extensions => [ '1.3.6.1.5.5.7.1.24=DER:3003020105' ]));

    is(warned($answer), 'must_staple', 'warned');
    like(says($answer, 'must_staple'), qr/OCSP.*block 1 of content/, 'of what');
};


subtest 'jetkvm#503: an Ed25519 leaf' => sub {
    my $answer = try(pair => 'ed');

    taken($answer, 'taken', 'leaf_key_type');
    like(says($answer, 'leaf_key_type'), qr/browsers.*Ed25519/i, 'of what');
};


subtest 'client#24205, portable#595: an issuer that has expired' => sub {
    my @part = map { Wafcert::Fixtures::text($_) } qw(rsa.crt inter.crt);

    # as AddTrust's certificate for a root that clients have by now
    my $stale = ca_by('/O=Wafcert/CN=Root', 'root', 'strange', -9000, -60);
    my $answer = try(content => \join('', @part, $stale));

    taken($answer, 'a cross-signed root', 'issuer_expired');
    like(says($answer, 'issuer_expired'),
         qr/block 3 of content, CN=Root.*: expired on 20/, 'which');

    $answer = try(content => [ \join('', @part, $stale), 'root.crt' ]);
    is(warned($answer), 'root_dropped', 'a path beside it is good');

    $answer = try(content => \join('', @part, ca_by('/O=Wafcert/CN=Root', 'root', 'strange', -9000, 9000)));
    is(warned($answer), '', 'one that is valid');

    $answer = try(content => \($part[0] . ca_by('/O=Wafcert/CN=Intermediate', 'inter', 'root', -9000, -60)));
    taken($answer, 'an intermediate', 'issuer_expired');
    like(says($answer, 'issuer_expired'),
         qr/block 2 of content, CN=Intermediate.*: expired on 20/, 'which');
};


subtest 'psm#38: an array of lines' => sub {
    my @lines = split /\n/, text('rsa.chain');

    for my $member (qw(content key)) {
        my %upload = (name => 'lines', content => text('rsa.chain'),
                      key => text('rsa.key'), $member => \@lines);

        refused($server->request(POST => '?dry_run=true',
                                 $json->encode(\%upload)),
                'field_type', "\"$member\" is an array", 'join');
    }

    my $upload = $json->encode({ name => 'lines', content => \@lines,
                                 key => text('rsa.key') });
    my $hint = $server->request(POST => '?dry_run=true', $upload)
                      ->json->{hint};

    is($server->request(POST => '?dry_run=true',
                        followed($hint, $upload))->verdict, 200,
       'what the hint makes of it');

    refused($server->request(POST => '?dry_run=true',
                             '{"name": ["a"], "content": "b", "key": "c"}'),
            'field_type', '"name" is an array', '^name, content and key are');
};


subtest 'a request that is signed by AK and SK' => sub {
    my $signed = 'Authorization: SDK-HMAC-SHA256 Access=AK, '
                 . 'SignedHeaders=host;x-sdk-date, Signature=0a0b';
    my @date = 'X-Sdk-Date: 20261130T120000Z';

    for my $headers ([ $signed, @date ], [ $signed ],
                     [ $signed =~ s/SDK/sdk/r ])
    {
        refused($server->request(GET => $locked, undef, @$headers),
                'token_missing', 'SDK-HMAC-SHA256', 'token', 401);
    }

    refused($server->request(GET => $locked), 'token_missing',
            'X-Auth-Token', 'log in', 401);
    is($server->request(GET => $locked, undef, $signed,
                        "X-Auth-Token: $token")->verdict, 200,
       'a token beside it is judged');
};


subtest 'BEGIN and END in small letters' => sub {
    for my $edit (sub { s/END CERTIFICATE/End Certificate/ },
                  sub { s/END/end/ }, sub { s/END CERT/END Cert/ })
    {
        refused(try(content => edit('rsa.chain', $edit)),
                'content_pem_unterminated',
                'block 1 \(CERTIFICATE\).*END line.*capitals', 'END line');
    }

    taken(try(content => edit('rsa.chain', sub { s/E-----$/E------/gm })),
          'a dash too many is none');

    for my $edit (sub { s/BEGIN CERTIFICATE/Begin Certificate/ },
                  sub { s/BEGIN/begin/ }, sub { s/BEGIN CERT/BEGIN Cert/ })
    {
        refused(try(content => edit('rsa.chain', $edit)),
                'content_no_pem', 'BEGIN line.*capitals');
        refused(try(content => [ 'rsa.crt', edit('inter.crt', $edit) ]),
                'content_pem_unterminated', 'BEGIN line.*capitals');
    }
};


subtest 'numbered lines, quoted ones, and a diff' => sub {
    my $n = 0;
    my %prefixed = (
        number => sub { s/^/sprintf '%5d ', ++$n/gme },
        'number|' => sub { s/^/sprintf "%3d\t", ++$n/gme },
        'number:' => sub { s/^/++$n . ': '/gme },
        '"\+"' => sub { s/^/+/gm },
        '"-"' => sub { s/^/-/gm },
        '">"' => sub { s/^/> /gm },
        '"\|"' => sub { s/^/| /gm },
        '"#"' => sub { s/^/# /gm },
    );

    for my $what (sort keys %prefixed) {
        my $says = 'line.* begins? with ' . ($what =~ s/^number.*/a number/r);

        $n = 0;
        my $sent = edit('rsa.chain', $prefixed{$what});
        my $answer = try(content => $sent);

        refused($answer, 'content_pem_base64', $says, 'sed');
        taken(try(content => \followed($answer->json->{hint}, $$sent)),
              'what the hint makes of it');

        $n = 0;
        refused(try(key => edit('ec.sec1', $prefixed{$what}), pair => 'ec'),
                'key_pem_base64', $says, 'sed');

        # no certificate may be lost of a chain
        $n = 0;
        is(try(content => [ 'rsa.crt', edit('inter.crt', $prefixed{$what}) ])
               ->{status}, 400, 'block 2') if $what ne '"#"';
    }

    taken(try(content => [ edit('ec.crt', sub { s/^/# /gm }), 'rsa.chain' ]),
          'a block that is a comment');
};


subtest 'nogotofail#106, xrootd#1970: dates that are not whole' => sub {
    my $pair = certificate(hosts => [ 'dates.test' ], chain => 0);

    for my $date (tlv(0x18, '203001010000Z'), tlv(0x17, '3001010000Z'),
                  tlv(0x17, '300101000000+0100'),
                  tlv(0x18, '20500101000000.5Z'), tlv(0x18, '20500101000000'))
    {
        refused(create($server, 'project', 'dates', lasting($pair, $date),
                       '?dry_run=true'),
                'content_der', 'block 1 of content.* date', 'anew|damaged');
    }

    my %good = (tlv(0x18, '99991231235900Z') => '253402300740000',
                tlv(0x18, '20300101000000Z') => '1893456000000',
                tlv(0x17, '300101000000Z') => '1893456000000');

    is(create($server, 'project', 'dates', lasting($pair, $_),
              '?dry_run=true')->json->{expire_time}, $good{$_}, substr $_, 2)
        for sort keys %good;
};


subtest 'openssl#10634, openssl#16271: RSA keys without primes' => sub {
    my %zero = map { $_ => sub { $_ = "\0" } } 3 .. 8;
    my ($version, @numbers) = map { tlv(@$_) } Wafcert::Broken::members(
                                                   der_of('rsa.pkcs1'));

    for ([ 'first prime', 4 .. 8 ], [ 'first CRT exponent', 6 .. 8 ],
         [ 'CRT coefficient', 8 ], [ 'private exponent', 3 ])
    {
        my ($what, @n) = @$_;

        refused(try(key => rsa_key('rsa.pkcs1', { map { $_ => $zero{$_} }
                                                      @n })),
                'key_inconsistent', "lacks its $what", 'CRT values');
    }

    refused(try(key => armour('RSA PRIVATE KEY',
                              tlv(0x30, $version, @numbers[0 .. 2]))),
            'key_der', 'lacks its first prime', 'CRT values');
};


subtest 'mitmproxy#6536: a label of 64 characters' => sub {
    my $label = 'a' x 63;
    my $answer = create($server, 'project', 'label',
                        unsigned([ "a$label.test", "$label.test" ],
                                 from => -50));

    is(warned($answer), 'chain_incomplete host_unusable', 'warned');
    like(says($answer, 'host_unusable'), qr/"a$label\.test"/, 'quoted');
    is(bound($answer->json->{id}), "$label.test", 'one of 63 is bound');
    refused($server->request(GET => "?serves=a$label.test"),
            'serves_illegal', 'serves', 'www');
};


subtest 'caddy#7729, aspnetcore#69395: a name that is not ASCII' => sub {
    my $name = "m\xc3\xbcnchen.test";
    my $answer = create($server, 'project', 'idn',
                        unsigned([ $name, 'xn--mnchen-3ya.test' ],
                                 from => -50));

    is(warned($answer), 'chain_incomplete host_unusable san_malformed',
       'warned');
    is(bound($answer->json->{id}), 'xn--mnchen-3ya.test', 'what is bound');

    refused($server->request(GET => "?serves=$_"), 'serves_illegal',
            'serves', 'xn--')
        for $name, $name =~ s/([^ -~])/sprintf '%%%02X', ord $1/ger;
};


subtest 'aerospike-prometheus-exporter#42: a data: URL' => sub {
    my $url = 'data:application/x-pem-file;base64,'
              . MIME::Base64::encode(text('rsa.chain'), '');

    refused(try(content => \$url), 'content_no_pem', 'a data: URL', 'base64');
};


# The key with another one for what is in its OCTET STRING.
sub pkcs8_as {
    my ($name, $octets) = @_;

    my ($version, $algorithm) = Wafcert::Broken::members(der_of($name));

    return armour('PRIVATE KEY', tlv(0x30, tlv(@$version), tlv(@$algorithm),
                                     tlv(4, $octets)));
}


# The leaf with another end of its validity.
sub lasting {
    my ($pair, $date) = @_;

    my ($tbs, @rest) = Wafcert::Broken::members(der_of(\$pair->{chain}));
    my @tbs = Wafcert::Broken::members(tlv(@$tbs));

    $tbs[4][1] = tlv(@{(Wafcert::Broken::members(tlv(@{$tbs[4]})))[0]})
                 . $date;
    $tbs = tlv(0x30, map { tlv(@$_) } @tbs);

    return Wafcert::TLS::pair(
        ${armour('CERTIFICATE', tlv(0x30, $tbs, map { tlv(@$_) } @rest))},
        '', $pair->{key});
}


# A CA of the fixtures by another one, valid from and to so many seconds from
# now.
sub ca_by {
    my ($subject, $key, $issuer, $from, $to) = @_;

    my $dir = File::Temp->newdir;
    my %file = ('index.txt' => '', "$issuer.crt" => text("$issuer.crt"),
                "$issuer.key" => text("$issuer.key"), key => text("$key.key"),
                'ca.cnf' => <<'END');
[ca]
default_ca = any
[any]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = policy
rand_serial = yes
x509_extensions = extensions
[policy]
organizationName = optional
commonName = optional
[extensions]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[req]
distinguished_name = dn
[dn]
END

    for my $name (keys %file) {
        open my $out, '>', "$dir/$name" or die "$name: $!\n";
        print $out $file{$name};
        close $out or die "$name: $!\n";
    }

    my @dates = map { Wafcert::TLS::utc(time + $_) } $from, $to;

    system("cd $dir && exec >log 2>&1 && openssl req -new -config ca.cnf"
           . " -key key -subj '$subject' -out csr && openssl ca -config ca.cnf"
           . " -batch -notext -preserveDN -in csr -startdate $dates[0]"
           . " -enddate $dates[1] -cert $issuer.crt -keyfile $issuer.key"
           . " -out crt") == 0
        or die Wafcert::Fixtures::read_file("$dir/log");

    return Wafcert::Fixtures::read_file("$dir/crt");
}


# What the command of a hint makes of a file.
sub followed {
    my ($hint, $text) = @_;

    my $file = File::Temp->new;

    print $file $text;
    close $file;

    return scalar `@{[ $hint =~ /((?:sed|jq) .*) \S+$/ ]} $file`;
}


# What openssl prints of a key.
sub openssl_key {
    my ($pem) = @_;

    my $file = File::Temp->new;

    print $file $pem;
    close $file;

    return `openssl pkey -in $file -text -noout 2>&1`;
}

$server->ends_well;
done_testing;
