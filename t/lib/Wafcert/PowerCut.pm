package Wafcert::PowerCut;

# What a disk may have after a power cut, and what nginx makes of it.
#
# t/lib/record.c writes down what nginx does to its state directory, and
# clients write between the lines what they were told.  A cut may come after
# any line.  What was synced by then is on the disk; each entry of a directory
# and each file that was not may be there, be as it was before, or, a file, be
# there in part.  nginx is started with many such disks at once, each in a zone
# of its own.

use strict;
use warnings;

use Cwd ();
use Digest::MD5 qw(md5_hex);
use File::Find ();
use File::Path ();
use POSIX ();

use Wafcert::Client;
use Wafcert::Crash;
use Wafcert::Ledger;
use Wafcert::Server;

use constant ZONES => 50;


# Runs nginx with its state directory below "disk", and returns the lines.
sub record {
    my ($class, %arg) = @_;

    mkdir 'build';
    my $recorder = Cwd::getcwd() . "/build/record-$$.so";
    system('cc', '-O', '-Wall', '-shared', '-fPIC', '-o', $recorder,
           't/lib/record.c') == 0 or die "t/lib/record.c was not compiled\n";

    my $self = bless { seed => 1, clients => 4, changes => 8, %arg }, $class;
    my $server = $self->{server} = Wafcert::Server->new(
        size => '2m', workers => 2, main => 'thread_pool disk threads=4;',
        state => 'disk/state', zone => 'threads=disk', start => 0,
        server => 'wafcert_return_key always;', %arg);

    # the directory itself is one of those that have to last
    $self->{disk} = "$server->{prefix}/disk";
    $self->{lines} = "$server->{prefix}/lines";
    mkdir $self->{disk};

    $server->{env} = { LD_PRELOAD => $recorder,
                       WAFCERT_RECORD => $self->{lines},
                       WAFCERT_RECORD_DIR => $self->{disk} };
    $server->start;

    $self->change;
    $self->kill_everywhere;

    $server->stop;
    unlink $recorder;

    open my $in, '<', $self->{lines} or die "$self->{lines}: $!\n";
    chomp(@{$self->{record}} = <$in>);

    return $self;
}


# Several clients at once.
sub change {
    my ($self) = @_;

    my @clients = map {
        my $client = Wafcert::Client->new(server => $self->{server},
                                          journal => $self->{lines},
                                          name => "c$_");
        my $pid = fork // die "fork: $!\n";

        if ($pid == 0) {
            srand $self->{seed} * 1000 + $_;
            eval { $client->run(sub { $client->{number} >= $self->{changes} });
                   1 } or print STDERR $@;
            POSIX::_exit(0);
        }

        $pid
    } 1 .. $self->{clients};

    waitpid $_, 0 for @clients;
}


# A worker, or all of nginx, is killed after each step of each kind of change.
# The client asks again, and is answered.
sub kill_everywhere {
    my ($self) = @_;

    my $server = $self->{server};
    my $client = Wafcert::Client->new(server => $server, name => 'k',
                                      journal => $self->{lines});
    my $i = 0;

    $client->ask(create => undef, "k-$_", 'ec') for 1 .. 6;

    for my $who ('', 'all ') {
        for my $step (qw(mkdir open write synced rename link unlink)) {
            for my $kind (qw(create modify delete)) {
                my ($id) = sort keys %{$client->{known}};
                my @workers = $server->workers;
                my @change = ($kind, $kind eq 'create' ? undef : $id,
                              $kind eq 'delete' ? (undef, undef)
                                                : ('kill-' . ++$i, 'ed'));

                $server->write_file('lines.kill', "$who$step", 0666);

                my $answer = $client->ask(@change);

                unlink "$server->{prefix}/lines.kill";
                next if $answer;

                if ($who) {
                    kill KILL => @workers;
                    $server->wait_for('all end', sub { !kill 0 => @workers });
                    $server->kill_all;
                    $server->start;
                }

                $client->ask(@change);
            }
        }
    }
}


# Follows the record.  "seen" is called with each line's number.
sub follow {
    my ($self, $record, $seen) = @_;

    my $fs = Wafcert::PowerCut::Disk->new((stat $self->{disk})[1]);

    for my $number (0 .. $#$record) {
        my ($word, @rest) = split ' ', $record->[$number];
        my $sub = $fs->can("on_$word") or next;

        $fs->{time}++;
        $fs->$sub(@rest);
        $seen->($number, $fs);
    }

    return $fs;
}


# Has the record all that was done?
sub differences {
    my ($self) = @_;

    my $tree = $self->follow($self->{record}, sub {})->tree('all');
    my %is;

    File::Find::find({ no_chdir => 1, wanted => sub {
        return if $_ eq $self->{disk};

        $is{substr $_, length "$self->{disk}/"} =
            -d $_ ? undef : Wafcert::Fixtures::read_file($_);
    } }, $self->{disk});

    # which is mapped
    delete @$_{'state/changes'} for $tree, \%is;

    my %all = (%$tree, %is);

    return grep { !exists $is{$_} || !exists $tree->{$_}
                  || ($is{$_} // '/') ne ($tree->{$_} // '/') }
                sort keys %all;
}


# What is wrong after any of the cuts; "disks" is how many are tried: those
# after the last line, on which all has to be, those that have nothing but what
# was synced, and then any.
sub faults {
    my ($self, $record, $disks) = @_;

    srand $self->{seed};

    my (%disk, %order, @cuts);

    $self->follow($record, sub {
        my ($number, $fs) = @_;

        for my $how (qw(all none some some)) {
            my $tree = $fs->tree($how);
            my $key = key($tree);

            push @cuts, [ $number, $key ];
            $disk{$key} //= $tree;
            $order{$key} //= 2 + rand;
            $order{$key} = 1 + rand if $how eq 'none';
        }
    });

    $order{$_->[1]} = 0 for @cuts[-4 .. -1];

    my @keys = sort { $order{$a} <=> $order{$b} || $a cmp $b } keys %disk;
    splice @keys, $disks if defined $disks && $disks < @keys;
    $self->{disks} = @keys;

    my (%shown, @faults);

    while (my @some = splice @keys, 0, ZONES) {
        push @faults, $self->start(\@some, \%disk, \%shown);
    }

    return @faults, $self->judge($record, \@cuts, \%shown);
}


my %key_of;

sub key {
    my ($tree) = @_;

    return md5_hex(map { my $text = $tree->{$_} // '/';
                         "$_ " . ($key_of{$text} //= md5_hex($text)) . "\n" }
                       sort keys %$tree);
}


# Starts nginx on the disks, and puts what they show into a hash.
sub start {
    my ($self, $keys, $disk, $shown) = @_;

    my ($http, $locations, @faults) = ('', '');
    my $server = $self->{server};
    my $cut = "$server->{prefix}/cut";
    my $from = length $server->log;

    File::Path::remove_tree($cut);
    mkdir $cut;

    for my $i (0 .. $#$keys) {
        mkdir "$cut/$i";
        $self->write_tree("$cut/$i", $disk->{$keys->[$i]});

        $http .= "wafcert_zone zone=cut$i:256k state=cut/$i/state "
                 . "seal_key=seal.key;\n";
        $locations .= "location /cut$i/ { wafcert_api zone=cut$i; "
                      . "wafcert_auth off; }\n";
    }

    $server->{env} = {};
    $server->configure(state => '', zone => '', http => $http, workers => 1,
                       server => "wafcert_return_key always;\n$locations");
    $server->start;

    my $log = substr $server->log, $from;

    for my $i (0 .. $#$keys) {
        my $path = "//cut$i" . Wafcert::Server::API;
        my ($is, undef, @wrong) = Wafcert::Crash::shown($server, $path);

        $shown->{$keys->[$i]} = $is;

        push @wrong, Wafcert::Crash::files("$cut/$i/state", $is);
        push @wrong, "the log does not tell of " . keys(%$is)
            unless $log =~ /"cut$i":\ loaded\ ${\scalar keys %$is}\ certif
                            .*\ 0\ files\ were\ refused/x;
        my $answer = $server->request(POST => $path, upload('after'));
        push @wrong, 'an upload: ' . ($answer ? $answer->verdict : 'none')
            unless $answer && $answer->{status} == 200;

        push @faults, map { "disk $keys->[$i]: $_" } @wrong;
    }

    $server->stop;

    return @faults, Wafcert::Crash::bad_lines(substr $server->log, $from);
}


sub write_tree {
    my ($self, $dir, $tree) = @_;

    # as what nginx made
    my ($uid, $gid) = (stat "$self->{disk}/state")[4, 5];

    for my $path (sort keys %$tree) {
        if (defined $tree->{$path}) {
            open my $out, '>:raw', "$dir/$path" or die "$dir/$path: $!\n";
            print $out $tree->{$path};
            chmod 0600, $out;
            close $out or die "$dir/$path: $!\n";

        } else {
            mkdir "$dir/$path", 0700;
        }

        chown $uid, $gid, "$dir/$path";
    }
}


# Compares what the disks show with what clients were told before the cut.
sub judge {
    my ($self, $record, $cuts, $shown) = @_;

    my $ledger = Wafcert::Ledger->new;
    my ($read, @faults) = (0);

    for my $cut (@$cuts) {
        my ($number, $key) = @$cut;

        # a step that was done is followed by the lines that it caused, and
        # the cut comes before the next step
        my $end = $number + 1;
        $end++ while $end < @$record && $record->[$end] =~ /^(?:begin|end) /;

        $ledger->read(@$record[$read .. $end - 1]) if $end > $read;
        $read = $end if $end > $read;

        push @faults, map { 'after line ' . ($number + 1)
                            . ', disk ' . "$key: $_" }
                          $ledger->faults($shown->{$key})
            if $shown->{$key};
    }

    return @faults, $ledger->refusals;
}


package Wafcert::PowerCut::Disk;

# "now" is what processes see, "kept" what was synced; of a directory "open"
# has the changes between them: time, and names with the file or directory that
# each is given, or undef.

sub new {
    my ($class, $root) = @_;

    my $dir = dir();

    # "of" has the inodes; one may become another file's
    return bless { root => $dir, of => { $root => $dir }, syncs => {},
                   time => 0 }, $class;
}


sub dir {
    return { kept => {}, now => {}, open => [] };
}


sub find {
    my ($self, $path) = @_;

    my ($dir, $name) = $path =~ m{^(?:(.*)/)?([^/]+)/?$};
    my $at = $self->{root};

    for (split m{/}, $dir // '') {
        $at = $at->{now}{$_} // die "$path: unknown\n";
    }

    return ($at, $name);
}


sub set {
    my ($self, $dir, %names) = @_;

    assign($dir->{now}, \%names);
    push @{$dir->{open}}, [ $self->{time}, \%names ];
}


sub assign {
    my ($entries, $names) = @_;

    for (keys %$names) {
        if (defined $names->{$_}) {
            $entries->{$_} = $names->{$_};
        } else {
            delete $entries->{$_};
        }
    }
}


sub on_mkdir {
    my ($self, $path, $inode) = @_;

    my ($dir, $name) = $self->find($path);

    $self->set($dir, $name => $self->{of}{$inode} = dir());
}


sub on_open {
    my ($self, $path, $inode) = @_;

    my ($dir, $name) = $self->find($path);

    $self->set($dir, $name => $self->{of}{$inode} = { now => '', kept => '' })
        unless $dir->{now}{$name};
}


sub on_truncate {
    my ($self, $inode, $size) = @_;

    my $file = $self->{of}{$inode};

    $file->{now} = substr $file->{now} . "\0" x $size, 0, $size;
    $file->{mapped} = $size > 0;
}


sub on_write {
    my ($self, $inode, $offset, $hex) = @_;

    my $file = $self->{of}{$inode};
    my $data = pack 'H*', $hex;

    $file->{now} .= "\0" x ($offset - length $file->{now});
    substr($file->{now}, $offset, length $data) = $data;
}


sub on_rename {
    my ($self, $from, $to) = @_;

    my ($from_dir, $old) = $self->find($from);
    my ($to_dir, $new) = $self->find($to);
    my %names = ($new => $from_dir->{now}{$old});

    $names{$old} = undef if $from_dir == $to_dir;

    $self->set($to_dir, %names);
    $self->set($from_dir, $old => undef) if $from_dir != $to_dir;
}


sub on_link {
    my ($self, $from, $to) = @_;

    my ($from_dir, $old) = $self->find($from);
    my ($to_dir, $new) = $self->find($to);

    $self->set($to_dir, $new => $from_dir->{now}{$old});
}


sub on_unlink {
    my ($self, $path) = @_;

    my ($dir, $name) = $self->find($path);

    $self->set($dir, $name => undef);
}


# What is done by others while it runs may be kept, or not.
sub on_sync {
    my ($self, $thread, $inode) = @_;

    $self->{syncs}{$thread} = [
        map { [ $_, $_->{open} ? $self->{time} : $_->{now} ] }
            $inode ? $self->{of}{$inode} : values %{$self->{of}}
    ];
}


sub on_synced {
    my ($self, $thread) = @_;

    for (@{delete $self->{syncs}{$thread}}) {
        my ($what, $from) = @$_;

        if (my $open = $what->{open}) {
            assign($what->{kept}, (shift @$open)->[1])
                while @$open && $open->[0][0] <= $from;

        } else {
            $what->{kept} = $from;
        }
    }
}


# A disk, as a hash of paths, with the text of files and undef for directories:
# with "all" that was done, with "none" that was not synced, or with "some".
sub tree {
    my ($self, $how) = @_;

    my %tree;
    $self->add(\%tree, '', $self->{root}, $how);

    return \%tree;
}


sub add {
    my ($self, $tree, $path, $dir, $how) = @_;

    my $entries = { %{$dir->{$how eq 'all' ? 'now' : 'kept'}} };

    if ($how eq 'some') {
        for (@{$dir->{open}}) {
            assign($entries, $_->[1]) if rand() < 0.5;
        }
    }

    for my $name (sort keys %$entries) {
        my $what = $entries->{$name};

        if ($what->{open}) {
            $tree->{"$path$name"} = undef;
            $self->add($tree, "$path$name/", $what, $how);

        } else {
            $tree->{"$path$name"} = text($what, $how);
        }
    }
}


sub text {
    my ($file, $how) = @_;

    my ($now, $kept) = @$file{qw(now kept)};

    # it may have anything, written there unseen
    return "\xff" x length $now
        if $file->{mapped} && $how eq 'some' && rand() < 0.5;

    return $now if $how eq 'all' || $now eq $kept;
    return $kept if $how eq 'none' || rand() < 0.3;
    return $now if rand() < 0.3;

    # the length may be there before what was written
    my $size = int rand length $now;

    return substr($now, 0, $size)
           . (rand() < 0.5 ? '' : "\0" x (length($now) - $size));
}

1;
