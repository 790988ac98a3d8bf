#!/usr/bin/perl

# State directories that are moved, copied, restored and given to other zones
# while nginx runs, and a new binary with another key.

use strict;
use warnings;

use Fcntl qw(LOCK_EX);
use File::Path ();
use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port) = ports(1);
my $own = certificate(hosts => [ 'own.test' ]);
my $pair = certificate(hosts => [ 'served.test' ]);

my $server = Wafcert::Server->new(
    size => '1m', state => 'state', workers => 2, start => 0,
    daemon => !under_valgrind(), server => 'wafcert_return_key always;'
);
my $prefix = $server->{prefix};
my $dir = "$prefix/state";
my $ssl = install('own', $own);
my $tls = <<"END";
    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve zone=certs;
        $ssl
    }
END

$server->configure(http => $tls);
$server->start;

is(create($server, 'project', 'served', $pair)->verdict, 200, 'a certificate');
my @ids = map { $_->json->{id} } $server->create(5, 'n', 'ec');
my $shown = $server->snapshot;
my $serial = 0;


sub command {
    my (@command) = @_;

    return system(@command) == 0 || die "@command failed\n";
}

# A change is stored, and all else is there.
sub works {
    my ($what) = @_;

    my $answer = $server->request(POST => '', upload('new-' . ++$serial, 'ec'));
    is($answer->verdict, 200, "$what: an upload is taken");

    my $id = $answer->json->{id};
    ok(-f $server->record($id), 'and stored');
    is($server->request(DELETE => "/$id")->verdict, 200, 'and deleted');
    $server->shows($shown, 'and all is as it was');
}

# By a reload, and over a restart.
sub is_taken {
    my ($what) = @_;

    $server->news;
    ok($server->reload, "$what: a reload takes it") or diag($server->news);
    $server->settle;
    works($what);
    $server->kill_all;
    $server->start;
    $server->shows($shown, 'and after SIGKILL and a start');
}


# A backup that is copied over it, while all go on.

command('cp', '-a', $dir, "$prefix/backup");
my $late = $server->request(POST => '', upload('late', 'ec'))->json->{id};
my $wrong = 0;

# which may have nothing of what is only nginx's
$server->write_file('backup/changes', '');

for (1 .. 10) {
    command('cp', '-a', "$prefix/backup/.", "$dir/");
    $wrong += handshake($port, 'served.test')->{leaf} ne $pair->{leaf}
        for 1 .. 5;
    $wrong += $server->request(PUT => "/$late", qq({"name": "late-$_"}))
              ->verdict ne '200';
}

is($wrong, 0, 'a backup is copied over it: all is served and changed');
unlike($server->log, qr/exited on signal/, 'and no worker dies');
like(Wafcert::Fixtures::read_file($server->record($late)), qr/"late-10"/,
     'what was answered is stored');
is($server->request(DELETE => "/$late")->verdict, 200,
   'what is newer is there');
ok($server->reload, 'a reload changes nothing');
$server->settle;
works('restored');

# until a restart
is($server->request(DELETE => "/$ids[0]")->verdict, 200, 'one is deleted');
command('cp', '-a', "$prefix/backup/.", "$dir/");
$server->stop;
$server->start;
$server->shows($shown, 'and back, when nginx is started with the backup');


# It has another inode.

rename $dir, "$prefix/away" or die "rename: $!\n";
command('cp', '-a', "$prefix/away", $dir);
is($server->request(DELETE => "/$ids[0]")->verdict, '500 commit_failed',
   'moved and copied back: nothing can be changed');
is_taken('moved and copied back');

# one that lacks some, and what is not nginx's
rename $dir, "$prefix/away-2" or die "rename: $!\n";
command('cp', '-a', "$prefix/away-2", $dir);
unlink $server->record($ids[0]);
is_taken('copied in part');

# an empty one, as of another disk
rename $dir, "$prefix/away-3" or die "rename: $!\n";
mkdir $dir, 0700;
is_taken('another disk');

# one with another revision
rename $dir, "$prefix/away-4" or die "rename: $!\n";
command('cp', '-a', "$prefix/away-4", $dir);
my $record = Wafcert::Fixtures::read_file($server->record($ids[0]));
rename $dir, "$prefix/copy" or die "rename: $!\n";
rename "$prefix/away-4", $dir or die "rename: $!\n";
is($server->request(PUT => "/$ids[0]", '{"name": "renamed"}')->verdict, 200,
   'one is changed');
rename $dir, "$prefix/away-4" or die "rename: $!\n";
rename "$prefix/copy", $dir or die "rename: $!\n";
$server->news;
ok(!$server->reload, 'an older copy is refused');
like($server->news, qr/\[emerg\].*zone\ "certs"\ has\ certificates.*
                       "\Q$dir\E"/x, 'in words');
File::Path::remove_tree($dir);
rename "$prefix/away-4", $dir or die "rename: $!\n";
is($server->request(PUT => "/$ids[0]", '{"name": "n0"}')->verdict, 200,
   'and all goes on where it is put back');
$shown = $server->snapshot;

# parts of it
unlink "$dir/changes";
works('"changes" is removed');
rename "$dir/" . substr($ids[0], 0, 2), "$prefix/part";
File::Path::remove_tree($_) for grep { !/^\Q$dir\E\/../ || !glob "$_/*" }
                                glob "$dir/??";
works('empty directories are removed');
rename "$prefix/part", "$dir/" . substr($ids[0], 0, 2);
File::Path::remove_tree($_) for grep { !glob "$_/*" } glob "$dir/??";
ok($server->reload, 'a reload');
$server->settle;
is(scalar(() = glob "$dir/??"), 256, 'makes them again');
ok(-f "$dir/changes", 'and "changes"');


# It gets another path, and zones get other names.

$server->settle;
rename $dir, "$prefix/moved" or die "rename: $!\n";
$dir = "$prefix/moved";
$server->configure(state => 'moved');
is_taken('moved together with its path');

sub renamed {
    my ($from, $to) = @_;

    my $text = Wafcert::Fixtures::read_file("$prefix/nginx.conf");
    $text =~ s/\b$from\b/$to/g;
    $server->write_file('nginx.conf', $text);
}

renamed(certs => 'others');
$server->news;
ok($server->reload, 'a zone with another name takes the directory');
like($server->news, qr/zone "others": loaded 6 certificates/, 'and loads it');
$server->settle;
works('renamed');

# what an old worker is at meanwhile comes to the new zone
my $slow = $server->socket;
my $wire = Wafcert::Server::wire(POST => '', upload('slow', 'ec'),
                                 'Expect: 100-continue');
Wafcert::Server::write_all($slow, substr $wire, 0, -1);
sysread $slow, my $continue, 4096;
like($continue, qr/ 100 /, 'an old worker reads an upload');
renamed(others => 'certs');
ok($server->reload, 'once more');
Wafcert::Server::write_all($slow, substr $wire, -1);
my $answer = Wafcert::Server::read_answer($slow);
is($answer->verdict, 200, 'and answers it after a reload');
close $slow;
$server->settle;
is($server->request(GET => '/' . $answer->json->{id})->verdict, 200,
   'and what it has stored is there');
$server->request(DELETE => '/' . $answer->json->{id});
works('renamed back');

# two zones
my ($more) = ports(1);

sub zones {
    my ($certs, $other) = @_;

    $server->configure(state => $certs, http => $tls . <<"END");
    wafcert_zone zone=more:1m state=$other seal_key=seal.key;

    server {
        listen 127.0.0.1:$more;
        location /v1/ {
            wafcert_api zone=more;
            wafcert_auth off;
        }
    }
END
}

sub of_more {
    local $server->{port} = $more;
    return $server->request(@_);
}

zones('moved', 'state-more');
ok($server->reload, 'two zones');
$server->settle;
is(of_more(POST => '', upload('more', 'ec'))->verdict, 200,
   'each has certificates');

$server->news;
zones('state-more', 'moved');
ok(!$server->reload, 'that change places: refused');
my $news = $server->news;
like($news, qr/\[emerg\].*zone\ "certs"\ has\ certificates.*
               "\Q$prefix\E\/state-more",\ which\ was\ zone\ "more"'s/x,
     'in words, with the other\'s name');
unlike($news, qr/in use by another/, 'not taken for another nginx');

symlink 'moved', "$prefix/link";
zones('moved', 'link');
ok(!$server->reload, 'two with one directory: refused');
like($server->news, qr/\[emerg\].*\/link" is zone "certs"'s already/,
     'in words');

zones('state-5', 'state-more');
ok($server->reload, 'one gets an empty directory');
$server->settle;
zones('state-5', 'moved');
$server->news;
ok(!$server->reload, 'and the other one what the first had: refused');
like($server->news, qr/\[emerg\].*zone "more" has certificates/, 'in words');

$server->configure(state => 'state-5', http => $tls);
ok($server->reload, 'the other one is gone');
$server->settle;
works('a zone that is left');

zones('state-6', 'state-5');
$server->news;
ok($server->reload, 'a new zone gets the directory of one that gets another');
like($server->news, qr/zone "more": loaded 6 certificates/, 'and loads it');
$server->settle;
is(of_more(GET => '')->json->{total}, 6, 'all of them');
works('and the other one');
is(of_more(DELETE => "/$ids[0]")->verdict, 200, 'what the new one deletes');
is($server->request(GET => "/$ids[0]")->verdict, 200, 'the other one has');

$server->configure(http => $tls);
ok($server->reload, 'one zone again');
$server->settle;


# A new binary.

# What one says that does not start.
sub ends_new_binary {
    my $words = '';

    $server->news;
    kill USR2 => $server->{master};

    $server->wait_for('the new binary ends', sub {
        $words .= $server->news;
        return $words =~ /\[emerg\]/ && !-e "$prefix/logs/nginx.pid.oldbin";
    });

    return $words;
}

sub locked {
    open my $lock, '+<', "$prefix/state-6/changes" or die "changes: $!\n";
    flock $lock, LOCK_EX or die "flock: $!\n";

    return $lock;
}

SKIP: {
    skip 'valgrind is not what would be started', 1 if under_valgrind();

    my $old = $server->upgrade;
    works('a new binary');

    # somebody has the lock by which they tell each other what they change, and
    # there is something to be told
    for my $round (1 .. 3) {
        my $id = $server->request(POST => '', upload("told-$round", 'ec'))
                 ->json->{id};
        my $lock = locked();
        my $waits = $server->send(DELETE => "/$id");
        my @read = map { $server->send(GET => "/$id") } 1 .. 20;

        is(join(' ', map { eval { Wafcert::Server::read_answer($_, 20)
                                  ->verdict } // 'none' } @read),
           join(' ', (200) x 20), 'with the lock held by others: all is shown');
        close $lock;
        is(Wafcert::Server::read_answer($waits)->verdict, 200,
           'and changes wait for it');
    }

    works('and after that');
    kill QUIT => $old;
    $server->wait_for('the old master ends',
                      sub { Wafcert::Server::gone($old) });
    works('and it alone');

    my $master = $server->{master};
    my $files = $server->files;

    # it cannot get the lock
    my $lock = locked();
    like(ends_new_binary(),
         qr/\[emerg\].*"\Q$prefix\E\/state-6\/changes" cannot be locked/,
         'a new binary does not wait for the lock for ever');
    close $lock;
    works('the old one');

    # the workers' user of the new one is another
    if ($> == 0 && Wafcert::Server::reachable($prefix)) {
        my $user = (stat "$prefix/state-6")[4];
        my $was = $server->{main};

        $server->configure(main => 'user daemon;');
        like(ends_new_binary(),
             qr/\[emerg\].*"\Q$prefix\E\/state-6".*\b$user\b.*"user"/,
             'a new binary with another user is refused, in words');
        is(join(' ', grep { (stat)[4] != $user } "$prefix/state-6",
                     glob "$prefix/state-6/*"), '', 'and nothing is given');
        works('the old one');
        $server->configure(main => $was);
    }

    # its key is another
    my $key = Wafcert::Fixtures::read_file("$prefix/seal.key");
    unlink "$prefix/seal.key";
    $server->seal_key('seal.key');

    like(ends_new_binary(),
         qr/\[emerg\].*"\Q$prefix\E\/state-6".*another seal key/,
         'a new binary with another key is refused, in words');
    is($server->{master}, $master, 'the old one goes on');
    works('the old one');
    $server->keeps($files, 'and no file is touched');

    $server->write_file('seal.key', $key);
    chmod 0600, "$prefix/seal.key";
    is_taken('the first key');
}

$server->ends_well(qr/signal 9/, qr/\[emerg\]/, qr/\[crit\].*replaced/,
                   qr/\[alert\].*exited with code 1/);
unlike($server->log, qr/exited on signal (?!9)/, 'no worker died');
done_testing;
