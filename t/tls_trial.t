#!/usr/bin/perl

# A thread tries to sign with a large key, before an upload is answered, or when
# the first worker starts.  What is sent until it has is the next good certificate
# of the same project, by all workers; and it is tried once, whatever becomes of
# the worker's cache, and of the certificate's name.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port) = ports(1);
my $own = certificate(hosts => [ 'own.test' ]);
my $ssl = install('own', $own);

# a trial counts for 10 seconds, which the clock does not have
my $server = Wafcert::Server->new(workers => 2, start => 0);
my %preloaded = (clock => pack('qq', 0, time), trial => pack('ii', 0, 0));

for my $name (sort keys %preloaded) {
    system('cc', '-O', '-Wall', '-shared', '-fPIC', '-o',
           "$server->{prefix}/$name.so", "t/lib/$name.c", '-ldl') == 0
        or die "t/lib/$name.c was not compiled\n";

    $server->write_file($name, $preloaded{$name});
}

sub preloaded {
    my ($name, $offset, $value) = @_;

    open my $file, '+<', "$server->{prefix}/$name" or die "$name: $!\n";
    sysseek $file, $offset, 0;

    return syswrite $file, $value if defined $value;

    sysread $file, my $number, 4;
    return unpack 'i', $number;
}

sub hold { preloaded(trial => 4, pack 'i', shift) }
sub trials { return preloaded(trial => 0) }

$server->configure(
    env => { LD_PRELOAD => join(' ', map { "$server->{prefix}/$_.so" }
                                         sort keys %preloaded),
             map { ("WAFCERT_\U$_" => "$server->{prefix}/$_") }
                 keys %preloaded });
$server->start;

my $serving = <<"END";
    wafcert_serve zone=certs;
    wafcert_serve_cache 1;
    $ssl

    server {
        listen 127.0.0.1:$port ssl;
        location / { return 200 \$pid; }
    }
END


sub put {
    my ($name, $pair, $project) = @_;

    my $answer = create($server, $project // 'project', $name, $pair);
    is($answer->verdict, '200', "$name is taken");

    return $answer->json->{id};
}

sub order {
    my ($host) = @_;

    return join ' ', map { "$_->{name}:$_->{reason}"
                           . ($_->{servable} ? '' : '!') }
                         serves($server, 'project', $host);
}

# by each worker, however often the other one comes first
sub gets {
    my ($host, $pair, $what) = @_;

    my %left = map { $_ => 1 } $server->workers;

    for (1 .. 100) {
        my $got = handshake($port, $host);

        return is($got->{leaf} || $got->{failed}, $pair->{leaf}, $what)
            if $got->{leaf} ne $pair->{leaf};

        delete $left{$got->{body}};
        last unless %left;
    }

    pass($what);
}

sub comes {
    my ($host, $pair, $what) = @_;

    $server->wait_for($what, sub {
        return handshake($port, $host)->{leaf} eq $pair->{leaf};
    });

    gets($host, $pair, $what);
}


my $good = certificate(hosts => [ 'a.test' ], from => -90000, type => 'rsa');
my $large = certificate(hosts => [ 'a.test', 'b.test' ], type => 'rsa3072');
my $other = certificate(hosts => [ 'b.test' ]);
my $left = certificate(hosts => [ 'c.test' ], from => -90000, type => 'rsa');
my $again = certificate(hosts => [ 'c.test' ], type => 'rsa3072');
my $names = unsigned([ 'n.test', map { "n$_" } 1 .. 999 ]);
my $many = unsigned([ ('m.test') x 8000 ]);

put(good => $good);
my $id = put(large => $large);
put(other => $other, 'other');
put(names => $names);
is(trials(), 0, 'what nobody serves is not tried');

# what is there when a worker starts is tried before anybody asks for it
sub serve {
    $server->configure(http => shift);
    ok($server->reload, 'another configuration');
    $server->settle;
}

hold(1);
serve($serving);
$server->wait_for('a trial', sub { trials() == 1 });

gets('a.test', $good, 'the next one is sent');
gets('b.test', $own, 'but none of a project that came later');
is(trials(), 1, 'one thread tries it');

is(order('a.test'), 'good:served large:trying!', 'list');
like((serves($server, 'project', 'b.test'))[0]{message},
     qr/^is passed over until a thread has tried/, 'why');

hold(0);

comes('a.test', $large, 'it is sent once it has signed');
gets('b.test', $large, 'for each of its hosts');
is(order('a.test'), 'large:served good:older', 'list');

gets('n.test', $names, 'a thousand names are no matter');

serve('');
put(many => $many);
hold(1);
serve($serving);
$server->wait_for('a trial', sub { trials() == 2 });
gets('m.test', $own, 'thousands are');
hold(0);
comes('m.test', $many, 'and sent');


# what a signature tells is told of the pair, not of its name

is($server->request(PUT => "/$id", '{"name": "renamed"}')->verdict, '200',
   'renamed');
hold(1);
gets('a.test', $large, 'it need not sign again');
is(trials(), 2, 'and does not');


# an upload to what is served is tried before it is in force

my $next = certificate(hosts => [ 'a.test', 'b.test' ], type => 'rsa3072');

my $answer = create($server, 'project', 'next', $next, '?dry_run=true');
is($answer->verdict, '200', 'not in a dry run');
is(trials(), 2, 'of which nothing is sent');

my $socket = $server->send(PUT => "/$id", "{$next->{body}}");
$server->wait_for('a trial', sub { trials() == 3 });
gets('a.test', $large, 'what it is to replace is sent meanwhile');

hold(0);
is(Wafcert::Server::read_answer($socket)->verdict, '200', 'and taken then');
hold(1);
gets('a.test', $next, 'it is in force for all that come');
is(trials(), 3, 'who try nothing');

$socket = $server->send(POST => '', qq({"name": "gone", $large->{body}}));
$server->wait_for('another trial', sub { trials() == 4 });
close $socket;
hold(0);
$server->wait_for('what goes on without its client', sub {
    return grep { $_->{name} eq 'gone' }
                @{$server->request(GET => '')->json->{items}};
});


# whoever tries one may die, or have the time that it was then no more

serve('');
put(left => $left);
put(again => $again);
hold(1);
serve($serving);
$server->wait_for('a trial', sub { trials() == 5 });
gets('c.test', $left, 'another one');

my ($worker) = $server->workers;
kill KILL => $server->workers;
$server->wait_for('new workers', sub {
    return !grep({ $_ eq $worker } $server->workers)
           && $server->workers == 2;
});

$server->wait_for('one that starts anew', sub { trials() == 6 });
gets('c.test', $left, 'it may still be tried');

preloaded(clock => 0, pack 'q', 11);
gets('c.test', $left, 'not after 10 seconds');

preloaded(clock => 0, pack 'q', -3600);
gets('c.test', $left, 'the clock is put back');
cmp_ok(trials(), '<=', 7, 'each worker has tried it once at most');

hold(0);
comes('c.test', $again, 'and sent');

# no thread has to do with what is refused by its name

put(taken => certificate(hosts => [ 'taken.test' ]));

my $before = trials();
is(create($server, 'project', 'taken',
          certificate(hosts => [ 'taken.test' ], type => 'rsa3072'))->verdict,
   '400 name_duplicate', 'a name that is taken');
is(trials(), $before, 'nothing was tried');

$server->stop;


# of a project one key at a time has a thread, and keeps no other one waiting

my $api = 'wafcert_api zone=certs; wafcert_auth off;';
my %pair = map {
    $_ => certificate(hosts => [ "$_.test" ], type => 'rsa3072')
} qw(first gone second third);

preloaded(trial => 0, pack 'i', 0);
preloaded(clock => 0, pack 'q', 0);
$server->configure(
    workers => 1, main => 'thread_pool default threads=2;',
    server => "location /v1/one/ { $api wafcert_quota 1; }"
              . " location /v1/bytes/ { $api wafcert_quota 9 4k; }");
$server->start;

sub uploads {
    my ($name, $pair, $project) = @_;

    return $server->send(POST => Wafcert::TLS::path($project // 'greedy'),
                         qq({"name": "$name", $pair->{body}}));
}

sub answers {
    my ($socket) = @_;

    return Wafcert::Server::read_answer($socket);
}

hold(3072);

$socket = uploads(first => $pair{first});
$server->wait_for('a trial', sub { trials() == 1 });

my $gone = uploads(gone => $pair{gone});
my @others = (uploads(second => $pair{second}), uploads(third => $pair{third}),
              uploads(third => $pair{third}), uploads(third => $pair{second}));

is(create($server, 'other', 'other',
          certificate(hosts => [ 'other.test' ], type => 'rsa3584'))->verdict,
   '200', 'another project need not wait');
is(trials(), 2, 'for one of the first');

# the worker knows of one event before it has the next
close $gone;
is($server->request(GET => '//v1/one/waf/certificate')->json->{total}, 0,
   'a client goes away') for 1 .. 3;

hold(0);
my ($first, $second, $third, $repeated, $taken)
    = map { answers($_) } $socket, @others;

is($_->verdict, '200', 'each has its turn') for $first, $second, $third;
is($repeated->verdict, '200', 'a create that is repeated');
is($repeated->json->{id}, $third->json->{id}, 'is answered as the first one');
is($taken->verdict, '400 name_duplicate', 'the name is taken');
is(trials(), 4, 'and what has been refused, or is there, is not tried');
is(join(' ', sort map { $_->{name} } @{
            $server->request(GET => '//v1/greedy/waf/certificate')
                   ->json->{items}}),
   'first second third', 'nor what nobody waits for');


# the quota is judged before

$before = trials();

hold(3072);
$socket = uploads(first => $pair{first}, 'one');
$server->wait_for('a trial', sub { trials() == $before + 1 });
my $beyond = uploads(second => $pair{second}, 'one');

is(create($server, 'bytes', 'small', certificate(hosts => [ 's.test' ]))
       ->verdict, '200', 'what the quota has room for');
is(create($server, 'bytes', 'second', $pair{second})->verdict, '403 quota',
   'bytes');

hold(0);
is(answers($socket)->verdict, '200', 'the last one of the quota');
is(answers($beyond)->verdict, '403 quota', 'the next one');
is(create($server, 'one', 'third', $pair{third})->verdict, '403 quota',
   'number');
is(trials(), $before + 1, 'nothing of that was tried');

$server->ends_well(qr/exited on signal 9/, qr/was locked by/);
done_testing;
