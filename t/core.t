#!/usr/bin/perl

# A worker has keys in its own memory too: those of uploads, and those that it
# serves.  No process of nginx that may have one leaves a core dump, even where
# nginx is told to.

use strict;
use warnings;

use Cwd ();
use Test::More;

use lib 't/lib';
use Wafcert::Server;

plan skip_all => 'valgrind makes core dumps of its own, and ASan none'
    if under_valgrind() || under_asan();

my $server = Wafcert::Server->new(workers => 2, start => 0, state => 'state');
my $cores = "$server->{prefix}/cores";

mkdir $cores or die "$cores: $!\n";
chmod 01777, $cores;

# nginx inherits it
plan skip_all => 'this machine limits core dumps'
    if system("prlimit --pid $$ --core=unlimited:unlimited");

system qq(cd "$cores" && exec sh -c 'kill -SEGV \$\$');
plan skip_all => 'this machine makes no core dumps' unless $? & 128;

unlink glob "$cores/*";

$server->configure(main => "worker_rlimit_core 500m;
                            working_directory $cores;");

my ($taken, $said) = $server->test;

ok($taken, 'worker_rlimit_core is taken');
like($said, qr/\[warn\] [^\n]*"worker_rlimit_core" has no effect/,
     'and that it has no effect is told');

# "working_directory" is the workers'; the master's is that of the start
my $cwd = Cwd::getcwd();

chdir $cores or die "$cores: $!\n";
$server->start;
chdir $cwd or die "$cwd: $!\n";

is($server->request(POST => '', upload('a'))->{status}, 200, 'an upload');

my @workers = $server->workers;

kill SEGV => @workers;

$server->wait_for('workers end', sub {
    return @workers == grep { $server->log =~ /process $_ exited on signal 11/ }
                            @workers;
});

unlike($server->log, qr/core dumped/, 'workers that crash make no core dump');

# the state directory, and what opens its keys
my $master = $server->{master};

$server->wait_for('new workers', sub { $server->workers == 2 });
@workers = $server->workers;

kill SEGV => $master;
waitpid $master, 0;
is($? & 127, 11, 'the master crashes');
is($? & 128, 0, 'it makes no core dump');

delete $server->{master};
kill KILL => @workers;

is_deeply([ glob "$cores/*" ], [], 'nor is there one');
done_testing;
