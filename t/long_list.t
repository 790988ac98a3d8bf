#!/usr/bin/perl

# A list of many certificates, from one worker: what it says, what it costs,
# and who has to wait for it.

use strict;
use warnings;

use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

my $n = $ENV{WAFCERT_LIST} // (under_valgrind() ? 500 : 10_000);
my $soon = $n / 10;

# small socket buffers, so that a client that does not read is felt
my $server = Wafcert::Server->new(size => '32m', workers => 1,
                                  listen => 'sndbuf=64k', level => 'warn');

seeded();


# Total and ids.  One list is parsed below, which JSON::PP takes a second for.
sub list {
    my ($args) = @_;

    my $body = $server->request(GET => "?$args")->{body};

    return join ' ', $body =~ /\A\{"total":(\d+),/, $body =~ /"id":"(\w+)"/g;
}


# CPU time of the worker, in seconds
sub cpu {
    my ($worker) = $server->workers;

    open my $in, '<', "/proc/$worker/stat" or die "/proc/$worker/stat: $!\n";
    my @field = split ' ', <$in> =~ s/.*\) //r;

    return ($field[11] + $field[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}


my $created = grep { $_ && $_->{status} == 200 }
              ($server->create($n - $soon, 'name-'),
               $server->create($soon, 'soon-', 'soon'));

is($created, $n, "$n certificates are created") or BAIL_OUT('cannot go on');

list('');
my $memory = $server->memory_of_all;

my $start = time;
my $all = $server->request(GET => '');
my $time = time - $start;

my @items = @{$all->json->{items}};
my @ids = map { $_->{id} } @items;
my %seen = map { $_ => 1 } @ids;

diag(sprintf 'the list has %d kB and took %.0f ms',
             length($all->{body}) / 1024, 1000 * $time);

is($all->json->{total}, $n, 'total');
is(scalar @items, $n, 'all items');
is(scalar keys %seen, $n, 'each once');
is(scalar(grep { $items[$_]{timestamp} > $items[$_ - 1]{timestamp} }
               1 .. $#items), 0, 'newest first');


my @paged;

$server->load(1, do { my $page = 0; sub {
    return if ++$page > $n / 100;
    return [ GET => "?page=$page&pagesize=100" ];
} }, sub {
    push @paged, $_[1]{body} =~ /"id":"(\w+)"/g;
});

is(join(' ', @paged), join(' ', @ids), 'the pages are the list');

my $page = int($n / 14);

my %expected = (
    "page=$page&pagesize=7"         => [ $n, @ids[7 * $page - 7
                                                  .. 7 * $page - 1] ],
    'page=1&pagesize=1'             => [ $n, $ids[0] ],
    "page=$n&pageSize=1"            => [ $n, $ids[-1] ],
    'page=999999999&pagesize=100'   => [ $n ],
    'page=2&pagesize=-1'            => [ $n, @ids ],
    'offset=1&limit=10'             => [ $n ],
    'exp_status=1'                  => [ 0 ],
    'exp_status=2'                  => [ $soon, ids_of(qr/^soon/) ],
    'exp_status=0'                  => [ $n - $soon, ids_of(qr/^name/) ],
    'name=-77'                      => [ counted(ids_of(qr/-77/)) ],
    'name=7&page=2&pagesize=10'     => [ page_of(qr/7/, 2, 10) ],
    'name=-1&exp_status=2&host=true&page=2&pagesize=3'
                                    => [ page_of(qr/^soon-1/, 2, 3) ],
    'name=nowhere'                  => [ 0 ],
);

sub counted { return (scalar @_, @_) }

sub ids_of {
    my ($pattern) = @_;

    return map { $_->{id} } grep { $_->{name} =~ $pattern } @items;
}

sub page_of {
    my ($pattern, $page, $size) = @_;

    my @ids = ids_of($pattern);
    return (scalar @ids, splice @ids, ($page - 1) * $size, $size);
}

for my $args (sort keys %expected) {
    is(list($args), join(' ', @{$expected{$args}}), "list $args");
}

my $grown = $server->memory_of_all - $memory;
diag("the worker grew by $grown kB");

SKIP: {
    skip 'what is freed is kept', 1 if under_valgrind() || under_asan();
    cmp_ok($grown, '<', 512, 'the worker did not grow');
}


# Others are served meanwhile.

sub latencies {
    my ($requests) = @_;

    my ($start, @times);

    $server->load(1, sub {
        return unless $requests--;
        $start = time;
        return [ GET => "/$ids[-1]" ];
    }, sub {
        push @times, 1000 * (time - $start);
    });

    @times = sort { $a <=> $b } @times;
    return map { $times[$_ * $#times] } (0.5, 0.99, 1);
}

diag(sprintf 'show alone: median %.2f ms, 99 %% %.2f ms, at most %.2f ms',
             latencies(300));

my $pid = fork // die "fork: $!\n";

if ($pid == 0) {
    # it reads, and looks at nothing: that would take a CPU of its own
    my @sockets = map { $server->socket } 1 .. 4;

    for (;;) {
        for my $socket (@sockets) {
            Wafcert::Server::write_all($socket,
                Wafcert::Server::wire(GET => '', undef)) or POSIX::_exit(0);
        }

        for my $socket (@sockets) {
            my $data = '';

            until ($data =~ /\r\n0\r\n\r\n\z/) {
                $data = substr $data, -16 if length $data > 16;
                sysread $socket, $data, 65536, length $data
                    or POSIX::_exit(0);
            }
        }
    }
}

sleep 0.1;
my ($median, $most, $max) = latencies(300);
kill KILL => $pid;
waitpid $pid, 0;

diag(sprintf 'show beside four lists: median %.2f ms, 99 %% %.2f ms, '
             . 'at most %.2f ms', $median, $most, $max);
SKIP: {
    skip 'valgrind is slow', 1 if under_valgrind();
    cmp_ok($median, '<', 50, 'lists delay no other request');
}


# A client that takes its time, while others change what it reads about.

my $slow = $server->socket(receive => 65536);
Wafcert::Server::write_all($slow, Wafcert::Server::wire(GET => '', undef));

my $data = '';
read_some(20_000);

$memory = $server->memory_of_all;

my @victims = shuffle(@ids[1 .. $#ids]);
my @deleted = splice @victims, 0, $n / 50;
my %changed = map { $_ => 1 } @deleted, splice @victims, 0, $n / 50;

# the one that the list stands at is among them, wherever that is by now
my ($at) = $data =~ /.*"id":"(\w+)"/s;
push @deleted, grep { !$changed{$_}++ } $at, @ids[10 .. $n * 3 / 10];

my @requests = ((map { [ DELETE => "/$_" ] } @deleted),
                map { [ PUT => "/$_", qq({"name": "changed-$_"}) ] }
                    grep { my $id = $_; !grep { $_ eq $id } @deleted }
                    keys %changed);
my $failed = 0;

$server->load(4, sub { shift @requests },
              sub { $failed++ if $_[1]{status} != 200 });
is($failed, 0, 'certificates are deleted and modified under a list');

my $cpu = cpu();
sleep 0.5;
cmp_ok(cpu() - $cpu, '<', 0.1, 'the worker does not spin for a slow client');

# It reads on, and slower towards the end: somewhere there the last piece has
# been made, and cannot be sent yet.
read_some(16384) until index($data, $ids[-$n / 20]) > 0;
$cpu = cpu();

while ($data !~ /\r\n0\r\n\r\n/) {
    read_some(4096) or last;
    sleep 0.05;
}

cmp_ok(cpu() - $cpu, '<', 0.2, 'nor at the end');

SKIP: {
    skip 'what is freed is kept', 1 if under_valgrind() || under_asan();
    skip 'an edge keeps a copy of what it reads', 1 if $ENV{WAFCERT_EDGE};
    cmp_ok($server->memory_of_all - $memory, '<', 512,
           'nor does the list wait in memory');
}

my $answer = Wafcert::Server::parse(\$data);
my $json = eval { $answer->json };
my %times;

ok($json, 'the slow client gets a list');
$times{$_->{id}}++ for @{$json->{items}};

is(scalar(grep { !$changed{$_} && ($times{$_} // 0) != 1 } @ids), 0,
   'with everything that stayed as it was, once');
is(scalar(grep { $times{$_} > 1 } keys %times), 0, 'and nothing twice');

# would there be anything after the end, the next answer would not be one
Wafcert::Server::write_all($slow,
                           Wafcert::Server::wire(GET => "/$ids[-1]", undef));
is(substr($data, 0, 50), '', 'nothing comes after the end');

$answer = eval { Wafcert::Server::read_answer($slow) };
is($answer && $answer->json->{id}, $ids[-1],
   'and the connection can be used again');


# Clients that go away in the middle of it.

for my $bytes (0, 1, 1000, 40_000, 100_000) {
    $slow = $server->socket(receive => 65536);
    $data = '';
    Wafcert::Server::write_all($slow, Wafcert::Server::wire(GET => '', undef));
    read_some($bytes);
    close $slow;
}

is($server->request(GET => '?exp_status=1')->json->{total}, 0,
   'clients go away, the worker is there');


# A worker that is told to exit first ends what it does in turns.  An edge in
# front of it is the same worker, which asks itself no more by then.

SKIP: {
    skip 'the edge exits, too', 1 if $ENV{WAFCERT_EDGE};

    my ($worker) = $server->workers;
    kill STOP => $worker;
    my @sockets = map { $server->send(GET => '?exp_status=1') } 1 .. 50;
    kill CONT => $worker;
    sleep 0.02;
    kill QUIT => $worker;

    is(scalar(grep { my $answer = eval { Wafcert::Server::read_answer($_) };
                     $answer && $answer->{status} == 200 } @sockets), 50,
       'a worker that exits answers the lists that it has begun');
}


sub read_some {
    my ($bytes) = @_;

    my $end = length($data) + $bytes;

    while (length $data < $end) {
        sysread $slow, $data, $end - length $data, length $data or return 0;
        return 1 if $data =~ /\r\n0\r\n\r\n/;
    }

    return 1;
}

$server->ends_well;
done_testing;
