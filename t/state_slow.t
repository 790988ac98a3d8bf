#!/usr/bin/perl

# A disk that takes its time.  Whoever needs it waits, and nobody else does.

use strict;
use warnings;

use File::Temp ();
use IO::Select ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;

my $disk = Wafcert::Disk->new;
my $http2 = Wafcert::Server::free_port();
my $server = Wafcert::Server->new(
    size => '2m', state => 'state', workers => 1, $disk->env,
    server => "listen 127.0.0.1:$http2 http2; wafcert_return_key always;"
);

my @id = map { $_->json->{id} } $server->create(10, 'n', 'rsa');
my %body = map { $_ => $server->request(GET => "/$_")->{body} } @id;


sub answered {
    my (@sockets) = @_;

    my @ready = IO::Select->new(@sockets)->can_read(0);

    return scalar @ready;
}


sub verdicts {
    my (@sockets) = @_;

    return join ', ', map { $_ ? $_->verdict : 'closed' }
                      map { Wafcert::Server::read_answer($_) } @sockets;
}


# What shows take, in ms, and whether all of them are right.
sub shows {
    my ($n) = @_;

    my @times;

    for my $i (1 .. $n) {
        my $id = $id[$i % @id];
        my $start = time;
        my $answer = $server->request(GET => "/$id");

        return unless $answer->{status} == 200 && $answer->{body} eq $body{$id};
        push @times, 1000 * (time - $start);
    }

    @times = sort { $a <=> $b } @times;
    return sprintf 'median %.2f ms, p99 %.2f ms', @times[$n / 2, $n * 0.99];
}

my $n = under_valgrind() ? 20 : 200;
my $usual = shows($n);


# More uploads than there are threads, on a disk that does not answer.

$disk->set(fsync => 'hold');
my @uploads = map { $server->send(POST => '', upload("u$_", 'rsa')) } 1 .. 40;
$disk->wait_for(fsync => 16);

my $meanwhile = shows($n);
ok($meanwhile, 'while uploads wait for the disk, all others are served');
is($server->request(GET => '')->json->{total}, 10, 'the list, too');
is($server->request(POST => '?dry_run=true', upload('dry'))->verdict, 200,
   'and a dry run');
is($server->request(POST => '', upload('n1', 'rsa'))->verdict, 200,
   'and a create that makes nothing new');
is($server->request(DELETE => "/$id[0]", undef, 'If-Match: "9"')->verdict,
   '412 revision_mismatch', 'and what is refused');
is(answered(@uploads), 0, 'and no upload is answered before it is stored');

$disk->mend;
is(verdicts(@uploads), join(', ', (200) x 40), 'all are, afterwards');
is($server->request(GET => '')->json->{total}, 50, 'and there');

$disk->set(fsync => 'sleep:200');
@uploads = map { $server->send(POST => '', upload("v$_", 'rsa')) } 1 .. 40;
my $slow = shows($n);
ok($slow, 'a disk that takes 200 ms');
is(verdicts(@uploads), join(', ', (200) x 40), 'takes all of them');
$disk->mend;
diag("shows: $usual; while uploads wait: $meanwhile; slowly: $slow");


# Writers of one certificate take turns.  What comes while another change is
# under way is judged after that.

# Sends the first, which is held at "call" and fails then if "errno" says so,
# and all others.  Returns all answers.
sub turns {
    my ($call, $errno, @requests) = @_;

    $disk->set($call, $errno ? "hold:$errno" : 'hold', 1);

    my @sockets = $server->send(@{shift @requests});
    $disk->wait_for($call => 1);

    push @sockets, $server->send(@$_) for @requests;
    ok(shows(20), "$requests[0][0] waits, and others do not");
    is(answered(@sockets), 0, 'for that before it');

    $disk->mend;

    return map { Wafcert::Server::read_answer($_) } @sockets;
}


sub names {
    my %stored = $server->stored;
    return sort keys %stored;
}

my $id = pop @id;
my @answers = turns('fsync', 0,
    [ PUT => "/$id", '{"name": "first"}' ],
    [ PUT => "/$id", '{"name": "late"}', 'If-Match: "1"' ],
    [ DELETE => "/$id", undef, 'If-Match: "1"' ],
    [ PUT => "/$id", '{"name": "first"}' ]);

is(join(', ', map { $_->verdict } @answers), '200, 412 revision_mismatch, '
   . '412 revision_mismatch, 200', 'of those with one ETag, one is accepted');
is($answers[3]->json->{revision}, 2, 'and what is so by now changes nothing');
is($server->request(GET => "/$id")->json->{name}, 'first', 'as is shown');

@answers = turns('fsync', 0,
    map { [ PUT => "/$id", qq({"name": "any-$_"}) ] } 1 .. 20);
is(join(' ', sort { $a <=> $b } map { $_->json->{revision} // $_->verdict }
                                @answers),
   join(' ', 3 .. 22), 'each change is a revision');
is($answers[0]->json->{revision}, 3, 'the first of them first');

@answers = turns('fsync', 5,
    [ PUT => "/$id", '{"name": "fails"}' ],
    [ PUT => "/$id", '{"name": "works"}', 'If-Match: "22"' ]);
is(join(', ', map { $_->verdict } @answers), '500 commit_failed, 200',
   'after one that failed, all is as before');

# names
@answers = turns('fsync', 0,
    [ POST => '', upload('same', 'rsa') ],
    [ POST => '', upload('same', 'rsa') ],
    [ POST => '', upload('same', 'ed') ],
    [ PUT => "/$id", '{"name": "same"}' ],
    [ POST => '', upload('same', 'rsa') ]);
is(join(', ', map { $_->verdict } @answers), '200, 200, 400 name_duplicate, '
   . '400 name_duplicate, 200', 'of creates with one name, one is accepted');
is($answers[$_]->json->{id}, $answers[0]->json->{id},
   'and those that repeat it') for 1, 4;
like($answers[$_]->json->{hint}, qr/\b\Q@{[ $answers[0]->json->{id} ]}\E\b/,
     'the others are told of it') for 2, 3;

@answers = turns('fsync', 28,
    [ POST => '', upload('fails', 'rsa') ],
    [ POST => '', upload('fails', 'ed') ]);
is(join(', ', map { $_->verdict } @answers), '500 commit_failed, 200',
   'a create that failed leaves its name');
is($answers[1]->json->{cert_type}, 'ED25519', 'to the other one');

@answers = turns('fsync', 0,
    [ PUT => "/$id", '{"name": "moved"}' ],
    [ POST => '', upload('works', 'ed') ],
    [ POST => '', upload('moved', 'ed') ]);
is(join(', ', map { $_->verdict } @answers), '200, 200, 400 name_duplicate',
   'a rename leaves a name, and takes another');

@answers = turns('fsyncdir', 0,
    [ DELETE => "/$id" ],
    [ PUT => "/$id", '{"name": "more"}' ],
    [ POST => '', upload('moved', 'ed') ],
    [ DELETE => "/$id" ]);
is(join(', ', map { $_->verdict } @answers), '200, 404 not_found, 200, '
   . '404 not_found', 'a delete leaves nothing');

$id = pop @id;
@answers = turns('fsyncdir', 5,
    [ DELETE => "/$id" ],
    [ PUT => "/$id", '{"name": "stays"}' ]);
is(join(', ', map { $_->verdict } @answers), '500 commit_failed, 200',
   'but one that failed does');


# However many wait for one certificate, and however long: that takes neither
# time nor memory.  They have their turns in the order in which they came.

sub ticks {
    my ($pid) = @_;

    my ($times) = Wafcert::Fixtures::read_file("/proc/$pid/stat") =~ /.*\) (.*)/;
    my ($user, $system) = (split ' ', $times)[11, 12];

    return $user + $system;
}

{
    my $id = pop @id;
    my $many = under_valgrind() ? 50 : 300;
    my ($worker) = $server->workers;
    my $half = JSON::PP::decode_json(upload('half', 'rsa'));
    delete $half->{key};

    $disk->set(fsync => 'hold', 1);
    my $first = $server->send(PUT => "/$id", '{"name": "turn-0"}');
    $disk->wait_for(fsync => 1);

    my @sockets = map {
        $half->{name} = "turn-$_";
        $server->send(PUT => "/$id", $_ % 2 ? upload("turn-$_", 'rsa')
                                            : JSON::PP::encode_json($half))
    } 1 .. $many;
    shows(20);

    my ($memory, $ticks) = ($server->memory($worker), ticks($worker));
    sleep 2;
    $memory = $server->memory($worker) - $memory;
    $ticks = ticks($worker) - $ticks;

    cmp_ok($memory, '<', 1000, 'those that wait take no more memory')
        unless under_valgrind();
    cmp_ok($ticks, '<', POSIX::sysconf(POSIX::_SC_CLK_TCK()) / 4,
           'and no time');

    $disk->mend;
    @answers = map { Wafcert::Server::read_answer($_) } $first, @sockets;
    is(join(' ', map { $_->json->{revision} // $_->verdict } @answers),
       join(' ', 2 .. $many + 2), 'each has its turn, in order');
}



# One that does not get its turn gives up, and changes nothing.  Others, of
# other certificates, have theirs.

$disk->set(fsync => 'hold', 0, $id);

my $start = time;
my $first = $server->send(PUT => "/$id", '{"name": "slowly"}');
$disk->wait_for(fsync => 1);

my @waiting = map { $server->send(@$_) }
    [ PUT => "/$id", '{"name": "never"}' ],
    [ PUT => "/$id", upload('stays', 'ed') ],
    [ DELETE => "/$id" ],
    [ POST => '', upload('slowly', 'rsa') ];

is($server->request(POST => '', upload('beside', 'rsa'))->verdict, 200,
   'an upload of another certificate is stored meanwhile');
is(verdicts(@waiting), join(', ', ('500 commit_timeout') x 4),
   'those that wait give up');
cmp_ok(time - $start, '>', 25, 'after some time');

my $shown = $server->request(GET => "/$id")->json;
is("$shown->{name} $shown->{revision}", 'stays 2', 'nothing is changed');
ok(!answered($first), 'and the one before them waits still');

$disk->mend;
is(verdicts($first), '200', 'and is done at last');

sleep 0.2;
$shown = $server->request(GET => "/$id")->json;
is("$shown->{name} $shown->{revision}", 'slowly 3', 'as the only one');
is($server->request(PUT => "/$id", '{"name": "after"}')->verdict, 200,
   'nothing is in the way of the next');


# Clients that go away while they wait: for the disk, and for their turn.

sub go_away {
    my ($how, @sockets) = @_;

    for my $socket (@sockets) {
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $how;
        close $socket;
    }
}

for my $how (0, 1) {
    $disk->set(fsync => 'hold');

    my @gone = map { $server->send(@$_) }
        [ PUT => "/$id", qq({"name": "gone-$how"}) ],
        map { [ POST => '', upload("left-$how-$_", 'rsa') ] } 1 .. 5;
    $disk->wait_for(fsync => 6);

    push @gone, map { $server->send(@$_) }
        [ PUT => "/$id", '{"name": "late"}', 'If-Match: "1"' ],
        map { [ POST => '', upload("left-$how-$_", 'rsa') ] } 1 .. 5;

    # the worker has read all that
    ok(shows(20), 'others are served');
    go_away($how, @gone);
    ok(shows(20), 'clients go away while they wait');
    $disk->mend;

    # nothing of it is in the way, and each that comes again is told the same
    my %stored;

    for my $i (1 .. 5) {
        my $again = $server->request(POST => '', upload("left-$how-$i", 'rsa'));
        is($again->verdict, 200, 'and come back');
    }

    is(scalar(grep { /^left-$how/ } names()), 5, 'each is there once');
    is($server->request(PUT => "/$id", qq({"name": "back-$how"}))->verdict,
       200, 'what was changed can be changed');
}


# A connection has more than one request.

$disk->set(fsync => 'hold');
my $socket = $server->socket;
Wafcert::Server::write_all($socket, join '', map { Wafcert::Server::wire(@$_) }
    [ POST => '', upload('pipe-1', 'rsa') ], [ GET => "/$id[0]" ],
    [ POST => '', upload('pipe-2', 'rsa') ], [ GET => "/$id[1]" ]);
$disk->wait_for(fsync => 1);
ok(shows(20) && !answered($socket), 'a connection with four requests waits');
$disk->mend;

my ($data, @piped) = ('');
while (@piped < 4) {
    sysread $socket, $data, 65536, length $data or last;
    while (my $answer = Wafcert::Server::parse(\$data)) {
        push @piped, $answer;
    }
}
is(join(' ', map { $_->json->{name} } @piped),
   join(' ', 'pipe-1', JSON::PP::decode_json($body{$id[0]})->{name}, 'pipe-2',
        JSON::PP::decode_json($body{$id[1]})->{name}),
   'and has four answers');


# HTTP/2: the same, on one connection.  What a client sends and gets has keys,
# and the server's directory is searched for them.

my $client = File::Temp->newdir(DIR => 'build');

sub curl {
    my ($out, @args) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', "$client/$out";
        open STDERR, '>&', \*STDOUT;
        { exec 'curl', '-sS', '--noproxy', '*', '--http2-prior-knowledge',
               '-m', 60, '-w', '\n%{http_code} %{http_version}\n', @args; }
        POSIX::_exit(127);
    }

    return $pid;
}

sub curled {
    my ($out) = @_;

    return Wafcert::Fixtures::read_file("$client/$out");
}

SKIP: {
    skip 'curl has no HTTP/2', 1 if `curl -V 2>&1` !~ /HTTP2/;

    my $url = "http://127.0.0.1:$http2" . Wafcert::Server::API();

    for my $i (1 .. 3) {
        open my $body, '>', "$client/body-$i" or die "$client: $!\n";
        print $body upload("h2-$i", 'rsa');
        close $body or die "$client: $!\n";
    }

    $disk->set(fsync => 'hold');

    my @pids = map { curl("curl-$_", '-d', "\@$client/body-$_",
                          '-H', 'Content-Type: application/json', $url) }
                   1 .. 3;
    $disk->wait_for(fsync => 3);

    for my $id (@id[0 .. 3]) {
        waitpid curl('curl-show', "$url/$id"), 0;
        like(curled('curl-show'), qr/"id":"$id".*^200 2/ms,
             'HTTP/2: shows are answered while uploads wait');
    }

    kill KILL => $pids[2];
    waitpid $pids[2], 0;
    is(waitpid($pids[0], POSIX::WNOHANG()), 0, 'which are not');
    $disk->mend;

    for my $i (1, 2) {
        waitpid $pids[$i - 1], 0;
        like(curled("curl-$i"), qr/"name":"h2-$i".*^200 2/ms,
             'until the disk has them');
    }

    is($server->request(POST => '', upload('h2-3', 'rsa'))->verdict, 200,
       'the one that was killed can come back');
    is(scalar(grep { /^h2-/ } names()), 3, 'each is there once');
}


# A reload, and an end, while the disk is waited for.

$disk->set(fsync => 'hold');
my ($old) = $server->workers;
my @held = map { $server->send(@$_) }
    [ POST => '', upload('reload', 'rsa') ],
    [ PUT => "/$id", '{"name": "old"}' ];
$disk->wait_for(fsync => 2);

kill HUP => $server->{master};
$server->wait_for('a new worker', sub { $server->workers == 2 });
my ($new) = grep { $_ != $old } $server->workers;
my $by;
$server->wait_for('the new worker serves', sub {
    $by = $server->request(GET => "/$id[0]")->{headers}{'x-worker'};
    return $by == $new;
});

push @held, $server->send(PUT => "/$id", '{"name": "new"}'),
            $server->send(POST => '', upload('reload', 'rsa'));
ok(shows(20), 'after a reload others are served');
is(answered(@held), 0, 'writers in both workers wait');
$disk->mend;

is(verdicts(@held), '200, 200, 200, 200', 'and are done');
$server->settle;
is($server->request(GET => "/$id")->json->{name}, 'new', 'in turn');
is(scalar(grep { $_ eq 'reload' } names()), 1, 'and once');

$shown = $server->snapshot;
my $files = $server->files;
$server->kill_all;
$server->start;
$server->shows($shown, 'all is there after SIGKILL');
$server->keeps($files, 'and the same files');

$disk->set(fsync => 'hold');
my $last = $server->send(POST => '', upload('last', 'rsa'));
$disk->wait_for(fsync => 1);
kill QUIT => $server->{master};
$server->wait_for('nginx listens no more', sub {
    return !$server->socket(quiet => 1);
});
$disk->mend;
is(verdicts($last), '200', 'an nginx that ends stores what it has begun');
ok($server->stop, 'before it does');
$server->start;
ok((grep { $_ eq 'last' } names()), 'and it is there');

$disk->set(fsync => 'hold');
$last = $server->send(POST => '', upload('term', 'rsa'));
$disk->wait_for(fsync => 1);
my $master = $server->{master};
kill TERM => $master;
sleep 0.2;
$disk->mend;
my $answer = eval { Wafcert::Server::read_answer($last) };
ok($server->stop, 'nginx is told to end at once');
$server->start;
is(join(' ', grep { !/\.json$/ } glob "$server->{prefix}/state/*/*"), '',
   'and leaves nothing half done');
ok(!$answer || grep({ $_ eq 'term' } names()) == ($answer->{status} == 200),
   'what was answered is so');
$server->kill_all;


# A pool of threads with another name, and one thread.

$server->configure(main => 'thread_pool one threads=1;',
                   zone => 'threads=one');
$server->start;
$disk->set(fsync => 'hold');
@uploads = map { $server->send(POST => '', upload("one-$_", 'rsa')) } 1 .. 5;
$disk->wait_for(fsync => 1);
ok(shows(20), 'a pool of one thread: others are served');
is(scalar($disk->calls('fsync')), 1, 'and one upload at a time');
$disk->mend;
is(verdicts(@uploads), join(', ', (200) x 5), 'but all of them');

$server->ends_well(qr/\[crit\] .*zone "certs": .*fsync/, qr/signal 9/);
done_testing;
