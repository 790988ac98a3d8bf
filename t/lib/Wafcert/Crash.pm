package Wafcert::Crash;

# nginx with state=, clients that change things, and a sudden end:
#
#   my $crash = Wafcert::Crash->new(seed => 1, clients => 8);
#   my @faults = $crash->round('all');
#
# After each end, what is there is compared with what the clients were told.

use strict;
use warnings;

use File::Find ();
use Getopt::Long ();
use POSIX ();
use Time::HiRes qw(sleep time);

use Wafcert::Client;
use Wafcert::Ledger;
use Wafcert::Server;

# what a log has when processes were killed
our @allowed = (qr/exited on signal 9/, qr/was locked by/,
                qr/a process died while it changed zone/);


# All but the seed may be left out, and what a Wafcert::Server takes may be
# there too.
sub new {
    my ($class, %arg) = @_;

    # what each client would do for itself otherwise
    upload('', $_), Wafcert::Client::pair_of() for @Wafcert::Client::pairs;

    my $self = bless { clients => 8, shown => {}, rounds => 0, %arg }, $class;

    $self->{server} //= Wafcert::Server->new(
        size => '8m', workers => 3, listen => 'reuseport',
        main => 'thread_pool disk threads=16;',
        state => 'state', zone => 'threads=disk',
        server => 'wafcert_return_key always;', %arg);

    $self->{ledger} = Wafcert::Ledger->new;
    $self->{journal} = "$self->{server}{prefix}/journal";
    $self->{stop} = "$self->{server}{prefix}/stop";

    srand $self->{seed};

    return $self;
}


sub client {
    my ($self, $number) = @_;

    return Wafcert::Client->new(
        server => $self->{server}, journal => $self->{journal},
        known => $self->{shown}, name => "c$number-$self->{rounds}",
        share => $number - 1 . "/$self->{clients}");
}


# What is killed next.
sub any {
    return (qw(worker worker all all both))[rand 5];
}


sub summary {
    my ($self) = @_;

    return sprintf '%d changes answered, %d not, %d certificates',
                   @$self{qw(answers open)}, scalar keys %{$self->{shown}};
}


# What is killed: "worker", one of them, and the clients go on; "all" of nginx;
# "both", one after the other.
sub round {
    my ($self, $what) = @_;

    my $server = $self->{server};
    my ($before, $after, $which) = (rand 0.5, rand 0.5, rand);

    $self->{rounds}++;
    @$self{qw(answers open)} = (0, 0);

    my @clients = map { $self->start_client($_) } 1 .. $self->{clients};

    $server->wait_for('a first change', sub { -s $self->{journal} });
    sleep $before;

    if ($what ne 'all') {
        my @workers = $server->workers;
        kill KILL => $workers[$which * @workers];
        sleep $what eq 'both' ? $after / 50 : $after;
    }

    $server->kill_all if $what ne 'worker';

    return $self->end_clients(@clients),
           $what eq 'worker' ? $self->rest : $self->restart;
}


sub start_client {
    my ($self, $number) = @_;

    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    srand(($self->{seed} * 1000 + $self->{rounds}) * 1000 + $number);

    my $done = eval {
        $self->client($number)->run(sub { -e $self->{stop} });
        1;
    };

    print STDERR $@ unless $done;
    POSIX::_exit($done ? 0 : 1);
}


sub end_clients {
    my ($self, @clients) = @_;

    my $failed = 0;
    $self->{server}->write_file('stop', '');

    for my $client (@clients) {
        waitpid $client, 0;
        $failed++ if $?;
    }

    unlink $self->{stop};

    return $failed ? "$failed clients gave up" : ();
}


# Looks at what is there while nginx runs, and whether all of it is still there
# after a sudden end, to the last byte.
sub rest {
    my ($self) = @_;

    $self->wait_for_all;

    my ($before, @faults) = $self->look;
    $self->{server}->kill_all;
    my ($after, @others) = $self->start;

    my ($changed) = grep { $before->[$_] ne ($after->[$_] // '') }
                         0 .. $#$before;

    push @others, 'the restart made another ' . substr($after->[$changed]
                  // '', 0, 60) . '... of ' . substr $before->[$changed], 0, 60
        if defined $changed;

    return @faults, @others;
}


# The worker that takes the place of a killed one settles what that had begun
# before it answers.
sub wait_for_all {
    my ($self) = @_;

    my $server = $self->{server};
    my %seen;

    $server->wait_for('all workers answer', sub {
        my @answers = $server->at_once(map { [ GET => '//empty' ] } 1 .. 16);

        $seen{$_->{headers}{'x-worker'}} = 1 for @answers;

        my @workers = $server->workers;
        return @workers == $server->{workers} && !grep { !$seen{$_} } @workers;
    });
}


# "spoil" is called before nginx is started.
sub restart {
    my ($self, $spoil) = @_;

    $spoil->("$self->{server}{prefix}/state") if $spoil;

    my (undef, @faults) = $self->start;

    return @faults;
}


sub start {
    my ($self) = @_;

    my $server = $self->{server};
    my $from = length $server->log;

    $server->start;

    my ($texts, @faults) = $self->look;

    return $texts, @faults, files("$server->{prefix}/state", $self->{shown}),
           log_faults(substr($server->log, $from),
                      scalar keys %{$self->{shown}});
}


# What is shown, as texts, and what is wrong with it.
sub look {
    my ($self) = @_;

    my $ledger = $self->{ledger};
    my ($shown, $texts, @faults) = shown($self->{server}, '');

    # the start of what comes next, too
    open my $journal, '+>>', $self->{journal} or die "journal: $!\n";
    seek $journal, 0, 0;
    $ledger->read(<$journal>);
    truncate $journal, 0;

    push @faults, $ledger->faults($shown), $ledger->refusals;

    $self->{answers} += grep { $_->{answer} } $ledger->requests;
    $self->{open} += grep { !$_->{answer} } $ledger->requests;
    $self->{shown} = $shown;
    $ledger->settle($shown);

    return $texts, @faults;
}


# All of the list, as Wafcert::Ledger has it, as texts, and what is wrong.
# "base" is the path of an API.
sub shown {
    my ($server, $base) = @_;

    my $list = $server->request(GET => $base);
    return {}, [], "the list: " . ($list ? $list->verdict : 'none')
        unless $list && $list->{status} == 200;

    my (%shown, @faults);
    my @items = @{$list->json->{items}};
    my @texts = 'list of ' . join ' ', map { substr $_->{id}, 0, 4 } @items;

    push @faults, "the list has " . @items . " of $list->{json}{total}"
        if $list->json->{total} != @items;

    for my $item (@items) {
        my $answer = $server->request(GET => "$base/$item->{id}");

        if (!$answer || $answer->{status} != 200) {
            push @faults, "$item->{id} is listed and not shown: "
                          . ($answer ? $answer->verdict : 'no answer');
            next;
        }

        my %is = Wafcert::Client::members($answer);
        my $pair = Wafcert::Client::pair_of($is{fingerprint});

        push @faults, "$item->{id} is not whole: $is{name} $pair"
            unless $pair ne 'unknown' && whole($answer->{body}, $pair)
                   && $answer->{headers}{etag} eq qq("$is{revision}");

        push @faults, "$item->{id} is listed differently"
            if grep { $item->{$_} ne $is{$_} }
                    qw(id name timestamp expire_time cert_type);

        push @texts, $answer->{body};
        $shown{$item->{id}} = [ @is{qw(revision name)}, $pair ];
    }

    return \%shown, \@texts, @faults;
}


# Does an answer have this certificate, chain and key?
sub whole {
    my ($body, $pair) = @_;

    my %is = upload('', $pair) =~ /"(content|key)": ("[^"]*")/g;

    return !grep { index($body, qq("$_":$is{$_})) < 0 } keys %is;
}


# Files below a state directory that are no records of what is shown.
sub files {
    my ($dir, $shown) = @_;

    my %records = map { substr($_, 0, 2) . "/$_.json" => 1 } keys %$shown;
    my @faults;

    File::Find::find({ no_chdir => 1, wanted => sub {
        return unless -f;

        my $file = substr $_, length "$dir/";

        push @faults, "$file is no record"
            if !delete $records{$file} && $file ne 'changes';
    } }, $dir);

    return @faults, map { "$_ is no file" } sort keys %records;
}


sub log_faults {
    my ($log, $certificates) = @_;

    return bad_lines($log),
           $log =~ /: loaded $certificates certificates .* 0 files were/
           ? () : "the log does not tell of $certificates certificates";
}


sub bad_lines {
    my ($log) = @_;

    return grep {
        my $line = $_;

        $line =~ /\[(?:alert|emerg|crit)\]|was refused/
            && !grep { $line =~ $_ } @allowed
    } split /\n/, $log;
}


# Deletes all, and looks whether anything comes back.
sub empty {
    my ($self) = @_;

    my $client = $self->client(0);
    my @faults = map {
        my $answer = $client->ask(delete => $_);
        $answer && $answer->{status} == 200 ? () : "$_ cannot be deleted"
    } sort keys %{$self->{shown}};

    $self->{server}->kill_all;

    return @faults, $self->restart;
}


# tools/crashtest
sub main {
    my (@args) = @_;

    local @ARGV = @args;
    my %arg = (seed => time % 100000, clients => 8);

    Getopt::Long::GetOptions(\%arg, qw(kills=i seconds=i clients=i seed=i
                                       power-cut)) && !@ARGV
        or return 2;

    $arg{kills} //= $arg{seconds} ? 1e9 : 200;
    $arg{end} = $arg{seconds} ? time + $arg{seconds} : 1e99;
    $| = 1;

    print "seed $arg{seed}\n";

    my $good = $arg{'power-cut'} ? power_cuts(%arg) : kills(%arg);

    return $good ? 0 : 1;
}


sub kills {
    my (%arg) = @_;

    my $crash = __PACKAGE__->new(name => 'crashtest',
                                 map { $_ => $arg{$_} } qw(seed clients));
    my $faults = 0;

    for my $kill (1 .. $arg{kills}) {
        last if $faults || time > $arg{end};

        my $what = $crash->any;
        my @faults = $crash->round($what);

        printf "%4d %-6s %s\n", $kill, $what, $crash->summary;
        print "     $_\n" for @faults;
        $faults += @faults;
    }

    my @faults = $faults ? () : $crash->empty;
    print "     $_\n" for @faults;

    return told($crash->{server}, $faults + @faults);
}


# One after the other, each with another seed.
sub power_cuts {
    my (%arg) = @_;

    require Wafcert::PowerCut;

    for (my $seed = $arg{seed}; ; $seed++) {
        my $cut = Wafcert::PowerCut->record(name => 'crashtest',
                                            seed => $seed, changes => 20);
        my @faults = ($cut->differences, $cut->faults($cut->{record}));

        printf "seed %d: %d lines, %d disks\n", $seed,
               scalar @{$cut->{record}}, $cut->{disks};
        print "     $_\n" for @faults;

        return told($cut->{server}, scalar @faults)
            if @faults || !$arg{seconds} || time > $arg{end};
    }
}


sub told {
    my ($server, $faults) = @_;

    print $faults ? "FAILED, see $server->{prefix}\n"
                  : "nothing was lost\n";

    return !$faults;
}

1;
