#!/usr/bin/perl

# Bodies that nobody reads, or not to their end: nothing of them is left in the
# memory of the process, whatever their framing, and however they came.

use strict;
use warnings;
no warnings 'portable';          # addresses of 64 bits

use Test::More;

use lib 't/lib';
use Wafcert::Server;

plan skip_all => 'valgrind has memory of its own' if under_valgrind();

# as much of the stack is wiped as nginx's function takes as it is released
plan skip_all => 'frames of a debug nginx are others' if under_asan();

my $server = Wafcert::Server->new(workers => 1, start => 0, server => <<'END');
    lingering_timeout 1s;
    lingering_close always;

    location /token/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=tokens;
    }
END

$server->write_file('tokens', '0' x 64 . " p write\n");
$server->start;

my ($worker) = $server->workers;


# How often the words are in what the process can write to.
sub found {
    my ($words) = @_;

    open my $maps, '<', "/proc/$worker/maps" or return;
    open my $mem, '<:raw', "/proc/$worker/mem" or return;

    my $n = 0;

    for my $line (<$maps>) {
        my ($from, $to) = $line =~ /^([0-9a-f]+)-([0-9a-f]+) rw.p / or next;
        my $size = hex($to) - hex($from);

        sysseek $mem, hex $from, 0 or next;
        sysread $mem, my ($bytes), $size or next;
        $n++ while $bytes =~ /\Q$words\E/g;
    }

    return $n;
}

plan skip_all => 'the memory of a process cannot be read'
    unless found("nginx.conf");


# Sends packets, in each of which KEY stands for what is looked for then, and
# tells what came back.
sub wiped {
    my ($title, $verdict, @packets) = @_;

    my $words = 'key-' . join '', map { chr 97 + rand 26 } 1 .. 28;
    my $socket = $server->socket;

    for my $packet (@packets) {
        Wafcert::Server::write_all($socket, $packet =~ s/KEY/$words/gr);

        # the worker has read it when it has answered this
        $server->request(GET => '') if @packets > 1;
    }

    my $answer = $verdict eq 'none' ? undef
                 : Wafcert::Server::read_answer($socket);
    my $told = !$answer ? 'none'
               : $answer->{body} =~ /^</ ? "$answer->{status}, nginx's own"
               : $answer->verdict;
    is($told, $verdict, $title);

    # in its own time, the worker has not ended the request yet
    shutdown $socket, 1;
    1 while sysread $socket, my ($rest), 65536;
    close $socket;

    my $n;
    for my $try (1 .. 20) {
        $n = found($words) or last;
        select undef, undef, undef, 0.05;
    }

    is($n, 0, 'nothing of it is left');
}

# words of 32 bytes
my $key = 'KEY' x 300;
my $size = 32 * 300;

sub head {
    my ($method, $path, @headers) = @_;

    return Wafcert::Server::wire($method, $path, undef, @headers);
}

sub chunks {
    my (@texts) = @_;

    return join '', map {
        sprintf "%x\r\n%s\r\n", length($_) + 29 * (() = /KEY/g), $_
    } @texts, '';
}

my @length = "Content-Length: $size";
my @chunked = 'Transfer-Encoding: chunked';
my $denied = '//token/v1/p/waf/certificate';
my $chunks = chunks('KEY' x 100, 'KEY' x 200);

for my $case ([ 'a token that is missing', '401 token_missing', POST => $denied ],
              [ 'a list', '200', GET => '' ],
              [ 'a list of a host', '200', GET => '?serves=a.test' ],
              [ 'a show', '404 not_found', GET => '/' . '0' x 32 ],
              [ 'a delete', '404 not_found', DELETE => '/' . '0' x 32 ],
              [ 'no route', '404 api_not_found', GET => '//v1/p/waf' ],
              [ 'a type of another kind', '400 content_type', POST => '',
                'Content-Type: text/plain' ])
{
    my ($title, $verdict, $method, $path, @more) = @$case;

    my $sized = head($method, $path, @length, @more);
    my $framed = head($method, $path, @chunked, @more);

    wiped("$title, a body with its header", $verdict, $sized . $key);
    wiped('a body after it', $verdict, $sized, $key);
    wiped('chunks', $verdict, $framed . $chunks);
    wiped('chunks after it', $verdict, $framed, $chunks);
    wiped('both', $verdict,
          $framed . chunks('KEY') =~ s/0\r\n\r\n\z//r, $chunks);
}

my $large = 'KEY' x 5000;
my $many = chunks(('KEY' x 100) x 50);

wiped('too large', '413 body_too_large',
      head(POST => '', 'Content-Length: 160000') . $large);
wiped('later', '413 body_too_large',
      head(POST => '', 'Content-Length: 160000'), $large);
wiped('too large, chunked', '413 body_too_large',
      head(POST => '', @chunked), $many);
wiped('with its header', '413 body_too_large',
      head(POST => '', @chunked) . $many);
wiped('chunks that are none', "400, nginx's own",
      head(POST => '', @chunked) . "20\r\nKEY\r\nKEY\r\n");
wiped('not JSON', '400 json_syntax', head(POST => '', @length) . $key);
wiped('a client that goes away', 'none', head(POST => '', @length) . 'KEYKEY');

$server->ends_well;
done_testing;
