#!/usr/bin/perl

# tools/seal-key, and tools/rekey: a state directory gets under another key,
# however often it is killed meanwhile.

use strict;
use warnings;

use File::Path ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;

seeded();

my $server = Wafcert::Server->new(
    size => '2m', state => 'state', workers => 1, seal_key => 'old.key',
    server => 'wafcert_return_key always;'
);
my $prefix = $server->{prefix};
my $dir = "$prefix/state";


# Status, standard output and standard error of a command.
sub run {
    my (@command) = @_;

    my $pid = start(@command);
    waitpid $pid, 0;

    return ($? & 127 ? "signal $?" : $? >> 8,
            map { Wafcert::Fixtures::read_file("$prefix/$_") } qw(out err));
}

sub start {
    my (@command) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', "$prefix/out";
        open STDERR, '>', "$prefix/err";
        { exec @command; }
        POSIX::_exit(127);
    }

    return $pid;
}


# tools/seal-key

my ($status, $out, $err) = run('tools/seal-key', "$prefix/new.key");
my $new = Wafcert::Fixtures::read_file("$prefix/new.key");

is("$status$out$err", '0', 'tools/seal-key says nothing');
like($new, qr/\A[0-9a-f]{64}\n\z/, 'and writes 64 digits');
isnt($new, Wafcert::Fixtures::read_file("$prefix/old.key"),
     'others each time');
is(sprintf('%04o', (stat "$prefix/new.key")[2] & 07777), '0600',
   'for its owner alone');

sub is_refused {
    my ($what, $words, @arguments) = @_;

    my @there = glob "$prefix/*";
    my ($status, $out, $err) = run('tools/seal-key', @arguments);

    ok($status > 0, "$what: refused");
    like($err, $words, 'in words');
    is(join(' ', glob "$prefix/*"), "@there", 'and no file is made');
}

symlink 'nothing', "$prefix/link";
mkdir "$prefix/directory";
is_refused('a file that is there', qr/new\.key exists/, "$prefix/new.key");
is(Wafcert::Fixtures::read_file("$prefix/new.key"), $new, 'nor changed');
is_refused('a link to nothing', qr/link exists/, "$prefix/link");
is_refused('a directory', qr/directory exists/, "$prefix/directory");
is_refused('below what is not there', qr/no directory/, "$prefix/none/key");
is_refused('no file', qr/usage: /);
is_refused('two files', qr/usage: /, "$prefix/a", "$prefix/b");

# whoever can lead a path elsewhere does so once the directory was looked at
mkdir "$prefix/$_" for qw(ours theirs bin);
symlink 'ours', "$prefix/path";
$server->write_file('bin/mktemp', <<"END");
#!/bin/sh
ln -sfn theirs "$prefix/path"
PATH=\${PATH#*:}
exec mktemp "\$@"
END
chmod 0755, "$prefix/bin/mktemp";

{
    local $ENV{PATH} = "$prefix/bin:$ENV{PATH}";
    ($status) = run('tools/seal-key', "$prefix/path/key");
}

is(readlink "$prefix/path", 'theirs', 'a path is led elsewhere');
is_deeply([ $status, glob("$prefix/theirs/*"), glob("$prefix/ours/*") ],
          [ 0, "$prefix/ours/key" ], 'and the key is where it was looked at');

($status, $out) = run('tools/seal-key', '--help');
like("$status $out", qr/^0 .*<file>/, '--help');


# tools/rekey

my @pairs = qw(rsa ec ed p384 p521 pkcs1 sec1 example);
my @ids = map { $_->json->{id} } map { $server->create(5, "$_-", $_) } @pairs;
my $shown = $server->snapshot;
my $n = @ids;

($status, $out, $err) = run('tools/rekey', $dir, map { "$prefix/$_.key" }
                                                     qw(old new));
is($status, 2, 'a directory that is in use is refused');
like($err, qr/\Q$dir\E: it is in use/, 'in words');
is($server->request(PUT => "/$ids[0]", '{"name": "in-use"}')->verdict, 200,
   'and stays in use');
$shown = $server->snapshot;
$server->stop;


sub texts {
    return map { $_ => Wafcert::Fixtures::read_file($server->record($_)) }
               @ids;
}

sub owners {
    return map { my @stat = stat $server->record($_);
                 "$_ $stat[4] $stat[5] $stat[2]" } @ids;
}

sub leftovers {
    return join ' ', grep { !/\.json\z/ } glob "$dir/*/*";
}

sub sealed {
    my ($text) = @_;
    return $text =~ /"sealed_key":"([^"]+)"/ ? $1 : die 'no sealed key';
}

# a mode of its own
chmod 0400, $server->record($ids[1]);
chown -1, 1, $server->record($ids[2]) if $> == 0;

my $files = $server->files;
my %old = texts();
my @owners = owners();

sub rekey {
    my ($from, $to, $state) = @_;

    return ('build/rekey', $state // $dir, "$prefix/$from.key",
            "$prefix/$to.key");
}


# What is wrong is told before anything is done.

sub fails {
    my ($what, $words, @command) = @_;

    my ($status, undef, $err) = run(@command);

    is($status, 2, "$what: refused");
    like($err, $words, 'in words');
    unlike($err, qr/[0-9a-f]{24}/, 'that tell no digit');
    $server->keeps($files, 'and nothing is changed');
}

$server->write_file('short.key', substr $new, 1);
$server->write_file('read.key', $new);
chmod 0600, "$prefix/short.key";
chmod 0644, "$prefix/read.key";

fails('no arguments', qr/usage: /, 'build/rekey');
fails('one key', qr/usage: /, (rekey('old', 'new'))[0 .. 2]);
fails('no old key', qr/none\.key: No such file/, rekey('none', 'new'));
fails('no new key', qr/none\.key: No such file/, rekey('old', 'none'));
fails('a key that is short', qr/short\.key: .*64 hex/, rekey('old', 'short'));
fails('a key that all can read', qr/read\.key: .*owner/,
      rekey('old', 'read'));
fails('no state directory', qr{/none: No such file},
      rekey('old', 'new', "$prefix/none"));
fails('a file as one', qr{/new\.key: Not a directory},
      rekey('old', 'new', "$prefix/new.key"));


# Killed at each step of a record, and at any time.  Each time all records open
# under one of the keys: a copy of them can be brought under the new one.

sub all_open {
    my ($what) = @_;

    my $copy = "$prefix/copy";

    File::Path::remove_tree($copy);
    system('cp', '-a', $dir, $copy) == 0 or die "cp failed\n";

    my ($status, $out, $err) = run(rekey('old', 'new', $copy));
    my @numbers = $out =~ /(\d+)/g;

    is("$status, $numbers[2] refused", '0, 0 refused',
       "$what: each record opens") or diag($err);
    is($numbers[0] + $numbers[1], $n, 'and none is lost');

    return $numbers[1];
}

my $disk = Wafcert::Disk->new;
my %env = (@{[ $disk->env ]})[1]->%*;
my $done = 0;

for my $step (0 .. 11) {
    my $call = (qw(fsync rename fsyncdir))[$step % 3];
    my $part = (sort @ids)[$step * $n / 12];
    $part = '/state/' . substr $part, 0, 2 if $call eq 'fsyncdir';

    $disk->set($call, 'hold', 0, $part);

    my $pid = do { local @ENV{keys %env} = values %env;
                   start(rekey('old', 'new')) };

    $disk->wait_for($call => 1);
    kill KILL => $pid;
    waitpid $pid, 0;
    $disk->mend;

    my $were = all_open("killed in $call()");
    cmp_ok($were, '>=', $done, 'what was done is done');
    $done = $were;
}

cmp_ok($done, '>', $n / 2, 'most were done');
cmp_ok($done, '<', $n, 'not all');

# back, and there again, by what is killed sooner or later
for my $i (1 .. 12) {
    my $pid = start(rekey($i % 2 ? qw(new old) : qw(old new)));

    sleep rand 0.02;
    kill KILL => $pid;
    waitpid $pid, 0;
    all_open("killed, $i") if $i % 4 == 0;
}

# a full disk; those that were killed have left what they had begun
my %killed = map { $_ => 1 } split ' ', leftovers();
$disk->set(fsync => 28, 0, $dir);
my @args = rekey(qw(new old));
($status, undef, $err) = do { local @ENV{keys %env} = values %env;
                              run(@args) };
$disk->mend;
is($status, 2, 'a full disk is told');
like($err, qr/(?:\.json|changes): No space left on device\n.*run it again/, 'in words');
is(join(' ', grep { !$killed{$_} } split ' ', leftovers()), '',
   'and it leaves nothing');
all_open('a full disk');

# what was left by those that were killed, nginx among them
my $in = $server->record($ids[0]) =~ s/\.json\z//r;
$server->write_file(substr("$in.$_.tmp", length "$prefix/"), 'x')
    for 1, '99999', '99999.old';

($status, $out, $err) = run(rekey('old', 'new'));
is("$status$err", '0', 'what is not killed ends well') or diag($err);
like($out, qr/^\d+ records resealed, \d+ were so already, 0 files refused$/,
     'with a summary');
is(leftovers(), '', 'and no temporary file is left');

my %text = texts();

is(join(' ', grep { my $id = $_;
                    $text{$id} =~ s/(?<="sealed_key":")[^"]+//r
                    ne $old{$id} =~ s/(?<="sealed_key":")[^"]+//r } @ids), '',
   'facts are as they were');
is(join(' ', grep { sealed($text{$_}) eq sealed($old{$_}) } @ids), '',
   'keys are sealed anew');
is(join("\n", owners()), join("\n", @owners), 'owners and modes are the same');

$files = $server->files;
($status, $out) = run('tools/rekey', (rekey('old', 'new'))[1 .. 3]);
is("$status $out", "0 0 records resealed, $n were so already, "
                   . "0 files refused\n", 'once more, there is nothing to do');
$server->keeps($files, 'and nothing is done');

chmod 0600, $server->record($ids[1]);


# nginx under the new key, and under the old one.

sub starts_with {
    my ($key, $loaded, $refused) = @_;

    $server->configure(seal_key => "$key.key");
    $server->news;
    $server->start;
    like($server->news, qr/loaded $loaded certificates .* $refused files were/,
         "nginx loads $loaded records with the $key key");
}

starts_with('new', $n, 0);
$server->shows($shown, 'as they were');
is($server->request(PUT => "/$ids[0]", '{"name": "after"}')->verdict, 200,
   'and changes them');
$shown = $server->snapshot;
$server->stop;

$files = $server->files;
$server->configure(seal_key => 'old.key');
like($server->refuses_to_start // 'it starts', other_key('state'),
     'and does not start with the old one');
$server->keeps($files, 'which changes nothing');

# "changes" of an older version does not tell the key
$server->write_file('state/changes', 'A lock.');
like($server->refuses_to_start // 'it starts',
     qr/\[emerg\].* has $n records, all of them under another seal key/,
     'nor where nothing but the records tells the key');

sub other_key {
    my ($name) = @_;

    return qr/\[emerg\].*"\Q$prefix\E\/$name"\ is\ under\ another\ seal\ key,\ (?#
              )and\ has\ no\ record\ that\ opens/x;
}

# One record, and none.
sub is_under {
    my ($one, $other, $what) = @_;

    $server->configure(state => 'few', seal_key => "$other.key");
    my $files = $server->files('few');

    like($server->refuses_to_start // 'it starts', other_key('few'),
         "$what: the $other key is refused");
    like(($server->test)[1], other_key('few'), 'by nginx -t, too');
    $server->keeps($files, 'and no file is touched', 'few');

    $server->configure(seal_key => "$one.key");
    $server->start;
}

$server->configure(state => 'few', seal_key => 'new.key');
$server->start;
$server->stop;
is_under('new', 'old', 'no record yet');

my $few = $server->request(POST => '', upload('few', 'ec'))->json->{id};
$server->stop;
is_under('new', 'old', 'one record');
is($server->request(GET => "/$few")->verdict, 200, 'which is there');
$server->stop;

$server->write_file('few/changes', 'A lock.');
$server->start;
$server->stop;
is_under('new', 'old', 'one record of an older version');
$server->stop;

# what was restored with another one's lock
$server->write_file('few/changes', Wafcert::Fixtures::read_file("$dir/changes")
                                   =~ s/key: \K..../AAAA/r);
$server->start;
is($server->request(GET => "/$few")->verdict, 200,
   'a record that opens proves the key');
$server->stop;
is_under('new', 'old', 'and "changes" is mended');
$server->stop;

my $one = "$prefix/few/" . substr($few, 0, 2) . "/$few.json";
my $whole = Wafcert::Fixtures::read_file($one);
$server->write_file(substr($one, length "$prefix/"), $whole =~ s/few/few-2/r);
is_under('new', 'old', 'one that is damaged');
is($server->request(DELETE => "/$few")->verdict, '404 not_found',
   'which is not there');
$server->stop;
is((run(rekey('new', 'old', "$prefix/few")))[0], 1, 'rekey refuses it');
unlink $one;
is_under('old', 'new', 'under the old key');
$server->stop;
is((run(rekey('old', 'new', "$prefix/few")))[0], 0, 'rekey without a record');
is_under('new', 'old', 'under the new key');
$server->stop;

unlink "$prefix/few/changes";
$server->configure(seal_key => 'old.key');
$server->start;
$server->stop;
is_under('old', 'new', 'without records and "changes", either key will do');
$server->stop;
$server->configure(state => 'state');


# Files that open under neither are named, and left.

sub break {
    my ($id, $break) = @_;

    local $_ = Wafcert::Fixtures::read_file($server->record($id));
    $break->($server->record($id));
    return unless defined;

    $server->write_file(substr($server->record($id), length "$prefix/"), $_);
}

my @broken = splice @ids, 0, 9;
my ($edited, $cut, $version, $empty, $fifo, $link, $directory, $large, $other) =
    @broken;
my $moved = "$prefix/moved.json";

break($edited, sub { s/"revision":/"revision":1/ });
break($cut, sub { substr($_, 100) = '' });
break($version, sub { s/"version":1/"version":7/ });
break($empty, sub { $_ = '' });
break($fifo, sub { unlink $_[0]; POSIX::mkfifo($_[0], 0600); undef $_ });
break($link, sub { rename $_[0], $moved; symlink $moved, $_[0]; undef $_ });
break($directory, sub { unlink $_[0]; mkdir $_[0]; undef $_ });
break($large, sub { truncate $_[0], 2**30; undef $_ });
break($other, sub { s/(?<="sealed_key":").*(?=")/sealed($text{$edited})/e });

my %reason = (
    $edited    => 'it was edited, or sealed under another key than these',
    $cut       => 'it is cut or not a record',
    $version   => 'it has version 7, and this module reads 1',
    $empty     => 'it is cut or not a record',
    $fifo      => 'it is no file',
    $link      => 'it is a symbolic link',
    $directory => 'it is no file',
    $large     => 'it is too large for a record',
    $other     => 'it was edited, or sealed under another key than these',
);

$files = $server->files;
($status, $out, $err) = run(rekey('new', 'old'));

is($status, 1, 'some files are refused');
is($err, join('', map { 'rekey: ' . $server->record($_)
                        . " was refused: $reason{$_}\n" } sort @broken),
   'each is named, with its reason');
is($out, ($n - 9) . " records resealed, 0 were so already, "
         . "9 files refused\n", 'and counted');

sub only {
    my (@ids) = @_;

    my $any = join '|', @ids;
    return join "\n", grep { /$any/ } split /\n/, $server->files;
}

my $any = join '|', @broken;
is(only(@broken), join("\n", grep { /$any/ } split /\n/, $files),
   'and left as it was');

unlink map { $server->record($_) } $fifo, $link, $large;
rmdir $server->record($directory);
starts_with('old', $n - 9, 5);

my %before = $shown =~ /^(\w{32}) (.*)$/mg;
my %after = $server->snapshot =~ /^(\w{32}) (.*)$/mg;
delete @before{@broken};
is_deeply(\%after, \%before, 'all the others are as they were');

$server->ends_well(qr/signal 9/, qr/under another seal key/);
done_testing;
