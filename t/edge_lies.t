#!/usr/bin/perl

# What stands behind an edge that records, and answers otherwise than the API:
# another application of the same location, or a WAF that lies.  Nothing is
# believed of it, and the log says so.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::Upstream qw(http);

use constant PROJECT => 'v1/project/waf/certificate';

my $id = '0123456789abcdef' x 2;
my $other = 'fedcba9876543210' x 2;

# It says what the client wants it to.
my $waf = Wafcert::Upstream->new(default => sub {
    my ($socket, $request) = @_;

    my ($status) = $request =~ /^X-Status: (\d+)/m;
    my ($text) = $request =~ /^X-Text: (.*?)\r?$/m;

    Wafcert::Server::write_all($socket, $status == 204
                                        ? "HTTP/1.1 204 X\r\n\r\n"
                                        : http($status, $text));
    return 1;
});

my $server = Wafcert::Server->new(
    size => '4m', workers => 2, level => 'info',
    http => <<'END',
    wafcert_zone zone=edge:4m;

    log_format edge '$request_method $status [$wafcert_name]'
                    ' [$wafcert_reason]';
END
    server => <<"END"
        location /record/ {
            access_log logs/access.log edge;
            wafcert_validate zone=edge record=on;
            proxy_pass http://127.0.0.1:$waf->{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
END
);


# A call, and how it is answered.
sub call {
    my ($method, $rest, $body, $status, $text) = @_;

    return $server->request($method => '//record/' . PROJECT . $rest, $body,
                            "X-Status: $status", "X-Text: $text");
}


sub known {
    my $text = '';

    for (sort { $a->{id} cmp $b->{id} }
             @{$server->request(GET => '//known/' . PROJECT)->json->{items}})
    {
        my $one = $server->request(GET => '//known/' . PROJECT . "/$_->{id}")
                  ->json;
        $text .= "$one->{id} $one->{name} $one->{fingerprint}"
                 . " $one->{revision}\n";
    }

    return $text;
}


# what is recorded comes after the answer, and before its line in the log
sub logged {
    my ($n) = @_;

    $server->wait_for('a line of the access log', sub {
        my $lines = () = Wafcert::Fixtures::read_file(
                             "$server->{prefix}/logs/access.log") =~ /\n/g;
        $lines >= $n;
    });
}

my $calls = 0;

sub heard {
    my ($what, $expected, @call) = @_;

    my $from = length $server->log;

    is(call(@call)->{status}, $call[3], "$what: the client has its answer");
    logged(++$calls);

    my $log = substr $server->log, $from;

    like($log, qr/could\ not\ record\ .*:\ answer_illegal,\ project\ "project",
                  \ the\ WAF's\ answer\ is\ not\ that\ of\ the\ API/x,
         'the log says so') if $call[0] ne 'GET';
    is(known(), $expected, 'and all is as it was');
}


my $accepted = qq({"id":"$id","name":"www","timestamp":1650594410630});

call(POST => '', upload('www', 'rsa'), 200, $accepted);
logged(++$calls);

my $known = known();

like($known, qr/^$id www \w+ 1$/, 'what the API answers is recorded');


# Without a token that was judged here, half a pair is judged by itself: what is
# recorded would tell which ids there are.

for my $pair (qw(rsa ec)) {
    my ($key) = upload('x', $pair) =~ /("key": ".*")\}/s;

    for my $to ($id, $other) {
        my $answer = call(PUT => "/$to", "{$key}", 401,
                          '{"error_code":"WAF.00012001"}');

        logged(++$calls);
        is($answer->{status}, 401, "half a pair ($pair) is the WAF's");
    }
}


# Each answer that is not the API's, to each call.

my $gone = '{"error_code":"WAF.00022001"}';
my %answers = (
    'an empty one' => [ 200, '' ],
    'HTML' => [ 200, '<html>welcome</html>' ],
    'another application' => [ 200, '{"status":"ok"}' ],
    'no id' => [ 200, '{"name":"www"}' ],
    'an id of null' => [ 200, '{"id":null,"name":"www"}' ],
    'an error' => [ 200, qq({"id":"$id","error_code":"WAF.00010001"}) ],
    'an error of a number' => [ 200, qq({"id":"$id","error_code":7}) ],
    'an error that is empty' => [ 200, qq({"id":"$id","error_code":""}) ],
    'gone, but accepted' => [ 200, $gone ],
    'an id in an array' => [ 200, qq([{"id":"$id"}]) ],
    'an id in capitals' => [ 200, sprintf '{"id":"%s"}', uc $id ],
    'an id twice' => [ 200, qq({"id":"$other","id":"$id"}) ],
    'created' => [ 201, '{"ok":true}' ],
    'accepted' => [ 202, '' ]
);

for (sort keys %answers) {
    my @answer = @{$answers{$_}};

    heard("PUT, $_", $known, PUT => "/$id", upload('www', 'ec'), @answer);
    heard("DELETE, $_", $known, DELETE => "/$id", undef, @answer);
    heard("POST, $_", $known, POST => '', upload('new', 'ec'), @answer);
}

my $another = qq({"id":"$other","name":"www"});

heard('PUT, another id', $known, PUT => "/$id", upload('www', 'ec'), 200,
      $another);
heard('DELETE, another id', $known, DELETE => "/$id", undef, 200, $another);
heard('PUT, no content', $known, PUT => "/$id", upload('www', 'ec'), 204, '');
heard('POST, no content', $known, POST => '', upload('new', 'ec'), 204, '');


# What is no list, or not the whole of it.

for ([ 'empty' => 200, '' ], [ 'another application' => 200, '[]' ],
     [ 'no total' => 200, '{"items":[]}' ],
     [ 'null' => 200, '{"total":0,"items":null}' ],
     [ 'an error' => 200,
       '{"total":0,"items":[],"error_code":"WAF.00010001"}' ],
     [ 'partial' => 206, '{"total":0,"items":[]}' ],
     [ 'accepted' => 202, '{"total":0,"items":[]}' ],
     [ 'one that is there twice' => 200,
       sprintf '{"total":2,"items":[{"id":"%s"},{"id":"%s"}]}',
               ($other) x 2 ],
     [ 'not found' => 404, $gone ])
{
    my ($what, @answer) = @$_;

    heard("a list: $what", $known, GET => '', undef, @answer);
}

# A list that may have been asked for less than all, as the WAF reads it.

my $nothing = '{"total":0,"items":[]}';

for (qw(page=1;name=x page=1%3Bname=x page=1%26name=x page=1&limit=1;name=x
        host=true;name=x host=1 name=x page page= =1 Page=1 page=+1 page=1.0
        host=true&&name=x enterprise_project_id=x))
{
    heard("a list, ?$_", $known, GET => "?$_", undef, 200, $nothing);
}

heard('a show that is not found elsewhere', $known, GET => "/$id", undef, 404,
      '{"error_code":"WAF.00014009"}');
heard('a show that is empty', $known, GET => "/$id", undef, 200, $gone);


# And what the API answers, after all that.

call(PUT => "/$id", upload('www', 'ec'), 200, $accepted);
logged(++$calls);
like(known(), qr/^$id www \w+ 2$/, 'a modify is recorded');
isnt((split ' ', known())[2], (split ' ', $known)[2], 'with its pair');

call(DELETE => "/$id", undef, 200, qq({"id":"$id","error_code":null}));
logged(++$calls);
is(known(), '', 'and a delete');

call(POST => '', upload('www', 'rsa'), 201, $accepted);
logged(++$calls);
call(DELETE => "/$id", undef, 204, '');
logged(++$calls);
is(known(), '', 'and one without content');

call(POST => '', upload('www', 'rsa'), 200, $accepted);
logged(++$calls);
call(GET => '?page=1&pagesize=-1&host=true&', undef, 200, $nothing);
logged(++$calls);
is(known(), '', 'and a list');


# One that neither of the two has given a name.

my ($unnamed) = upload('x', 'rsa') =~ /("content": .*)/s;

call(PUT => "/$id", "{$unnamed", 200, qq({"id":"$id","name":"a b"}));
logged(++$calls);
is(known(), '', 'what has no name is not recorded');
like($server->log, qr/could not record .*: not_found, project "project",/,
     'and the log says so');

$server->ends_well;

done_testing();
