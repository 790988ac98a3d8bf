#!/usr/bin/perl

# What an edge sends to the WAF, and what comes back: beside the same
# proxy_pass without wafcert_validate.

use strict;
use warnings;

use IO::Compress::Gzip qw(gzip);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::Upstream qw(http);

use constant PROJECT => 'v1/project/waf/certificate';

my $number = 0;


# a certificate as the WAF answers with it, under an id of its own
sub certificate {
    my ($request, %more) = @_;

    my ($id) = $request =~ m{/certificate/([0-9a-f]{32})[?/ ]};
    my ($name) = $request =~ /"name": *"([^"]*)"/;

    $id //= sprintf '%08x%08x%016x', $$, time, ++$number;

    return sprintf '{"id":"%s"%s,"timestamp":1650594410630%s}', $id,
                   defined $name ? qq(,"name":"$name") : '',
                   join '', map { qq(,"$_":"$more{$_}") } sort keys %more;
}


sub chunked {
    my ($body, $size) = @_;

    return join '', (map { sprintf "%x\r\n%s\r\n", length, $_ }
                         $body =~ /(.{1,$size})/gs),
                    "0\r\n\r\n";
}


sub gzipped {
    my ($text) = @_;

    gzip(\$text, \my $zipped);

    return $zipped;
}


sub say_it {
    my ($socket, $text) = @_;

    Wafcert::Server::write_all($socket, $text);

    return 1;
}


my $gone = '{"error_code":"WAF.00022001","error_msg":"resource.not.found"}';

my %behaviour = (
    default => sub { say_it($_[0], http(200, certificate($_[1]))) },
    slow => sub {
        my $answer = http(200, certificate($_[1]));
        sleep 0.5;
        for (split //, $answer) {
            say_it($_[0], $_);
            sleep 0.002;
        }
        return 1;
    },
    cut => sub {
        say_it($_[0], http(200, substr(certificate($_[1]), 0, 60),
                           'Content-Length: 100'));
        return 0;
    },
    cutchunk => sub {
        say_it($_[0], http(200, chunked(certificate($_[1]), 20) =~
                                s/0\r\n\r\n\z//r,
                           'Transfer-Encoding: chunked'));
        return 0;
    },
    nolength => sub {
        say_it($_[0], "HTTP/1.0 200 OK\r\n\r\n" . certificate($_[1]));
        return 0;
    },
    refuse => sub {
        say_it($_[0], http(400, '{"error_code":"WAF.00011016",'
                                . '"error_msg":"name.duplicate"}',
                           'X-Request-Id: 1'));
    },
    denied => sub { say_it($_[0], http(401, '{"error_code":"x"}')) },
    gone => sub { say_it($_[0], http(404, $gone)) },
    html404 => sub { say_it($_[0], http(404, '<html>not here</html>')) },
    broken => sub { say_it($_[0], http(502, '<html>bad</html>')) },
    redirect => sub { say_it($_[0], http(302, '', 'Location: /x')) },
    none => sub { say_it($_[0], "HTTP/1.1 204 No Content\r\n\r\n") },
    chunked => sub {
        say_it($_[0], http(200, chunked(certificate($_[1]), 7),
                           'Transfer-Encoding: chunked'));
    },
    gzip => sub {
        say_it($_[0], http(200, gzipped(certificate($_[1])),
                           'Content-Encoding: gzip'));
    },
    badgzip => sub {
        say_it($_[0], http(200, substr(gzipped(certificate($_[1])), 0, -9),
                           'Content-Encoding: gzip'));
    },
    deflate => sub {
        say_it($_[0], http(200, 'xyz', 'Content-Encoding: deflate'));
    },
    big => sub {
        say_it($_[0], http(200, certificate($_[1], content => 'c' x 100_000)));
    },
    biggzip => sub {
        say_it($_[0], http(200, gzipped(certificate($_[1],
                                            content => 'c' x 100_000)),
                           'Content-Encoding: gzip'));
    },
    bigchunked => sub {
        say_it($_[0], http(200, chunked(certificate($_[1],
                                            content => 'c' x 100_000), 777),
                           'Transfer-Encoding: chunked'));
    },
    huge => sub {
        say_it($_[0], http(200, certificate($_[1],
                                    content => 'c' x 1_100_000)));
    },
    bomb => sub {
        say_it($_[0], http(200, gzipped(certificate($_[1],
                                            content => 'c' x 1_100_000)),
                           'Content-Encoding: gzip'));
    },
    close => sub {
        say_it($_[0], http(200, certificate($_[1]), 'Connection: close'));
        return 0;
    },
    closeafter => sub {
        say_it($_[0], http(200, certificate($_[1])));
        return 0;
    },
    drop => sub { 0 },
    noid => sub { say_it($_[0], http(200, '{"name":"x"}')) },
    badid => sub { say_it($_[0], http(200, '{"id":"../../etc/passwd"}')) },
    otherid => sub { say_it($_[0], http(200, '{"id":"' . '9' x 32 . '"}')) },
    html => sub { say_it($_[0], http(200, '<html>welcome</html>')) },
    empty => sub { say_it($_[0], http(200, '')) },
    early => sub {
        my $answer = http(400, '{"error_code":"WAF.00011003"}',
                          'Connection: close');
        say_it($_[0], $answer);
        sleep 0.3;
        return 0;
    },
    earlyok => sub {
        say_it($_[0], http(200, '{"id":"' . 'e' x 32 . '","name":"early"}',
                           'Connection: close'));
        sleep 0.3;
        return 0;
    },
);

my $waf = Wafcert::Upstream->new(%behaviour);
my $other = Wafcert::Upstream->new(drop => sub { 0 }, %behaviour,
                                   default => sub { 0 });

my $closed = Wafcert::Server::free_port();
my $http2 = Wafcert::Server::free_port();

my $proxy = <<'END';
            proxy_pass http://waf;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
END

my $server = Wafcert::Server->new(
    size => '4m', workers => 1, level => 'info', listen => 'sndbuf=4k',
    http => <<"END",
    wafcert_zone zone=edge:4m;

    log_format edge '\$request_method \$uri \$status [\$wafcert_id]'
                    ' [\$wafcert_name] [\$wafcert_reason]'
                    ' [\$wafcert_error_code]';
    client_max_body_size 2m;
    wafcert_max_body_size 1m;

    upstream waf {
        server 127.0.0.1:$waf->{port};
        keepalive 4;
    }

    upstream several {
        server 127.0.0.1:$closed;
        server 127.0.0.1:$other->{port} max_fails=0;
        server 127.0.0.1:$waf->{port} backup;
    }

    limit_req_zone \$binary_remote_addr zone=rate:1m rate=1000r/s;
END
    server => <<"END",
        listen 127.0.0.1:$http2 http2;
        access_log logs/access.log edge;

        location /plain/ {
            $proxy
        }

        location /edge/ {
            wafcert_validate zone=edge;
            $proxy
        }

        location /record/ {
            wafcert_validate zone=edge record=on;
            $proxy
        }

        location /normal/ {
            wafcert_validate zone=edge normalize=on record=on;
            $proxy
        }

        location /unbuffered/ {
            wafcert_validate zone=edge;
            proxy_request_buffering off;
            proxy_buffering off;
            $proxy
        }

        location /several/ {
            wafcert_validate zone=edge record=on;
            proxy_pass http://several;
            proxy_http_version 1.1;
            proxy_next_upstream error timeout non_idempotent;
        }

        location /around/ {
            wafcert_validate zone=edge record=on;
            limit_req zone=rate burst=100;
            auth_request /allowed;
            mirror /mirrored;
            rewrite ^/around/old/(.*) /around/v1/\$1 break;
            $proxy
        }

        location = /allowed {
            internal;
            if (\$http_x_denied) {
                return 403;
            }
            return 204;
        }

        location = /mirrored {
            internal;
            proxy_pass http://waf/mirrored;
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
END
);


sub path {
    my ($where, $rest) = @_;

    return "//$where/" . PROJECT . ($rest // '');
}


# the names that the edge knows, with their ids
sub known {
    return map { $_->{name} => $_->{id} }
               @{$server->request(GET => path('known'))->json->{items}};
}


sub forget {
    my %known = known();

    $server->request(DELETE => path('record', "/$_"), undef, 'X-Waf: gone')
        for values %known;

    $server->wait_for('the edge forgets', sub { !known() });
    $waf->requests;
}


# new lines of a log, once there is one that matches: it is written after the
# answer
my %seen;

sub news {
    my ($log, $pattern) = @_;

    my $lines;

    for (1 .. 100) {
        open my $in, '<', "$server->{prefix}/logs/$log.log" or die "$log: $!\n";
        seek $in, $seen{$log} // 0, 0;
        $lines = join '', <$in>;
        last if $lines =~ /$pattern/m;
        sleep 0.02;
    }

    $seen{$log} += length $lines;

    return $lines;
}


# whether a text ends with a body, which is never printed: it has a key
sub ends_with {
    my ($text, $end, $what) = @_;

    ok(length $text >= length $end && substr($text, -length $end) eq $end,
       $what)
        or diag(length $text, ' bytes, not ', length $end);
}


sub same {
    my ($got, $expected, $what) = @_;

    my $hide = sub { $_[0] =~ s/("key":)[^}]*/$1 hidden/gr };

    ok($got eq $expected, $what)
        or diag(substr($hide->($got), 0, 900), "\n--\n",
                substr($hide->($expected), 0, 900));
}


# Byte for byte: what the WAF gets.

sub sent {
    my ($where, $text) = @_;

    my $socket = $server->socket;

    $text =~ s{ /at/}{ /$where/};
    Wafcert::Server::write_all($socket, $text);

    my $answer = eval { Wafcert::Server::read_answer($socket, 10) };
    my @requests = $waf->requests;

    return (join('', map { s{ /$where/}{ /at/}r } @requests), $answer);
}


sub wire { return Wafcert::Server::wire(@_) }

my $body = upload('www');
my $odd = "\x{feff}" . (' ' x 30_000) . "\n" . $body =~ s/\\n/\\r\\n/gr . "\n";
utf8::encode($odd);

my $id = '0123456789abcdef0123456789abcdef';

my @wires = (
    [ 'a create', wire(POST => path('at'), $body) ],
    [ 'with a query', wire(POST => path('at', '?a=%20b&c=d%2Fe&&'), $body) ],
    [ 'with a question mark', wire(POST => path('at', '?'), $body) ],
    [ 'with a slash', wire(POST => path('at', '/'), $body) ],
    [ 'with headers',
      wire(POST => path('at'), $body, 'X-Auth-Token: ' . 't' x 3000,
           'Content-Type: application/json;charset=utf8', 'X-A: 1', 'X-A: 2',
           'Accept-Encoding: gzip, br', 'Accept:', 'Cookie: a=b',
           'If-Match: "7"') ],
    [ 'with a long body and blanks', wire(POST => path('at'), $odd) ],
    [ 'chunked', wire(POST => path('at'), chunked($body, 100),
                      'Transfer-Encoding: chunked') ],
    [ 'chunked, a byte each', wire(POST => path('at'), chunked($body, 1),
                                   'Transfer-Encoding: chunked') ],
    [ 'chunked and long', wire(POST => path('at'), chunked($odd, 9999),
                               'Transfer-Encoding: chunked') ],
    [ 'with Expect', wire(POST => path('at'), $body, 'Expect: 100-continue') ],
    [ 'of HTTP/1.0', wire(POST => path('at'), $body) =~ s{HTTP/1\.1}{HTTP/1.0}r ],
    [ 'a modify', wire(PUT => path('at', "/$id"), $body) ],
    [ 'a rename', wire(PUT => path('at', "/$id"), '{"name":"n"}') ],
    [ 'a list', wire(GET => path('at', '?page=1&pagesize=10')) ],
    [ 'a list with a body', wire(GET => path('at'), 'x' x 100) ],
    [ 'a HEAD', wire(HEAD => path('at', "/$id"), undef, 'Connection: close') ],
    [ 'a show', wire(GET => path('at', "/$id")) ],
    [ 'a delete', wire(DELETE => path('at', "/$id")) ],
    [ 'a delete with a body', wire(DELETE => path('at', "/$id"), '{"a":1}') ],
    [ 'hosts', wire(POST => path('at', "/$id/apply-to-hosts"), '{"a":[]}') ],
    [ 'another route', wire(POST => '//at/v1/project/waf/policy', '<xml/>') ],
    [ 'another path', wire(POST => '//at/', 'x' x 50_000) ],
);

for (@wires) {
    my ($what, $wire) = @$_;

    my ($plain, $plain_answer) = sent('plain', $wire);
    ok($plain ne '', "$what: something arrives at the WAF");

    for my $where (qw(edge record)) {
        my ($edge, $answer) = sent($where, $wire);

        same($edge, $plain, "$what: the same through $where");
        is($answer && $answer->{status},
           $plain_answer && $plain_answer->{status}, 'and the same status');
    }
}

forget();


# the client waits for "100 Continue", and gets it from the edge

{
    my $socket = $server->socket;
    my $wire = wire(POST => path('edge'), $body, 'Expect: 100-continue',
                    'Connection: close');
    my $head = substr $wire, 0, index($wire, "\r\n\r\n") + 4, '';

    Wafcert::Server::write_all($socket, $head);
    sysread $socket, my $got, 1000;
    like($got, qr/^HTTP\/1.1 100/, 'Expect is answered');

    Wafcert::Server::write_all($socket, $wire);
    is(Wafcert::Server::read_answer($socket)->{status}, 200, 'and goes on');
    ends_with(join('', $waf->requests), $body, 'with the body');
}


# HTTP/2, with a length and without one

SKIP: {
    skip 'curl has no HTTP/2', 1 unless `curl -V` =~ /HTTP2/;

    $server->write_file('body', $odd);

    for my $how ('--data-binary @', '-X POST -T - <') {
        my %sent;

        for my $where (qw(plain edge record)) {
            system "curl -sS --noproxy '*' --http2-prior-knowledge"
                   . " -o /dev/null -H 'Content-Type: application/json'"
                   . " http://127.0.0.1:$http2/$where/" . PROJECT
                   . " $how$server->{prefix}/body";

            $sent{$where} = join '', map { s{ /$where/}{ /at/}r }
                                         $waf->requests;
        }

        ends_with($sent{plain}, $odd, "HTTP/2, $how: it arrives");
        same($sent{edge}, $sent{plain}, 'the same through an edge');
        same($sent{record}, $sent{plain}, 'and one that records');
    }

    unlink "$server->{prefix}/body";
    forget();
}


# proxy_request_buffering off: an upload is read first, and has a length

{
    my ($got) = sent('unbuffered', wire(POST => path('at'),
                                        chunked($body, 100),
                                        'Transfer-Encoding: chunked'));
    my ($plain) = sent('plain', wire(POST => path('at'), $body));

    same($got, $plain, 'an unbuffered upload is sent with its length');

}


# What is wrong is refused, and never arrives.

for my $where (qw(edge record normal unbuffered)) {
    my $mismatch = upload('x') =~ s/"key": .*/"key": "-----BEGIN"}/sr;

    is($server->request(POST => path($where), $mismatch)->verdict,
       '400 key_no_pem', "$where: a bad key is refused");
    is($server->request(PUT => path($where, "/$id"), '{}')->verdict,
       '400 field_missing', 'and an empty modify');
    is($server->request(PUT => path($where, "/$id"),
                        '{"key": "x"}')->verdict,
       '400 key_no_pem', 'and half a pair');
    is($server->request(PUT => path($where, "/$id"),
                        '{"content": "x"}')->verdict,
       '400 content_no_pem', 'whichever half');
    is($server->request(POST => path($where), 'x' x 1_100_000)->verdict,
       '413 body_too_large', 'and what is too large');
    is($server->request(POST => path($where), $body,
                        'Content-Type: text/plain')->verdict,
       '400 content_type', 'and another type');
}

for my $where (qw(edge record)) {
    for ([ 'another method' => 405, PATCH => "/$id" ],
         [ 'OPTIONS' => 405, OPTIONS => '' ],
         [ 'POST to an id' => 405, POST => "/$id" ],
         [ 'PUT without an id' => 405, PUT => '' ],
         [ 'hosts, with GET' => 405, GET => "/$id/apply-to-hosts" ],
         [ 'an id that is none' => 400, PUT => '/X' ])
    {
        my ($what, $status, $method, $rest) = @$_;

        is($server->request($method => path($where, $rest), 'not JSON')
               ->{status}, $status, "$where: $what is refused");
    }
}

is(scalar($waf->requests), 0, 'and the WAF has seen nothing of it');


# half a pair that may be right is the WAF's to judge

for my $where (qw(edge record)) {
    my ($key) = $body =~ /("key": .*)\}/s;
    my ($content) = $body =~ /("content": .*), "key"/s;

    for my $half ("{$key}", "{$content}") {
        is($server->request(PUT => path($where, "/$id"), $half)->{status},
           200, "$where: half of a pair passes");
        ends_with(join('', $waf->requests), "\r\n\r\n$half",
                  'as it was sent');
    }
}


# What comes back is what came.

for my $how (sort keys %behaviour) {
    next if $how =~ /^(?:huge|bomb|early)/;

    for my $request ([ POST => '', upload($how) ],
                     [ PUT => "/$id", upload($how) ],
                     [ GET => "/$id" ], [ DELETE => "/$id" ], [ GET => '' ])
    {
        my ($method, $rest, $text) = @$request;
        my %got;

        for my $where (qw(plain edge record)) {
            my $answer = $server->request($method => path($where, $rest),
                                          $text, "X-Waf: $how");

            # it shall be seen before the next request that it is closed
            sleep 0.2 if $how eq 'closeafter';

            delete @{$answer->{headers}}{qw(date content-length
                                            transfer-encoding)} if $answer;
            $answer->{body} =~ s/"id":"(?!$id)[0-9a-f]{32}"//
                if $answer;

            $got{$where} = $answer ? join("\n", $answer->{status},
                                          (map { "$_: $answer->{headers}{$_}" }
                                               sort keys %{$answer->{headers}}),
                                          $answer->{body} =~ /^\x1f/
                                              ? 'gzip' : $answer->{body})
                                   : 'cut';
        }

        is($got{edge}, $got{plain}, "$method $how: the same answer");
        is($got{record}, $got{plain}, 'with record=on too');
    }

    forget();
}


# What is kept of it.

my %fails = (
    map({ $_ => 'answer_illegal' } qw(noid badid html empty none deflate
                                      badgzip huge bomb))
);

news('access', '^GET');
news('error', '^');

my $failures = () = $server->log =~ /could not record/g;

for my $how (qw(default slow nolength chunked gzip big biggzip bigchunked
                close closeafter noid badid html empty none deflate badgzip
                huge bomb refuse denied broken redirect cut cutchunk))
{
    my $answer = $server->request(POST => path('record'), upload("n-$how"),
                                  "X-Waf: $how");

    # nginx is to see that this connection is no more
    sleep 0.2 if $how eq 'closeafter';

    my $line = news('access', "^POST .*\\[n-$how\\]");
    my $errors = news('error', $fails{$how} ? 'could not record' : '^');
    my %known = known();

    if ($how =~ /^(?:default|slow|nolength|.*chunked|gzip|big.*|close.*)$/) {
        ok($known{"n-$how"}, "$how: is kept");
        like($line, qr/200 \[$known{"n-$how"}\] \[n-$how\] \[-\]/,
             'and the access log has its id');

    } elsif ($fails{$how}) {
        $failures++;

        is($answer->{status}, $how eq 'none' ? 204 : 200,
           "$how: the client has its answer");
        is($known{"n-$how"}, undef, 'and nothing is kept');
        like($line, qr/20[04] \[-\] \[n-$how\] \[answer_illegal\]/,
             'as the access log says');
        is(scalar(() = $errors =~ /could not record[^\n]* answer_illegal,/g),
           1, 'the error log says so once');
        like($errors, qr/; $failures so far/, 'with a number');

    } else {
        is($known{"n-$how"}, undef, "$how: nothing is kept");
        unlike($errors, qr/could not record/, 'nor would it be');
        like($line, qr/\[n-$how\] \[-\]/, 'with no reason');
    }
}

forget();


# answers before the body has been sent

for my $how (qw(early earlyok)) {
    for my $where (qw(plain edge record)) {
        my $big = upload($how) =~ s/\}\z/', "x": "' . 'x' x 900_000 . '"}'/er;
        my $answer = $server->request(POST => path($where), $big,
                                      "X-Waf: $how");

        is($answer->{status}, $how eq 'early' ? 400 : 200,
           "$where: $how is passed");
    }
}

is({ known() }->{early}, 'e' x 32, 'and kept');
forget();


# servers that do not answer: the body is sent again, whole

{
    $waf->requests;
    $other->requests;

    my $answer = $server->request(POST => path('several'), $odd);

    is($answer->{status}, 200, 'a server that is left answers');
    ends_with(join('', $other->requests), "\r\n\r\n$odd",
              'one has got the body');
    ends_with(join('', $waf->requests), "\r\n\r\n$odd", 'and the other');
    is_deeply([ keys %{{ known() }} ], [ 'www' ], 'it is kept once');
    forget();
}

# a kept connection that is closed meanwhile

for my $i (1 .. 5) {
    is($server->request(POST => path('record'), upload("k$i"),
                        'X-Waf: closeafter')->{status},
       200, 'a connection that was closed is replaced');

    # nginx sends no POST again over a connection that it had used before
    sleep 0.2;
}

is(scalar(keys %{{ known() }}), 5, 'and all are kept');
forget();


# limit_req, auth_request, mirror, rewrite

{
    $waf->requests;

    is($server->request(POST => path('around'), $body, 'X-Denied: 1')
           ->{status}, 403, 'auth_request comes first');
    is(scalar($waf->requests), 0, 'and the WAF sees nothing');

    is($server->request(POST => '//around/old/project/waf/certificate',
                        $odd)->{status}, 200, 'what was rewritten is judged');

    my @requests;
    for (1 .. 100) {
        push @requests, $waf->requests;
        last if @requests == 2;
        sleep 0.02;
    }

    is(scalar(@requests), 2, 'and mirrored');
    ends_with($_, "\r\n\r\n$odd", 'with the body') for @requests;

    is($server->request(POST => '//around/old/project/waf/certificate',
                        'x')->verdict, '400 json_syntax', 'or refused');
    sleep 0.2;
    is(scalar($waf->requests), 0, 'and not mirrored');
    forget();
}


# normalize=on

{
    my $chain = Wafcert::Fixtures::text('ec.chain');
    my $key = Wafcert::Fixtures::text('ec.key');
    my $json = JSON::PP->new->utf8;
    my $encode = sub { $json->encode({ @_ }) };

    my $sloppy = $encode->(name => 'nice', x => 1,
                           content => "Bag\n" . $chain =~ s/\n/\r\n/gr,
                           key => $key =~ s/\n/ /gr);

    for my $wire (wire(POST => path('normal'), $sloppy),
                  wire(POST => path('normal'), chunked($sloppy, 500),
                       'Transfer-Encoding: chunked'))
    {
        my ($got, $answer) = sent('normal', $wire);
        my ($head, $text) = split /\r\n\r\n/, $got, 2;

        is($answer->{status}, 200, 'sloppy PEM is accepted');
        is_deeply($json->decode($text),
                  { name => 'nice', content => $chain, key => $key },
                  'and goes on as it should be');
        is(($head =~ /^Content-Length: (\d+)\r?$/mi)[0], length $text,
           'with its length');
    }

    my ($got) = sent('normal', wire(PUT => path('normal', "/$id"),
                                    $encode->(key => $key =~ s/\n/ /gr)));
    is_deeply($json->decode(($got =~ /\r\n\r\n(.*)/s)[0]), { key => $key },
              'half a pair too');

    ($got) = sent('normal', wire(PUT => path('normal', "/$id"),
                                 '{ "name" : "renamed" }'));
    is_deeply($json->decode(($got =~ /\r\n\r\n(.*)/s)[0]),
              { name => 'renamed' }, 'and a name');
    forget();
}


# a dry run is the edge's own: the WAF would do it

for my $where (qw(edge record)) {
    is($server->request(POST => path($where, '?dry_run=true'), $body)
           ->{status}, 200, 'a dry run is answered');
    is($server->request(POST => path($where, '?dry_run=1'), $body)->verdict,
       '400 dry_run_illegal', 'or refused');
    is(scalar($waf->requests), 0, 'and the WAF has seen nothing');
    is_deeply({ known() }, {}, 'nor is it kept');
}


# an answer that a client is slow to read is in a file, but not on an edge

for (1 .. 3) {
    my %files;

    for my $where (qw(plain edge record)) {
        my $from = length $server->log;
        my $socket = $server->socket(receive => 2048);

        Wafcert::Server::write_all($socket,
            wire(GET => path($where, "/$id"), undef, 'X-Waf: big'));
        sleep 0.3;

        $files{$where} = () = substr($server->log, $from)
                              =~ /buffered to a temporary file/g;

        is(length Wafcert::Server::read_answer($socket)->{body},
           100_000 + length certificate("GET /certificate/$id ",
                                        content => ''),
           "$where: an answer is read slowly");
    }

    is_deeply(\%files, { plain => 1, edge => 0, record => 0 },
              'and written to a file where there is no edge');
}


# clients that go away, and the WAF that is slow

for my $at (10, 300, 2000) {
    for my $where (qw(edge record)) {
        my $socket = $server->socket;

        Wafcert::Server::write_all($socket,
            substr wire(POST => path($where), upload('gone'),
                        'X-Waf: slow'), 0, $at);
        sleep 0.05;
        close $socket;
    }
}

sleep 1;

is(scalar(glob "$server->{prefix}/temp/client_body/*"), undef,
   'no body is in a file');
is(scalar(glob "$server->{prefix}/temp/proxy/*"), undef, 'and no answer');

$server->ends_well;

my @keys = Wafcert::Fixtures::private_keys();
my $log = $server->log;

is(scalar(grep { index($log, substr $_, 0, 24) >= 0 } @keys), 0,
   'no key is in the log');

done_testing();
