#!/usr/bin/perl

# Workers are killed while they work.  The others go on, what was answered
# stays, and what was under way is neither half done nor in the way.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

plan skip_all => 'valgrind has nothing to say about a process that is killed'
    if under_valgrind();

my $kills = $ENV{WAFCERT_KILLS} // 20;

use constant CLIENTS => 3;

my $server = Wafcert::Server->new(size => '8m');
my $stop = "$server->{prefix}/stop";

seeded();


# What a client does with one certificate, and what it knows about it: "id"
# and "name" as they were answered last, and "open", the request that was not
# answered.
my @stories = (
    [ qw(create) ],
    [ qw(create rename rename) ],
    [ qw(create renew rename) ],
    [ qw(create rename delete) ],
    [ qw(create delete) ],
);


sub request_of {
    my ($story) = @_;

    my $step = $story->{step} = shift @{$story->{steps}};
    my $next = $story->{next} = "$story->{base}-" . @{$story->{steps}};

    return [ POST => '', upload($next, $story->{pair}) ]
        if $step eq 'create';

    return [ DELETE => "/$story->{id}" ] if $step eq 'delete';

    return [ PUT => "/$story->{id}", qq({"name": "$next"}) ]
        if $step eq 'rename';

    $story->{next} = $story->{name};
    return [ PUT => "/$story->{id}", upload($story->{name}, 'rsa') ];
}


# Runs until it is stopped.  A request that was not answered is not repeated.
sub client {
    my ($number) = @_;

    my (@waiting, @ended, %story);
    my ($i, $longest) = (0, 0);

    $server->load(4, sub {
        my $story = shift @waiting;

        unless ($story) {
            return if -e $stop;

            $story = { base => "c$number-$i",
                       pair => (qw(ec ed))[$i % 2],
                       steps => [ @{$stories[rand @stories]} ] };
            $i++;
        }

        $story->{start} = time;

        my $request = request_of($story);
        $story{$request} = $story;
        return $request;
    }, sub {
        my ($request, $answer) = @_;

        my $story = delete $story{$request};
        my $time = time - $story->{start};

        if (!$answer) {
            $story->{open} = $story->{step};

        } elsif ($answer->{status} != 200) {
            $story->{refused} = $answer->verdict;

        } else {
            $longest = $time if $time > $longest;

            $story->{id} //= $answer->json->{id};
            $story->{name} = $story->{next};
            $story->{gone} = 1 if $story->{step} eq 'delete';

            return push @waiting, $story if @{$story->{steps}};
        }

        push @ended, $story;
    }, once => 1);

    # those that were not yet at their end when it was stopped
    push @ended, @waiting;

    $server->write_file("client-$number", JSON::PP::encode_json(
        { longest => $longest, stories => \@ended }));
}


my @clients = map {
    my $number = $_;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        srand $number;
        my $done = eval { client($number); 1 };
        print STDERR $@ unless $done;
        POSIX::_exit($done ? 0 : 1);
    }

    $pid
} 1 .. CLIENTS;

# each worker but once: the master may be slow to see that one is gone
my %killed;

for (1 .. $kills) {
    sleep 0.03 + rand 0.07;

    my @workers;
    $server->wait_for('a worker', sub {
        @workers = grep { !$killed{$_} } $server->workers;
    });

    my $pid = $workers[rand @workers];
    $killed{$pid} = kill KILL => $pid;
}

sleep 0.2;
$server->write_file('stop', '');

my $failed = 0;

for my $client (@clients) {
    waitpid $client, 0;
    $failed++ if $?;
}

is($failed, 0, 'clients went on until they were stopped')
    or BAIL_OUT('cannot go on');

my ($longest, @all) = (0);

for my $number (1 .. CLIENTS) {
    open my $in, '<', "$server->{prefix}/client-$number" or die "$!\n";
    my $result = JSON::PP::decode_json(<$in>);

    $longest = $result->{longest} if $result->{longest} > $longest;
    push @all, @{$result->{stories}};
}

my ($log, $signalled);

eval {
    $server->wait_for('the log', sub {
        $log = $server->log;
        $signalled = () = $log =~ /exited on signal 9/g;

        return $signalled >= $kills;
    });
};

my $locked = () = $log =~ /was locked by/g;
my $mended = () = $log =~ /a process died while it changed zone/g;

is($signalled, $kills, "$kills workers were killed");
cmp_ok($longest, '<', 25, 'nobody waited for a dead worker, for 30 seconds');

my @open = grep { $_->{open} } @all;
my @kept = grep { $_->{id} && !$_->{open} && !$_->{gone} } @all;
my @gone = grep { $_->{gone} } @all;

diag(sprintf '%d certificates, %d are kept, %d deleted, %d have a request '
             . 'that was not answered, %d have another', scalar @all,
             scalar @kept, scalar @gone, scalar @open,
             scalar grep { $_->{refused} } @all);
diag(sprintf 'longest answer %.0f ms; a killed worker had the lock %d times, '
             . 'and was changing something %d times', 1000 * $longest,
             $locked, $mended);

is(join(' ', map { "$_->{base} $_->{refused}" } grep { $_->{refused} } @all),
   '', 'nothing was refused');


# one after the other, none of whom waits for a dead worker
my $slow = 0;

sub ask {
    my $start = time;
    my $answer = $server->request(@_);

    $slow++ if time - $start > 25;
    return $answer // die "no answer to $_[0] $_[1]\n";
}


my (@lost, @back);

for my $story (@kept) {
    my $answer = ask(GET => "/$story->{id}");

    push @lost, "$story->{base}: " . $answer->verdict
        unless $answer->{status} == 200
               && $answer->json->{name} eq $story->{name}
               && $answer->json->{content} =~ /\A-----BEGIN.*END[^\n]*\n\z/s;
}

for my $story (@gone) {
    my $answer = ask(GET => "/$story->{id}");
    push @back, $story->{base} unless $answer->verdict eq '404 not_found';
}

is("@lost", '', 'what was answered 200 is still there');
is("@back", '', 'what was deleted is not');


# What was not answered was done, or not.  Both names can be used, at once.
my @wrong;

for my $story (@open) {
    my @names = grep { defined } @$story{qw(name next)};

    if ($story->{id}) {
        my $shown = ask(GET => "/$story->{id}");
        my $deleted = ask(DELETE => "/$story->{id}");

        push @wrong, "$story->{base} is shown: " . $shown->verdict
            unless $shown->{status} == 200
                   ? grep { $shown->json->{name} eq $_ } @names
                   : $story->{open} eq 'delete';

        push @wrong, "$story->{base} is deleted: " . $deleted->verdict
            unless $deleted->{status} == $shown->{status};
    }

    for my $name (@names) {
        my $created = ask(POST => '', upload($name, $story->{pair}));

        if ($created->{status} != 200) {
            push @wrong, "$name is created: " . $created->verdict;
            next;
        }

        my $deleted = ask(DELETE => '/' . $created->json->{id});
        push @wrong, "$name is deleted: " . $deleted->verdict
            unless $deleted->{status} == 200;
    }
}

is(join("\n", @wrong), '', 'what was not answered is done or not done');
is($slow, 0, 'and no reservation stands in the way');

my %stored = $server->stored;

is(join(' ', sort keys %stored), join(' ', sort map { $_->{name} } @kept),
   'the list is what was kept');

for my $id (values %stored) {
    my $answer = ask(DELETE => "/$id");
    push @wrong, $id unless $answer->{status} == 200;
}

is("@wrong", '', 'all can be deleted');
is($server->request(GET => '')->json->{total}, 0, 'nothing is left');

$server->ends_well(qr/exited on signal 9/, qr/was locked by/,
                   qr/a process died while it changed zone/);
done_testing;
