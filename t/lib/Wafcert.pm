package Wafcert;

# What the tests in t/*.t share, on top of Test::Nginx::Socket:
#
#   --- requests          one or more; each is "METHOD path", headers, an empty
#                         line, a body
#   --- answers           one for each request; a status ("200|403"; "none"),
#                         and then
#                           {"member": value, ...}     these members, or
#                           WAF.00011003 message reason: words | hint's words
#                         and lines for a header ("Allow: GET", "! ETag") or a
#                         pattern for the log of that request ("error.log: ...",
#                         "access.log: ...", "! error.log: ...").  Of a header
#                         the value is compared.
#
# In an expected JSON value, null says that there is no such member, a string
# "~..." is a pattern, "~now" a time in ms that is about now, and "{x}" is
# captured the first time, and compared from then on; it may stand in later
# requests.
#
# In all of these, <rsa.crt> is the JSON string of a fixture's text, as it
# would be after <rsa.crt|crlf|bom> too; <sha256 word> its digest in hex;
# <token 9000> a token of that length; <x 5> five times the letter.
#
# A section that a block lacks is taken from %Wafcert::default.  It has the API
# below /v1/, with no tokens.
#
# With WAFCERT_EDGE in the environment, an edge that records stands in front of
# what a block configures: the same tests, and the same answers.
#
# After the last answer of a block, its logs must not have 24 consecutive
# characters of a fixture's private key, or of a token that was sent, and no
# body may be in a temporary file.

use strict;
use warnings;

use Digest::SHA ();
use IO::Socket::INET ();
use JSON::PP ();
use Time::HiRes ();

use Wafcert::Fixtures ();

my $json = JSON::PP->new->allow_nonref->canonical->ascii;

our %default = (
    http_config => "wafcert_zone zone=certs:1m;\n",
    config      => <<'END',
location /v1/ {
    wafcert_api zone=certs;
    wafcert_auth off;
}
END
);

my (%captured, @expected, %log_pos);

my $sleep = $Test::Nginx::Util::TestNginxSleep;


my %spelling = (
    crlf    => sub { s/\n/\r\n/gr },
    cr      => sub { s/\n/\r/gr },
    blanks  => sub { unwrapped($_, ' ', "\n") },
    oneline => sub { unwrapped($_, '', "\n") },
    spaces  => sub { unwrapped($_, ' ', ' ') },
    joined  => sub { unwrapped($_, '', '') },
    escaped => sub { s/\n/\\n/gr },
    bom     => sub { "\x{feff}$_" },
    text    => sub { "Bag Attributes\n    friendlyName: x\n$_# the end\n" },
    nonl    => sub { s/\n\z//r },
    noend   => sub { s/-----END.*//sr },
    cut     => sub { join '', (split /^/)[0 .. 3], (split /^/)[-1] },
    dirty   => sub { s/\n(....)./\n$1!/r },
    bare    => sub { join '', grep { !/^-/ } split /^/ },
    twice   => sub { $_ . $_ },
);


# The base64 of each block with "sep" where its lines ended, and "eol" between
# it and the BEGIN and END lines.
sub unwrapped {
    my ($pem, $sep, $eol) = @_;

    $pem =~ s/(-----BEGIN[^\n]*-----)\n(.*?)\n(-----END[^\n]*-----)/
              my ($begin, $base64, $end) = ($1, $2, $3);
              $base64 =~ s{\n}{$sep}g;
              "$begin$eol$base64$eol$end"/gsex;

    return $pem;
}


sub text {
    my ($name, @spellings) = split /\|/, shift;

    local $_ = Wafcert::Fixtures::text($name);

    for my $spelling (@spellings) {
        my $sub = $spelling{$spelling} or die "no spelling \"$spelling\"\n";
        $_ = $sub->();
    }

    return $_;
}


# a token that looks like one, and is the same each time
sub token {
    my ($len) = @_;

    my $token = '';
    $token .= Digest::SHA::sha256_base64("token $len " . length $token)
        while length $token < $len;

    return substr $token, 0, $len;
}


sub expand {
    my ($text) = @_;

    for ($text) {
        s/<([a-z0-9-]+\.[a-z0-9]+(?:\|[a-z]+)*)>/$json->encode(text($1))/ge;
        s/<sha256\ ([^<>]+|<[^>]+>)>/Digest::SHA::sha256_hex(expand($1))/gex;
        s/<token\ (\d+)>/token($1)/gex;
        s/<(\S)\ (\d+)>/$1 x $2/gex;
    }

    return $text;
}


sub file {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


# The body of an upload, for the sections with a filter "eval".
sub upload {
    my ($name, $content, $key) = @_;

    return expand(qq({"name": "$name", "content": <$content>, "key": <$key>}));
}


sub requests {
    my ($block) = @_;

    my (@requests, @headers);

    for my $text (split /^(?=[A-Z]+ \/)/m, $block->requests) {

        my ($line, $rest) = split /\n/, $text, 2;
        my $headers = '';

        $rest //= '';
        $headers .= $1 while $rest =~ s/\A([A-Za-z-]+:.*\n?)//;
        $rest =~ s/\A\s+|\s+\z//g;

        push @requests, [ { value => expand("$line\n$rest") } ];
        push @headers, expand($headers);
    }

    # a packet that is a hash stays the caller's until it is sent, and may
    # change when answers have come
    $block->set_value(request => \@requests);
    $block->set_value(more_headers => \@headers);
}


sub answers {
    my ($block) = @_;

    my (@status, @headers);

    @expected = ();

    for my $line (split /\n/, $block->answers) {

        if ($line =~ /^((?:none|\d{3})(?:\|\d{3})*)(?: +(.*))?$/) {
            push @expected, { text => $2 // '', logs => [] };
            push @headers, '';
            push @status, '^(?:' . $1 =~ s/none//r . ')$';

        } elsif ($line =~ /^(! )?((?:error|access)\.log): (.*)/) {
            push @{$expected[-1]{logs}}, [ $2, $3, $1 ];

        } elsif ($line =~ /^(?:! )?[A-Z][A-Za-z-]+(?::|$)/) {
            $headers[-1] .= "$line\n";

        } else {
            $expected[-1]{text} .= "\n$line";
        }
    }

    for my $i (0 .. $#status) {
        my $text = $expected[$i]{text};

        next if $text eq '';

        $headers[$i] .= "Content-Type: application/json\n"
                        . "Cache-Control: no-store\n";

        $expected[$i]{value} = $text =~ /^\{/ ? $json->decode(expand($text))
                                              : refusal(expand($text));
    }

    $block->set_value(error_code_like => @status > 1 ? \@status : $status[0]);
    $block->set_value(response_headers => \@headers);
}


sub refusal {
    my ($text) = @_;

    my ($code, $message, $reason, $words, undef, $hint) =
        $text =~ /^(\S+)\ (\S+)\ (\w+)(?::\ (.*?))?(\ \|\ (.*))?$/xs
        or die "not an answer: $text\n";

    return {
        error_code => $code,
        error_msg  => "~^\Q$message: \E[^\\n]*" . quotemeta($words // ''),
        reason     => $reason,
        hint       => defined $hint ? '~' . quotemeta $hint : '~.'
    };
}


# Paths to members that are not as expected, with what they are.
sub differences {
    my ($got, $want, $path) = @_;

    if (ref $want eq 'HASH') {
        return "$path is not an object" unless ref $got eq 'HASH';

        return map {
            my $at = "$path.$_";

            defined $want->{$_} ? exists $got->{$_}
                                  ? differences($got->{$_}, $want->{$_}, $at)
                                  : "$at is missing"
                                : exists $got->{$_} ? "$at is there" : ()
        } sort keys %$want;
    }

    if (ref $want eq 'ARRAY') {
        return "$path is not an array" unless ref $got eq 'ARRAY';
        return "$path has " . @$got . " elements" unless @$got == @$want;

        return map { differences($got->[$_], $want->[$_], "$path\[$_]") }
                   0 .. $#$want;
    }

    return "$path is not a scalar" if ref $got;

    $want = $captured{$1} //= $got if $want =~ /^\{(\w+)\}$/;

    return differs_in_time($got) ? "$path is not now: $got" : ()
        if $want eq '~now';

    if ($want =~ s/^~//) {
        $want =~ s/\\?\{(\w+)\\?\}/$captured{$1} \/\/ $&/ge;

        return $got =~ /$want/s ? () : "$path is not like $want: "
                                       . $json->encode($got);
    }

    # a number is none as a string
    return if $json->encode($got) eq $json->encode($want);
    return "$path is " . $json->encode($got) . ", not "
           . $json->encode($want);
}


sub differs_in_time {
    my ($got) = @_;

    return $got !~ /^\d{13}$/ || abs($got / 1000 - time) > 60;
}


sub check_answer {
    my ($block, $body, $i) = @_;

    my $requests = $block->request;
    my $next = ref $requests && $requests->[$i + 1];
    my $name = $block->name . " - answer $i";

    check_expected($name, $body, $expected[$i]) if $expected[$i];

    if ($next) {
        for my $packet (ref $next ? @$next : ()) {
            $packet->{value} =~ s/\{(\w+)\}/$captured{$1} \/\/ "{$1}"/ge;
        }

    } else {
        check_secrets($block);
        Test::More::ok(!temporary_files(), "$name, no temporary file");
    }

    # Test::Nginx sleeps before it looks at the log, after each request
    $Test::Nginx::Util::TestNginxSleep = $next ? 0 : $sleep;
}


sub check_expected {
    my ($name, $body, $expected) = @_;

    if (defined $expected->{value}) {
        my $got = eval { JSON::PP->new->utf8->decode($body) };
        my @differences = defined $got
                          ? differences($got, $expected->{value}, '')
                          : ("not JSON: $body");

        Test::More::is(join("\n", @differences), '', $name);
    }

    check_log($name, @$_) for @{$expected->{logs}};

    $log_pos{$_} = -s log_file($_) // 0 for qw(error.log access.log);
}


sub log_file {
    my ($log) = @_;

    return "$ENV{TEST_NGINX_SERVER_ROOT}/logs/$log";
}


sub check_log {
    my ($name, $log, $pattern, $not) = @_;

    $pattern =~ s/\{(\w+)\}/$captured{$1} \/\/ "{$1}"/ge;

    my $found;

    # the access log has its line after the client has its answer

    for (1 .. ($log eq 'error.log' ? 1 : 100)) {
        open my $in, '<', log_file($log) or last;
        seek $in, $log_pos{$log} // 0, 0;
        $found = grep { /$pattern/ } <$in>;
        last if $found || $not;
        Time::HiRes::sleep(0.02);
    }

    Test::More::ok($not ? !$found : $found,
                   "$name, $log " . ($not ? 'not ' : '') . "like $pattern");
}


use constant SPAN => 24;

my %secret;


sub check_secrets {
    my ($block) = @_;

    if (!%secret) {
        add_secret(\%secret, $_) for Wafcert::Fixtures::private_keys();
    }

    my %token;
    my $requests = $block->request // $block->raw_request
                   // $block->pipelined_requests;

    for (map { ref ? map { ref ? $_->{value} : $_ } @$_ : $_ }
             ref $requests ? @$requests : $requests)
    {
        add_secret(\%token, $1) while /^X-Auth-Token: *([^\r\n]+)/gim;
    }

    for my $log (qw(error.log access.log)) {
        my $found = first_secret(\%token, file(log_file($log)));

        Test::More::is($found, undef, $block->name . " - secrets in $log");
    }
}


sub add_secret {
    my ($secrets, $text) = @_;

    $secrets->{substr $text, $_, SPAN} = 1
        for 0 .. length($text) - SPAN;
}


# the line, and never what was found in it
sub first_secret {
    my ($token, $log) = @_;

    my $line = 0;

    for (split /\n/, $log) {
        $line++;

        while (/([!-~]{${\SPAN},})/g) {
            my $run = $1;

            for (0 .. length($run) - SPAN) {
                my $part = substr $run, $_, SPAN;

                return "line $line" if $secret{$part} || $token->{$part};
            }
        }
    }

    return undef;
}


sub temporary_files {
    my @files = glob "$ENV{TEST_NGINX_SERVER_ROOT}/client_body_temp/*";

    return scalar @files;
}


# Test::Nginx takes nginx 1.22 for one that has the directive "http2": it shall
# not know of it until the configuration is written.  And what it does not do
# for curl is to wait until nginx listens.
sub prepare_http2 {
    my ($block) = @_;

    require IPC::Run;

    $block->set_value(test_nginx_enabled_http2 => 0);
    $block->set_value(init => 'Wafcert::start_http2($block)');
    $block->set_value(server_addr_for_client => '127.0.0.2');
    $block->set_value(config => 'listen 127.0.0.2:$TEST_NGINX_SERVER_PORT http2;'
                                . "\n" . $block->config);
}


sub start_http2 {
    my ($block) = @_;

    $block->set_value(test_nginx_enabled_http2 => 1);

    for (1 .. 300) {
        last if IO::Socket::INET->new(
                    PeerAddr => '127.0.0.2',
                    PeerPort => $ENV{TEST_NGINX_SERVER_PORT});
        Time::HiRes::sleep(0.1);
    }
}


# The block's server becomes the WAF, at another address, and in its place
# comes one that has the same locations, but proxies where the API would be.
sub put_edge_in_front {
    my ($block) = @_;

    my $edge = my $waf = $block->config;
    my $address = '127.0.0.3:$TEST_NGINX_SERVER_PORT';

    my $proxy = "proxy_pass http://$address; proxy_http_version 1.1;"
                . ' proxy_set_header Host $host;'
                . ' proxy_set_header Connection "";'
                . ' client_max_body_size 0;';

    for ($edge) {
        s/\b(?:add_header|client_(?:max_body_size|body_in_file_only))\s[^;]*;//g;
        s{\bwafcert_api\s+zone=(\w+)([^;]*);}
         { ($2 =~ /write=off/ ? ''
               : "wafcert_validate zone=edge_$1 record=on; ") . $proxy }gex;
    }

    my $http = $block->http_config;
    my @zones = $http =~ /\bwafcert_zone\s+zone=(\w+):/g;

    $block->set_value(config => $edge);
    $block->set_value(http_config => join "\n", $http,
                      (map { "wafcert_zone zone=edge_$_:8m;" } @zones),
                      "server { listen $address; server_name localhost;",
                      $waf, '}');
}


sub prepare {
    my ($block) = @_;

    $Test::Nginx::Util::TestNginxSleep = $sleep;

    %captured = ();
    %log_pos = ();
    @expected = ();

    for my $section (keys %default) {
        $block->set_value($section => $default{$section})
            unless defined $block->$section;
    }

    $block->set_value(suppress_stderr => 1) if defined $block->must_die;

    put_edge_in_front($block) if $ENV{WAFCERT_EDGE};
    prepare_http2($block) if defined $block->http2;
    requests($block) if defined $block->requests;
    answers($block) if defined $block->answers;

    $block->set_value(user_files => expand($block->user_files))
        if defined $block->user_files && !ref $block->user_files;
}


Test::Nginx::Util::no_root_location();
Test::Nginx::Util::add_block_preprocessor(\&prepare);
Test::Nginx::Socket::add_response_body_check(\&check_answer);

1;
