#!/usr/bin/perl

# The guards of the debug nginx see what is done wrong with memory of a zone.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Fixtures;
use Wafcert::Server;

plan skip_all => 'the nginx of tools/asan alone has guards' unless under_asan();

# reports of its own, lest the step takes them for the module's
my $server = Wafcert::Server->new(start => 0, workers => 1);
my $reports = "$server->{prefix}/logs/report";

$server->{env} = { ASAN_OPTIONS => "log_path=$reports",
                   UBSAN_OPTIONS => "log_path=$reports" };


# How nginx ends, and what it has said.
sub ends {
    my ($kind) = @_;

    $server->configure(main => "master_process off; guard_fault $kind;");

    my $from = length $server->log;
    my $pid = $server->run('logs/out', $server->command);
    my $log = sub { substr $server->log, $from };

    $server->wait_for("$kind: the end", sub {
        # it may come just before nginx waits for the next signal
        kill QUIT => $pid if $log->() =~ /guard_fault is done/;
        return waitpid($pid, 1) == $pid;
    });

    my $text = join '', map { Wafcert::Fixtures::read_file($_) }
                            glob "$reports.*";
    unlink glob "$reports.*";

    return ($?, $log->(), $text);
}


for my $case ([ after_end => 'written after its end', 'guard_free_locked' ],
              [ after_end_kept => 'written after its end', 'guard_exit' ],
              [ before_start => 'written before its start',
                'guard_free_locked' ],
              [ after_free => 'written while it was free',
                'guard_alloc_locked' ],
              [ freed_twice => 'freed twice', 'guard_free_locked' ])
{
    my ($kind, $what, $where) = @$case;
    my ($status, $log, $report) = ends($kind);

    isnt($status, 0, "$kind: it aborts");
    like($log, qr/\[alert\].*memory of a zone, \w+: \Q$what\E/, 'says why');
    like($report, qr/AddressSanitizer: ABRT/, 'reports it');
    like($report, qr/ in $where /, 'from where it was seen');
}

my ($status, $log, $report) = ends('none');

is($status, 0, 'nothing wrong: it ends well');
unlike($log, qr/memory of a zone/, 'and says nothing');
is($report, '', 'nor reports it');

done_testing;
