#!/usr/bin/perl

# Disks that are full, read-only, gone or broken.  A change that was not stored
# is answered 500, and has not been made: not in memory, not in a file, and not
# after a restart.

use strict;
use warnings;

use File::Copy ();
use File::Path ();
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;

# what is mounted here is seen by nobody else, and ends with the test
if ($> == 0 && !$ENV{WAFCERT_UNSHARED}) {
    local $ENV{WAFCERT_UNSHARED} = 1;

    exec 'unshare', '-m', '--propagation', 'private', $^X, $0
        if system('unshare -m true 2>/dev/null') == 0;
}

my $disk = Wafcert::Disk->new;
my $server = Wafcert::Server->new(
    size => '2m', state => 'state', workers => 2, start => 0, $disk->env,
    server => 'wafcert_return_key always;'
);
my $dir = "$server->{prefix}/state";
my @all;


# Starts with a few certificates.
sub begin {
    File::Path::remove_tree($dir, { keep_root => 1 });
    $server->start;
    @all = map { $_->json->{id} } $server->create(6, 'n', 'rsa');
    $server->news;
}


# What would change something, of every kind.
my $serial = 0;

sub changes {
    my ($one, $two, $three, $four) = @all;
    $serial++;

    return ([ 'create',     POST => '', upload("new-$serial", 'rsa') ],
            [ 'rename',     PUT => "/$one", qq({"name": "name-$serial"}) ],
            [ 'change',     PUT => "/$two", upload("changed-$serial", 'ed') ],
            [ 'delete',     DELETE => "/$three" ]);
}


sub is_refused {
    my ($what, $changes, %arg) = @_;

    my $shown = $server->snapshot;
    my $files = $server->files;

    for my $change (@$changes) {
        my ($kind, @request) = @$change;
        my $answer = $server->request(@request);

        is($answer->verdict, '500 commit_failed', "$what: $kind");
        $server->shows($shown, 'and nothing is changed');
        $server->keeps($files, 'in no file either') unless $arg{blind};
    }

    # nothing that would have to be stored
    is($server->request(POST => '?dry_run=true', upload('dry', 'rsa'))
       ->verdict, 200, "$what: dry run");
    my $name = $server->request(GET => "/$all[4]")->json->{name};
    is($server->request(PUT => "/$all[4]", qq({"name": "$name"}))->verdict,
       200, "$what: what changes nothing");

    return $shown;
}


# Each fault is in the log once, and so is its end.
sub is_logged {
    my ($what, $pattern, $n) = @_;

    my @lines = grep { !/wafcert refused/ }
                $server->news_like(qr/\[(?:crit|alert|error)\]/);

    is(@lines, $n // 1, "$what: in the log once") or diag(@lines);
    like($lines[0] // '', qr/\[crit\] .*zone "certs": .*$pattern/,
         'with what failed');
}


sub is_accepted {
    my ($what, $changes) = @_;

    for my $change (@$changes) {
        my ($kind, @request) = @$change;

        is($server->request(@request)->verdict, 200, "$what: $kind");
    }

    is(scalar($server->news_like(qr/\[notice\] .*zone "certs": .*again/)), 1,
       'and the log tells it once');

    replenish();
}


# One more for the one that was deleted, and others to be changed next.
sub replenish {
    push @all, $server->request(POST => '', upload("more-$serial", 'rsa'))
               ->json->{id};
    splice @all, 2, 1;
    push @all, splice @all, 0, 2;
}


sub is_there_after_restart {
    my ($what, $how) = @_;

    my $shown = $server->snapshot;
    my $files = $server->files;

    $how //= 'kill_all';
    $server->$how;
    $server->start;

    $server->shows($shown, "$what: as it was after $how, start");
    $server->keeps($files, 'in its files, too');
    unlike($server->news, qr/was refused/, 'which are whole');
}


# A reload that is taken with an [emerg].
sub takes_some {
    my %old = map { $_ => 1 } $server->workers;

    kill HUP => $server->{master};
    $server->wait_for('new workers',
                      sub { 2 == grep { !$old{$_} } $server->workers });
    $server->settle;
}


# A disk that is full when nginx comes to it, and during a binary upgrade.
sub a_full_disk_kills_nobody {
    $server->configure(state => '', daemon => !under_valgrind());
    $server->start;
    $server->create(3, 'n', 'rsa');
    my $shown = $server->snapshot;

    command('umount', $dir);
    command('mount', '-t', 'tmpfs', '-o',
            'size=512k,mode=700,uid=' . getpwnam('nobody'), 'tmpfs', $dir);
    fill(0);
    $server->configure(state => 'state');
    ok(($server->test)[0], 'nginx -t says nothing of a full disk');
    $server->news;
    ok(!$server->reload, 'but a reload refuses a directory on it');
    like($server->news, qr/\[emerg\] .*"\Q$dir\E.*\(28: No space left/,
         'in words');
    $server->shows($shown, 'and all goes on');

    # it has room for some of what there is
    unlink "$dir/filler";
    $server->configure(state => 'before');
    ok($server->reload, 'another directory takes all');
    $server->settle;

    for my $how (qw(stop reload)) {
        fill(3 * 4096);
        $server->configure(state => 'state');
        $server->news;
        takes_some();
        like($server->news, qr/\[emerg\] .*cannot be written to "\Q$dir\E"/,
             'is told of');
        is($server->request(DELETE => '/' . { $server->stored }->{n0})->verdict,
           '500 commit_failed', 'and takes no change');
        unlink "$dir/filler";

        if ($how eq 'stop') {
            $server->stop;
            like($server->refuses_to_start // '',
                 qr/\[emerg\] .*"\Q$dir\E" is incomplete.*rm "\Q$dir\E\/inc/,
                 'no start takes some for all');
            $server->configure(state => 'before');
            $server->start;
            $server->shows($shown, 'but the directory before has all');
            File::Path::remove_tree($dir, { keep_root => 1 });
        }
    }

    ok($server->reload, 'a reload takes it when there is room');
    $server->settle;
    $server->shows($shown, 'with all that was there');
    $server->stop;
    $server->start;
    $server->shows($shown, 'and so does a start');

    SKIP: {
        skip 'valgrind is not what would be started', 1 if under_valgrind();

        my @ids = map { $_->json->{id} } $server->create(20, 'more-', 'ec');
        fill(0);
        my $old = $server->upgrade;
        is(join(' ', map { $server->request(DELETE => "/$_")->verdict } @ids),
           join(' ', (200) x 20),
           'what makes room on a full disk is done during a binary upgrade');
        $server->shows($shown, 'and seen by both');
        kill QUIT => $old;
        $server->wait_for('the old master ends',
                          sub { Wafcert::Server::gone($old) });
    }

    $server->ends_well(qr/\[crit\] .*zone "certs"/, qr/signal 9/,
                       qr/\[emerg\] .*(?:\(28: No space left|incomplete)/);

    command('mount', '-o', 'remount,ro', $dir);

    # what is there, and what would be made
    for my $state ('state', 'state/new') {
        my $path = $server->path($state);
        my $words = qr/\[emerg\] .*"\Q$path\E": mount -o remount,rw.*(?#
                       )\(30: Read-only/;

        $server->configure(state => $state);
        like(($server->test)[1], $words, "$state, a read-only disk: nginx -t");
        like($server->refuses_to_start // '', $words, 'and a start tell it');
    }
}


# Calls that fail, each for each kind of change.

begin();

my %applies = (
    fsync    => { create => 1, rename => 1, change => 1 },
    fsyncdir => { create => 1, rename => 1, change => 1, delete => 1 },
    rename   => { create => 1, rename => 1, change => 1, delete => 1 },
    flock    => { create => 1, rename => 1, change => 1, delete => 1 },
);

# EIO, ENOSPC, EROFS, ENOLCK; the fault, and how often in a row
for my $case ([ fsync => 5 ], [ fsyncdir => 5 ], [ rename => 28 ],
              [ rename => 30 ], [ fsyncdir => 5, 1 ], [ flock => 37 ])
{
    my ($call, $errno, $times) = @$case;
    my @changes = grep { $applies{$call}{$_->[0]} } changes();

    # the first time only, so that what is undone can be
    if ($times) {
        for my $change (@changes) {
            $disk->set($call, $errno, $times, "/state/");
            is_refused("$call() fails once", [ $change ]);
            $disk->mend;
        }

    } else {
        $disk->set($call, $errno);
        is_refused("$call() fails with $errno", [ @changes, @changes ]);
        $disk->mend;
    }

    is_logged("$call() fails", qr/\w+\(.*\($errno: [A-Z]/);
    is_there_after_restart("$call() failed", 'kill_all') if !$times;
    $server->news if $times;

    # in a process that saw the fault
    if ($times) {
        is_accepted('mended', \@changes);
    } else {
        $disk->set($call, $errno);
        $server->request(@{$changes[0]}[1 .. 3]);
        $disk->mend;
        is_accepted('mended', \@changes);
    }
}

# a directory that has never failed is not told to be well again
$disk->set(rename => 28);
is($server->request(PUT => "/$all[0]", '{"name": "refused"}')->verdict,
   '500 commit_failed', 'a directory that is left fails');
$disk->mend;
$server->configure(state => 'state2');
ok($server->reload, 'another directory');
$server->settle;
$server->news;
is($server->request(PUT => "/$all[0]", '{"name": "moved"}')->verdict, 200,
   'takes a change');
is($server->news_like(qr/again/), 0, 'and the log says nothing of it');
$server->configure(state => 'state');
$server->stop;
begin();

# what is deleted has another name by then
$disk->set(unlink => 5);

my @changes = changes();
my %verdict = map { $_->[0] => $server->request(@$_[1 .. 3])->verdict }
                  @changes;

is(join(' ', grep { !/^(?:200|500 commit_failed)$/ } values %verdict), '',
   'unlink() fails: each is done, or not');
$disk->mend;

my ($deleted) = grep { $_->[0] eq 'delete' } @changes;
my $gone = $server->request(GET => $deleted->[2])->{status};

is($gone, $verdict{delete} eq '200' ? 404 : 200, 'as it was answered');

my $shown = $server->snapshot;
$server->kill_all;
$server->start;
$server->shows($shown, 'and so after a restart');
is(join(' ', grep { !/\.json$/ } glob "$dir/*/*"), '',
   'which removes what was left');
unlike($server->news, qr/was refused/, 'and refuses nothing');
$server->request(DELETE => "/$all[2]");
replenish();


# A directory that is gone, and back; and another one in its place.

@changes = changes();
rename $dir, "$dir.away" or die "$dir: $!\n";
is_refused('gone', [ @changes, @changes ], blind => 1);
is_logged('gone', qr/\(2: No such file/);
ok(!-e $dir, 'it is not made again');

rename "$dir.away", $dir or die "$dir: $!\n";
is_accepted('back', \@changes);
is_there_after_restart('back');

# it has nothing of what was answered before
@changes = changes();
rename $dir, "$dir.away" or die "$dir: $!\n";
mkdir $dir, 0700;
chown +(stat "$dir.away")[4, 5], $dir;
is_refused('another', [ @changes, @changes ], blind => 1);
is(join(' ', glob "$dir/*"), '', 'nothing is written there');
is_logged('another', $dir);

rmdir $dir or die "$dir: $!\n";
rename "$dir.away", $dir or die "$dir: $!\n";
is_accepted('back', \@changes);
is_there_after_restart('back', 'stop');

# a part of it
SKIP: {
    @changes = grep { $_->[0] ne 'create' } changes();
    rename $_, s{/(..)\z}{/away-$1}r for grep { -d } glob "$dir/??";

    my %verdict = map { $_->[0] => $server->request(@$_[1 .. 3])->verdict }
                      @changes;
    is(join(' ', grep { !/^(?:200|500 commit_failed)$/ } values %verdict), '',
       'directories of records are gone: each is done, or not');
}

$server->stop;


# Filesystems.

sub command {
    my (@command) = @_;

    return system(@command) == 0 || die "@command failed\n";
}

sub mounted {
    my (%arg) = @_;

    rename $dir, "$dir-" . ++$serial or die "$dir: $!\n";
    mkdir $dir or die "$dir: $!\n";

    return command('mount', '-t', 'tmpfs', '-o',
                   "size=$arg{size},nr_inodes=$arg{inodes},mode=700",
                   'tmpfs', $dir);
}

sub fill {
    my ($leave) = @_;

    open my $out, '>', "$dir/filler" or die "filler: $!\n";
    1 while syswrite $out, 'x' x 4096;

    truncate $out, (-s "$dir/filler") - $leave if $leave;
    close $out;
}

SKIP: {
    skip 'root alone can mount a disk', 1 unless $ENV{WAFCERT_UNSHARED};
    skip 'no tmpfs can be mounted here', 1
        unless eval { mounted(size => '512k', inodes => 2000) };

    # before anything was written, and when there is a little room
    $server->start;
    $server->news;

    for my $leave (0, 4096) {
        @all = ();
        fill($leave);

        my @upload = map { [ 'create', POST => '', upload("full-$_", 'rsa') ] }
                         1 .. 3;
        my $shown = $server->snapshot;

        is($server->request(@$_[1 .. 3])->verdict, '500 commit_failed',
           "a full disk with $leave bytes: create") for @upload;
        $server->shows($shown, 'and nothing is stored');
        is_logged('full', qr/\(28: No space left on device\)/);
        is(join(' ', grep { -f } glob "$dir/*/*"), '',
           'and no file is left there');

        unlink "$dir/filler";
        is($server->request(@{$upload[0]}[1 .. 3])->verdict, 200,
           'there is room again');
        like($server->news, qr/changes can be stored again/,
             'and the log tells it');
        $server->request(DELETE => '/' . { $server->stored }->{'full-1'});
    }

    @all = map { $_->json->{id} } $server->create(6, 'n', 'rsa');
    fill(4096);
    $server->news;
    @changes = grep { $_->[0] ne 'delete' } changes();
    is_refused('a full disk', [ (grep { $_->[0] ne 'change' } @changes) x 2 ]);
    is_logged('a full disk', qr/\(28: No space left on device\)/);
    is_there_after_restart('a full disk');

    # nothing is written for it
    is($server->request(DELETE => "/$all[5]")->verdict, 200,
       'a full disk: delete');
    pop @all;

    unlink "$dir/filler";
    is($server->request(@$_[1 .. 3])->verdict, 200, "mended: $_->[0]")
        for @changes;
    is_there_after_restart('a disk that was full');

    # no room for one more file
    my $n = 0;
    1 while open my $out, '>', "$dir/filler-" . ++$n;
    $server->news;
    @changes = grep { $_->[0] ne 'delete' } changes();
    is_refused('no inode', \@changes);
    is_logged('no inode', qr/\(28: No space left on device\)/);
    unlink glob "$dir/filler-*";
    $server->request(@{$changes[1]}[1 .. 3]);
    is_there_after_restart('no inode');

    # whoever has a file open there would keep it from being so
    command('mount', '--bind', $dir, $dir);
    command('mount', '-o', 'remount,bind,ro', $dir);
    @changes = changes();
    is_refused('read-only', [ @changes, @changes ]);
    is_logged('read-only', qr/\(30: Read-only file system\)/);

    command('umount', $dir);
    is_accepted('writable', \@changes);
    is_there_after_restart('writable');

    $server->ends_well(qr/\[crit\] .*zone "certs"/, qr/signal 9/);

    a_full_disk_kills_nobody();
}

$server->ends_well(qr/\[crit\] .*zone "certs"/, qr/signal 9/)
    if $server->{master};

# workers who are killed are told of by their master, and by no other signal
unlike($server->log, qr/exited on signal (?!9)/, 'no worker died');
done_testing;
