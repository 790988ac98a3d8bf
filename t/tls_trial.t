#!/usr/bin/perl

# A thread tries to sign with a large key.  Until it has, what is sent is the
# next good certificate of the same project, by all workers; and it is tried
# once, whatever becomes of the worker's cache, and of the certificate's name.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port) = ports(1);
my $own = certificate(hosts => [ 'own.test' ]);
my $ssl = install('own', $own);

my $server = Wafcert::Server->new(workers => 2, start => 0);
my %preloaded = (clock => pack('q', 0), trial => pack('ii', 0, 0));

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
                 keys %preloaded },
    http => <<"END");
    wafcert_serve zone=certs;
    wafcert_serve_cache 1;
    $ssl

    server {
        listen 127.0.0.1:$port ssl;
        location / { return 200 \$pid; }
    }
END
$server->start;


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

put(good => $good);
my $id = put(large => $large);
put(other => $other, 'other');

hold(1);

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


# what a signature tells is told of the pair, not of its name

my $before = trials();

is($server->request(PUT => "/$id", '{"name": "renamed"}')->verdict, '200',
   'renamed');
hold(1);
gets('a.test', $large, 'it need not sign again');
hold(0);
is(trials(), $before, 'and does not');

my $next = certificate(hosts => [ 'a.test', 'b.test' ], type => 'rsa3072');
hold(1);
is(modify($server, 'project', $id, $next)->verdict, '200', 'another leaf');
gets('a.test', $good, 'is another pair');
is(trials(), $before + 1, 'and is tried');


# whoever tries it may die, or have the time that it was then no more

my ($worker) = $server->workers;
kill KILL => $server->workers;
$server->wait_for('new workers', sub {
    return !grep({ $_ eq $worker } $server->workers)
           && $server->workers == 2;
});

gets('a.test', $good, 'it may still be tried');
is(trials(), $before + 1, 'nobody knows better');

preloaded(clock => 0, pack 'q', 11);
gets('a.test', $good, 'not after 10 seconds');
is(trials(), $before + 2, 'it is tried again');

preloaded(clock => 0, pack 'q', -3600);
gets('a.test', $good, 'the clock is put back');
cmp_ok(trials(), '>', $before + 2, 'and again');

hold(0);
comes('a.test', $next, 'and sent');


# as is what takes long to load

hold(1);
$before = trials();
my $names = unsigned([ 'n.test', map { "n$_" } 1 .. 999 ]);
my $many = unsigned([ ('m.test') x 8000 ]);
put(names => $names);
put(many => $many);
gets('n.test', $names, 'a thousand names are no matter');
gets('m.test', $own, 'thousands are');
is(trials(), $before + 1, 'the one is tried in a thread');
hold(0);
comes('m.test', $many, 'and sent');

$server->ends_well(qr/exited on signal 9/, qr/was locked by/);
done_testing;
