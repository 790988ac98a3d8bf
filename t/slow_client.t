#!/usr/bin/perl

# Clients that are slow, that go away, and that promise too much.

use strict;
use warnings;

use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

use constant MAX_BODY => 128 * 1024;

my $server = Wafcert::Server->new(
    size => '4m', workers => 2, level => 'info', listen => 'sndbuf=4k',
    server => 'client_body_timeout 1s; client_header_timeout 1s;
               if ($http_x_rate) { set $limit_rate $http_x_rate; }');

sub wire { return Wafcert::Server::wire(@_) }


sub send_to {
    my ($socket, $data) = @_;

    return Wafcert::Server::write_all($socket, $data);
}


sub cpu {
    my $ticks = 0;

    for my $worker ($server->workers) {
        open my $in, '<', "/proc/$worker/stat" or next;
        my @field = split ' ', <$in> =~ s/.*\) //r;
        $ticks += $field[11] + $field[12];
    }

    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}


# of all workers
sub memory {
    my $kb = 0;
    $kb += $server->memory($_) for $server->workers;

    return $kb;
}


sub chunked {
    my ($body, $size) = @_;

    return join '', (map { sprintf "%x\r\n%s\r\n", length, $_ }
                         $body =~ /(.{1,$size})/gs),
                    "0\r\n\r\n";
}


# A byte at a time: with a length, and chunked.

my @slow = map {
    my $name = "slow-$_";
    my $body = upload($name);

    { name => $name, socket => $server->socket,
      data => $_ % 2 ? wire(POST => '', $body)
                     : wire(POST => '', chunked($body, 50),
                            'Transfer-Encoding: chunked') }
} 1 .. 10;

while (grep { length $_->{data} } @slow) {
    send_to($_->{socket}, substr $_->{data}, 0, 1, '') for @slow;
    sleep 0.0005;
}

is(join(' ', map { Wafcert::Server::read_answer($_->{socket})->json->{name} }
                 @slow),
   join(' ', map { $_->{name} } @slow), 'a byte at a time is accepted');


# One that stops is let go, wherever it stops.

my $wire = wire(POST => '', upload('stops'));
my $head = index($wire, "\r\n\r\n") + 4;

for my $at ($head / 2, $head, $head + 1, length($wire) - 1) {
    my $socket = $server->socket;
    my $start = time;

    send_to($socket, substr $wire, 0, $at);

    my $answer = Wafcert::Server::read_answer($socket);
    my $time = time - $start;

    ok(!$answer || $answer->{status} == 408,
       'a client that stops after ' . int($at) . ' bytes gets no answer');
    cmp_ok($time, '>', 0.5, 'not before client_body_timeout')
        and cmp_ok($time, '<', 10, 'and not long after');
}

my %stored = $server->stored;
is($stored{stops}, undef, 'and nothing is stored');


# Clients that go away, at every point of the request.

sub go_away {
    my ($socket, $how) = @_;

    if ($how == 0) {
        close $socket;

    } elsif ($how == 1) {
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $socket;

    } else {
        shutdown $socket, 1;
        my $answer = Wafcert::Server::read_answer($socket);
        return !$answer || $answer->{status} == 400;
    }

    return 1;
}

my $wrong = 0;
my $step = under_valgrind() ? 97 : 7;

for my $headers ([], [ 'Transfer-Encoding: chunked' ]) {
    my $body = upload('gone');

    my $wire = wire(POST => '', @$headers ? chunked($body, 100) : $body,
                    @$headers);

    for (my $at = 0; $at < length $wire; $at += $step) {
        my $socket = $server->socket;

        send_to($socket, substr $wire, 0, $at);
        sleep 0.001 if $at % 2;

        $wrong++ unless go_away($socket, $at % 3);
    }
}

is($wrong, 0, 'clients go away at every point');

%stored = $server->stored;
is($stored{gone}, undef, 'and nothing is stored');


# Those that do not wait for the answer: it was accepted, or not, as a whole.

for my $how (0, 1) {
    for my $i (1 .. 50) {
        my $socket = $server->socket;

        send_to($socket, wire(POST => '', upload("unseen-$how-$i", 'rsa')));
        sleep 0.001 if $i % 2;
        go_away($socket, $how);
    }
}

my @answers = $server->at_once(map {
    my $i = $_;
    map { [ POST => '', upload("unseen-$_-$i", 'rsa') ] } 0, 1
} 1 .. 50);

is(scalar(grep { $_->{status} != 200 } @answers), 0,
   'clients do not wait for the answer, and try again');

%stored = $server->stored;
is(scalar(grep { /^unseen/ } keys %stored), 100, 'each is stored once');
is(keys(%stored), $server->request(GET => '')->json->{total},
   'and no name twice');


# Bodies that are too large, by what is declared or by what comes.

my $memory = $server->memory_of_all;

for my $size (200_000, 2**31, 2**31 * 3) {
    my $socket = $server->socket;

    # without waiting for them: they never come
    send_to($socket, wire(POST => '', 'x' x 1000, "Content-Length: $size"));

    my $answer = Wafcert::Server::read_answer($socket);
    is($answer->verdict, '413 body_too_large', "$size bytes are declared");
}

my $socket = $server->socket;
send_to($socket, wire(POST => '', undef, 'Content-Length: 2147483648',
                      'Expect: 100-continue'));
sysread $socket, my $first, 12;
is($first, 'HTTP/1.1 413', 'a client that asks first is told at once');

for my $i (1 .. 4) {
    my ($socket, $sent) = ($server->socket, 0);

    send_to($socket, wire(POST => '', '', 'Transfer-Encoding: chunked'));

    my $chunk = sprintf "2000\r\n%s\r\n", 'x' x 0x2000;

    $sent += 0x2000 while $sent < 20 * MAX_BODY && send_to($socket, $chunk);

    my $answer = eval { Wafcert::Server::read_answer($socket) };

    ok($answer ? $answer->{status} == 413 : $sent >= MAX_BODY,
       'chunks without end are refused');
}

SKIP: {
    skip 'valgrind keeps what is freed', 1 if under_valgrind();
    cmp_ok($server->memory_of_all - $memory, '<', 1024,
           'and do not stay in memory');
}

my $held = -memory();
my @many = map { $server->socket } 1 .. 100;
send_to($_, wire(POST => '', '{', 'Content-Length: ' . MAX_BODY)) for @many;
sleep 0.2;

$held += memory();

diag(sprintf '100 clients that begin to send %d kB take %d kB',
             MAX_BODY / 1024, $held);
cmp_ok($held, '<', 100 * (MAX_BODY / 1024 + 64),
       'many large bodies take memory for themselves and little more')
    unless under_valgrind();

close $_ for @many;
is($server->request(GET => "/$stored{'slow-1'}")->{status}, 200,
   'others are served');


# Clients that are slow to read: one request is one answer, made once.

my $cpu = cpu();

{
    my $name = 'reads';
    my $socket = $server->socket;
    my $start = time;

    send_to($socket, wire(POST => '', upload($name, 'rsa'), 'X-Rate: 2k'));

    my $created = Wafcert::Server::read_answer($socket);
    is($created && $created->verdict, 200, 'POST slowly') or last;

    my $id = $created->json->{id};
    my ($etag) = $created->{headers}{etag};

    my @requests = (
        [ 200, '400', PUT => "/$id", qq({"name": "$name-2"}),
          "If-Match: $etag" ],
        [ '412 revision_mismatch', 200, PUT => "/$id",
          qq({"name": "$name-3"}), "If-Match: $etag" ],
        [ 200, '2k', POST => '', upload("$name-4", 'rsa') ],
        [ 200, '300', DELETE => "/$id" ],
        [ '404 not_found', 200, DELETE => "/$id" ]);

    for my $request (@requests) {
        my ($verdict, $rate, $method, $path, $body, @headers) = @$request;

        send_to($socket, wire($method, $path, $body, @headers,
                              "X-Rate: $rate"));

        my $answer = eval { Wafcert::Server::read_answer($socket) };
        is($answer && $answer->verdict, $verdict, "$method slowly") or last;
    }

    cmp_ok(time - $start, '>', 1, 'by a client that reads slowly');
}

my @names = map { "piped-$_" } 1 .. 50;

$socket = $server->socket(receive => 2048);
$socket->blocking(0);

my $out = join '', map { wire(POST => '', upload($_, 'rsa')) } @names;
my $sent = syswrite $socket, $out;

sleep 0.5;
cmp_ok(cpu() - $cpu, '<', 1.5, 'no worker spins');

my ($data, @piped) = ('');
my $end = time + 30;

while (@piped < @names && time < $end) {
    my $n = syswrite $socket, $out, length($out) - $sent, $sent;
    $sent += $n if $n;

    my $answer;
    sysread $socket, $data, 4096, length $data;
    push @piped, $answer->json->{name}
        while $answer = Wafcert::Server::parse(\$data);
    sleep 0.001;
}

is(join(' ', @piped), join(' ', @names),
   'requests that are sent before answers are read get one each, in order');

$server->ends_well;
done_testing;
