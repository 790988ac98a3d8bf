#!/usr/bin/perl

# Whose the state directory is.  What another user owns is given to the workers'
# when nginx starts; and root, who does that in a directory which the workers'
# user can write, touches nothing else of what that user puts there.

use strict;
use warnings;

use File::Copy ();
use File::Find ();
use File::Path ();
use POSIX ();
use Test::More;

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;

my ($worker, $other) = map { scalar getpwnam $_ } qw(nobody daemon);
my $disk = Wafcert::Disk->new;
my $server = Wafcert::Server->new(
    size => '1m', state => 'state', workers => 1, start => 0, $disk->env,
    server => 'wafcert_return_key always;'
);
my $prefix = $server->{prefix};
my $dir = "$prefix/state";

plan skip_all => 'root alone can give files away' if $> != 0;
plan skip_all => 'only root can get at this directory'
    if !Wafcert::Server::reachable($prefix);

my $group = getgrgid((getpwnam 'nobody')[3]);

$server->configure(main => "user nobody $group;");
$server->start;
my @ids = map { $_->json->{id} } $server->create(6, 'n', 'ec');
my $shown = $server->snapshot;
$server->stop;


# The users that own something there, but for names that are like a pattern.
sub owners {
    my ($but) = @_;

    my %owner;

    File::Find::find({ no_chdir => 1, wanted => sub {
        $owner{(lstat)[4]} = 1 unless $but && /$but/;
    } }, $dir);

    return join ' ', sort keys %owner;
}

sub chowned {
    my ($user) = @_;

    system('chown', '-hR', $user, $dir) == 0 or die "chown failed\n";
}

sub restored {
    File::Path::remove_tree($dir);
    system('cp', '-a', "$prefix/backup", $dir) == 0 or die "cp failed\n";
    chowned($worker);
}

sub changes_all {
    my ($what) = @_;

    is(join(' ', map { $server->request(PUT => "/$_", '{"name": "x"}')->verdict,
                       $server->request(PUT => "/$_", '{"name": "y"}')->verdict,
                       $server->request(DELETE => "/$_")->verdict } @ids),
       join(' ', (200) x (3 * @ids)), "$what: all can be changed");
    is(owners(), $worker, 'and all is the workers\'');
    $server->stop;
}

system('cp', '-a', $dir, "$prefix/backup");


# Another user's: one whom another "user" directive named, and root, by whom it
# was restored.

for my $was ($other, 0) {
    restored();
    chowned($was);

    my ($taken, $words) = $server->test;
    ok($taken, "user $was\'s: nginx -t takes it");
    like($words, qr/\[warn\].*"\Q$dir\E".*\b$worker\b/, 'with a warning');
    is(owners(), $was, 'and changes nothing');

    $server->news;
    $server->start;
    like($server->news, qr/\[warn\].*"\Q$dir\E".*\b$worker\b/,
         'a start tells it');
    $server->shows($shown, 'and shows all');
    changes_all("user $was\'s");
}

# a part of it, by a reload
restored();
$server->start;
$server->news;
chown 0, 0, $server->record($ids[0]), $dir, glob "$dir/*";
ok($server->reload, 'a reload does it, too');
$server->settle;
like($server->news, qr/\[warn\].*"\Q$dir\E"/, 'and tells it');
changes_all('reloaded');

# not before the configuration is in force
restored();
$server->start;
my @as = ("user nobody $group;", "user daemon;");

rmdir "$dir/cd";
$server->configure(main => $as[1], http => 'server { listen 192.0.2.1:80; }');
$server->news;
ok(!$server->reload, 'another user, and an address that is not here: refused');
like($server->news, qr/\[warn\].*"\Q$dir\E".*\b$other\b/,
     'what would be given is told');
is(owners(), $worker, 'but all is the old workers\'');
is($server->request(PUT => "/$ids[0]", '{"name": "x"}')->verdict, 200,
   'who go on');

$server->configure(http => '');
ok($server->reload, 'another user') or diag($server->news);
$server->settle;
is(owners(), $other, 'to whom all is given');
is($server->request(PUT => "/$ids[0]", '{"name": "n0"}')->verdict, 200,
   'and whose workers go on');
$server->stop;
$server->configure(main => $as[0]);

# nothing to do, nothing to tell
restored();
my (undef, $silent) = $server->test;
unlike($silent, qr/\[warn\]/, 'what is right is not told');


# Where it is not allowed.

sub as_worker {
    my ($what, $words) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $) = "$worker $worker";
        POSIX::setgid($worker);
        POSIX::setuid($worker);
        open STDOUT, '>', "$prefix/logs/as_worker";
        open STDERR, '>&', \*STDOUT;
        { exec $server->command, '-t'; }
        POSIX::_exit(127);
    }

    waitpid $pid, 0;
    my $text = Wafcert::Fixtures::read_file("$prefix/logs/as_worker");

    isnt($?, 0, "$what: refused") or diag($text);
    like($text, $words, 'in words, with the command');
}

system('chown', '-R', $worker, "$prefix/$_") for qw(logs temp seal.key);
my $chown = qr/chown -hR $worker "\Q$dir\E"/;

chown 0, 0, $server->record($ids[0]);
as_worker('not root, a file of another user',
          qr/\[emerg\].*"\Q${\$server->record($ids[0])}\E".*$chown/);
restored();
chown 0, 0, "$dir/ab";
as_worker('not root, a directory of another user',
          qr/\[emerg\].*"\Q$dir\E\/ab".*$chown/);


# Others that can write.

for my $case ([ '', 0770 ], [ '', 0702 ], [ '/ab', 0777 ]) {
    my ($path, $mode) = @$case;
    my $what = sprintf 'mode %04o of the directory%s', $mode, $path;
    my $words = qr/\[emerg\].*"\Q$dir$path\E".*chmod go-w "\Q$dir$path\E"/;

    restored();
    chmod $mode, "$dir$path";

    my ($taken, $told) = $server->test;
    ok(!$taken, "$what: nginx -t refuses it");
    like($told, $words, 'in words, with the command');
    like($server->refuses_to_start // '', $words, 'and so does a start');
}


# What the workers' user may put there.

my $secret = "$prefix/secret";

sub secret {
    my ($file) = @_;

    $server->write_file(substr($file, length "$prefix/"), 'secret');
    chmod 0600, $file;
}

# Whether root's file is as it was.
sub is_kept {
    my ($what, $file) = @_;

    $file //= $secret;
    is(join(' ', (stat $file)[4], Wafcert::Fixtures::read_file($file)),
       '0 secret', "$what: root's file is as it was");
}

secret($secret);

# a link, the moment a directory was made
restored();
rmdir "$dir/ab";
$disk->set(mkdir => "link:$secret", 1, '/state/ab');
like($server->refuses_to_start // '', qr/\[emerg\].*"\Q$dir\E\/ab" is a link/,
     'a link that comes in between is refused');
is($disk->calls('mkdir'), 1, 'which was there');
$disk->mend('mkdir');
is_kept('a link that comes in between');

# a link to a directory, with what nginx would remove, or write there
mkdir "$prefix/target";
secret("$prefix/target/$_") for 'one.tmp', "$ids[0].1.tmp";
restored();
rmdir "$dir/ab";
symlink "$prefix/target", "$dir/ab";
$server->refuses_to_start;
is_kept('a link to a directory', "$prefix/target/$_")
    for 'one.tmp', "$ids[0].1.tmp";

# and while it runs
restored();
$server->start;
File::Path::remove_tree("$dir/ab");
symlink "$prefix/target", "$dir/ab";
ok(!$server->reload, 'a reload refuses it, too');
is_kept('a link to a directory', "$prefix/target/$_")
    for 'one.tmp', "$ids[0].1.tmp";
is($server->request(GET => '')->json->{total}, scalar(@ids),
   'and nginx goes on');
$server->stop;

# other names of root's file
for my $name ('changes', 'ab/' . 'ab' x 16 . '.json') {
    for my $how (qw(link symlink)) {
        restored();
        unlink "$dir/$name";
        $how eq 'link' ? link $secret, "$dir/$name"
                       : symlink $secret, "$dir/$name";
        $server->start;
        is($server->request(PUT => "/$ids[0]", '{"name": "z"}')->verdict, 200,
           "a $how as $name does no harm");
        is_kept("a $how as $name");
        $server->stop;
    }
}

# what is no directory
for my $case ([ 'link', sub { symlink $prefix, $_[0] } ],
              [ 'FIFO', sub { POSIX::mkfifo($_[0], 0600) } ],
              [ 'file', sub { $server->write_file('state/ab', '') } ])
{
    my ($kind, $make) = @$case;
    my $words = qr/\[emerg\].*"\Q$dir\E\/ab"\ is\ a\ $kind,.*
                   rm\ "\Q$dir\E\/ab"/x;

    restored();
    rmdir "$dir/ab";
    $make->("$dir/ab");
    like(($server->test)[1], $words, "a $kind for a directory: nginx -t");
    like($server->refuses_to_start // '', $words, 'and a start refuse it');
}

restored();
unlink "$dir/changes";
mkdir "$dir/changes";
my $words = qr/\[emerg\].*"\Q$dir\E\/changes" is a directory.*rmdir/;
like(($server->test)[1], $words, 'a directory for a file: nginx -t');
like($server->refuses_to_start // '', $words, 'and a start refuse it');

# what waits for ever
restored();
unlink "$dir/changes";
POSIX::mkfifo("$dir/changes", 0600);
$server->start;
is($server->request(DELETE => "/$ids[0]")->verdict, 200,
   'a FIFO as changes does no harm');
$server->stop;

# what root had there, under a name of nginx's
restored();
rmdir "$dir/ab";
mkdir "$dir/ab", 0700;
secret("$dir/ab/key");
chmod 0644, "$dir/ab/key";
like($server->refuses_to_start // '',
     qr/\[emerg\].*"\Q$dir\E\/ab\/key".*$chown/,
     'a directory of root\'s with other files is refused');
is((stat "$dir/ab")[4], 0, 'and not given away');

restored();
chown 0, 0, $dir;
open my $mark, '>', "$dir/unwritten" or die;
close $mark;
$server->start;
is((stat $dir)[4], $worker, 'a mark of files that are behind is ours');
$server->stop;

restored();
secret("$dir/ab/" . 'ab' x 16 . '.json');
$server->start;
is_kept('a file with the name of a record',
        "$dir/ab/" . 'ab' x 16 . '.json');
$server->stop;

# a record that has another name
restored();
my $record = $server->record($ids[1]);
chown 0, 0, $record;
link $record, "$prefix/backup.json";
like($server->refuses_to_start // '',
     qr/\[emerg\].*"\Q$record\E".*cp -a "\Q$dir\E"/,
     'a record of root\'s with another name is refused');
unlike($server->log, qr/\Q$record\E.*chown/, 'and no harm is advised');
is((stat $record)[4], 0, 'and not given away');
unlink "$prefix/backup.json";


# The directory itself is what the configuration says, and a link to it is
# followed: where nobody else could have made it.

restored();
rename $dir, "$prefix/elsewhere";
symlink 'elsewhere', $dir;
$server->start;
$server->shows($shown, 'a link of root\'s is followed');
$server->stop;

chmod 0777, $prefix;
like($server->refuses_to_start // '', qr/\[emerg\].*open\(\) "\Q$dir\E" failed/,
     'one that somebody else may have made is not');
chmod 0755, $prefix;
unlink $dir;

# further up, and what a link of root's leads to as well
mkdir "$prefix/$_" for qw(theirs root root/state);
symlink '../root', "$prefix/theirs/way";
symlink 'theirs/way/.', "$prefix/by";
chown $worker, -1, "$prefix/theirs";

for my $path ('theirs/way/state', 'by/state') {
    $server->configure(state => $path);
    my $words = qr/\[emerg\].*"\Q$prefix\E\/\Q$path\E".*"way" is a link/;
    like(($server->test)[1], $words, "a link of others in $path: nginx -t");
    like($server->refuses_to_start // '', $words, 'and a start refuse it');
    is(join(' ', map { s{.*/}{}r } glob "$prefix/root/state/*"), '',
       'and nothing is made there');
}

symlink 'root', "$prefix/way";
symlink "$prefix/way/", "$prefix/by-way";
$server->configure(state => 'by-way/state');
$server->start;
is((stat "$prefix/root/state")[4], $worker, 'links of root\'s are followed');
$server->stop;


# What would fail later fails "nginx -t".

chmod 0700, "$prefix/root";

for my $path ('root/state', 'root/new') {
    $server->configure(state => $path);
    like(($server->test)[1],
         qr/\[emerg\].*"\Q$prefix\E\/root": chmod o\+x "\Q$prefix\E\/root"/,
         "$path: the workers\' user cannot get there");
}

chmod 0755, "$prefix/root";
like(($server->test)[1], qr/test is successful/, 'and it can be made');

$server->configure(state => 'nowhere/new');
like(($server->test)[1], qr/\[emerg\].*nowhere\/new" failed at "nowhere"/,
     'there is none to make it in');

$server->configure(state => 'state');
File::Path::remove_tree("$prefix/theirs", "$prefix/root");
unlink map { "$prefix/$_" } qw(by way by-way);

SKIP: {
    skip 'no setpriv', 4 if system('setpriv --version >/dev/null 2>&1');

    my @command = ('setpriv', '--bounding-set', '-chown', '--',
                   $server->command, '-t');

    for my $case ([ 'to be made', sub { File::Path::remove_tree($dir) } ],
                  [ 'root\'s', sub { chowned(0) } ],
                  [ 'without one of its parts', sub { rmdir "$dir/ab" } ])
    {
        restored();
        $case->[1]->();
        waitpid $server->run('logs/test', @command), 0;
        isnt($?, 0, "without CAP_CHOWN, $case->[0]: nginx -t refuses it");
        like(Wafcert::Fixtures::read_file("$prefix/logs/test"),
             qr/\[emerg\].*"\Q$dir\E".*CAP_CHOWN.*$chown/,
             'in words, with the command');
    }

    restored();
    waitpid $server->run('logs/test', @command), 0;
    is($?, 0, 'and takes what has nothing to be given');
    File::Path::remove_tree($dir);
}

restored();
chown 0, 0, $dir;
$server->write_file('state/passwd', '');
like($server->refuses_to_start // '', qr/\[emerg\].*"\Q$dir\E\/passwd".*$chown/,
     'nor is what the path may lead to given away');
is((stat $dir)[4], 0, 'with files that are not nginx\'s');
File::Path::remove_tree($dir);


# The tools.

rename "$prefix/elsewhere", $dir;
$server->seal_key('new.key');

sub tool {
    my (@command) = @_;

    my $text = `@command 2>&1`;
    return ($? >> 8, $text);
}

chmod 0777, $dir;
my ($status, $text) = tool('tools/rekey', $dir, "$prefix/seal.key",
                           "$prefix/new.key");
is($status, 2, 'tools/rekey refuses what others can write');
like($text, qr/chmod go-w/, 'in words, with the command');
chmod 0700, $dir;

chown 0, 0, "$prefix/seal.key";
unlink map { "$dir/ab/$_" } map { s{.*/}{}r } glob "$dir/ab/*";
rmdir "$dir/ab";
symlink "$prefix/target", "$dir/ab";
($status) = tool('tools/rekey', $dir, "$prefix/seal.key", "$prefix/new.key");
is($status, 1, 'and tells of a link');
is_kept('and leaves what it leads to', "$prefix/target/$_")
    for 'one.tmp', "$ids[0].1.tmp";
is((stat $server->record($ids[1]))[4], $worker,
   'records are the workers\' user\'s as before');

mkdir "$prefix/theirs";
chown $worker, -1, "$prefix/theirs";
($status, $text) = tool('tools/seal-key', "$prefix/theirs/key");
isnt($status, 0, 'tools/seal-key refuses a directory of another user');
like($text, qr/theirs/, 'in words');
is(join(' ', glob "$prefix/theirs/*"), '', 'and writes nothing there');

$server->ends_well(qr/\[emerg\]/) if $server->{master};
unlike($server->log, qr/exited on signal/, 'no worker died');
done_testing;
