#!/usr/bin/perl

# Files that are not as nginx left them: each is named with the reason and left
# where it is, and keeps nothing else from being loaded.

use strict;
use warnings;

use File::Copy ();
use File::Path ();
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use Wafcert::Server;

my $server = Wafcert::Server->new(
    size => '2m', state => 'state', workers => 1,
    server => 'wafcert_return_key always;'
);
my $dir = "$server->{prefix}/state";
my $json = JSON::PP->new->utf8->canonical;


# Made first, under another key and in another directory.

my $foreign = $server->request(POST => '', upload('foreign', 'rsa'))
              ->json->{id};
$server->stop;

my $foreign_text = Wafcert::Fixtures::read_file($server->record($foreign));

File::Path::remove_tree($dir);
unlink "$server->{prefix}/seal.key";
$server->configure;
$server->start;


# How a record is broken: a name, what does it, and what is said.  "broken" is
# called with the file and the id, and gives the text that is written there, if
# any.

my $CUT = qr/it is cut or not a record/;
my $EDITED = qr/it was edited, or sealed under another key/;
my $ANY = qr/\S/;

my (@cases, %text);

sub broken {
    my ($name, $reason, $break) = @_;

    push @cases, { name => $name, reason => $reason, break => $break };
}

sub edited {
    my ($name, $reason, $edit) = @_;

    broken($name, $reason, sub {
        local $_ = $text{$_[1]};
        $edit->(@_);
        die "$name: nothing was edited\n" if $_ eq $text{$_[1]};
        return $_;
    });
}

edited('cut in the middle', $CUT, sub { substr($_, length() / 2) = '' });
edited('cut before its end', $CUT, sub { s/..\n\z// });
edited('cut in its sealed key', $CUT, sub { s/(?<="sealed_key":"....).*//s });
edited('cut behind a member', $CUT, sub { s/\n"timestamp".*//s });
edited('without its start', $CUT, sub { s/\A.*\n// });
edited('cut and closed', $ANY, sub { s/.{4}"\}\n\z/"}\n/ });
edited('without a sealed key', $CUT, sub { s/,\n"sealed_key.*/}\n/s });
edited('sealed with nothing', $EDITED, sub { s/(?<="sealed_key":")[^"]*// });

# a member is a line
my $example = $server->request(POST => '', upload('example', 'rsa'))
              ->json->{id};
my @members = Wafcert::Fixtures::read_file($server->record($example))
              =~ /^\{?"(\w+)":/mg;
$server->request(DELETE => "/$example");

cmp_ok(@members, '>', 15, 'a record has members');

for my $member (grep { $_ ne 'sealed_key' } @members) {
    my $reason = $member eq 'version' ? qr/it has version/
               : $member eq 'id'      ? qr/it is record \w+, by another name/
               : $member eq 'content' ? $ANY
               :                        $EDITED;

    edited("$member edited", $reason, sub {
        s/^(\{?"$member":)(.*)(?=,\n)/$1 . altered($2)/me;
    });

    edited("no $member", $ANY, sub { s/^(\{?)"$member":.*,\n/$1/m });
}

# another value of the same type
sub altered {
    my ($value) = @_;

    return $value + 1 if $value =~ /^-?\d+$/;
    return '["no_hosts"]' if $value eq '[]';
    $value =~ s/([a-z0-9])(?=[^a-z0-9]*\z)/$1 eq '1' ? '2' : '1'/ie;
    return $value;
}

edited('a member more', $EDITED, sub { s/^(?="project")/"more":1,\n/m });
edited('a member twice', $CUT, sub { s/^("name":.*\n)/$1$1/m });
edited('members exchanged', $EDITED,
       sub { s/^("revision":.*\n)("id":.*\n)/$2$1/m
             or s/^("timestamp":.*\n)("expire_time":.*\n)/$2$1/m });
edited('a blank more', $EDITED, sub { s/^"name":/"name": /m });
edited('a name in other words', $EDITED,
       sub { s/^"name":"(.)/sprintf '"name":"\\u%04x', ord $1/me });
edited('with CRLF', $ANY, sub { s/\n/\r\n/g });
edited('with a newline more', $CUT, sub { $_ .= "\n" });
edited('with a BOM', $ANY, sub { $_ = "\xef\xbb\xbf$_" });
edited('with a NUL', $CUT, sub { $_ .= "\0" });
edited('twice the same', $CUT, sub { $_ x= 2 });
edited('sealed key edited', $EDITED,
       sub { s/(?<="sealed_key":".{40})(.)/$1 eq 'A' ? 'B' : 'A'/e });
edited('nonce edited', $EDITED,
       sub { s/(?<="sealed_key":")(.)/$1 eq 'A' ? 'B' : 'A'/e });
edited('tag edited', $EDITED,
       sub { s/(.)(?=...."\}\n\z)/$1 eq 'A' ? 'B' : 'A'/e });
edited('sealed key in other base64', $EDITED,
       sub { s/(?<="sealed_key":"....)/ / });
edited('of a version to come', qr/it has version 7, and this module reads 1/,
       sub { s/"version":1\b/"version":7/ });
edited('of version 0', qr/it has version 0/,
       sub { s/"version":1\b/"version":0/ });
edited('a key in clear', $EDITED,
       sub { s/^(?="sealed_key")/"key":"-----BEGIN PRIVATE KEY-----",\n/m });

broken('not JSON', $CUT, sub { "This is no record.\n" });
broken('another JSON', $CUT, sub { "[]\n" });
broken('nested deeply', $CUT, sub { '[' x 1_000_000 });
broken('empty', $CUT, sub { '' });
broken('zeroes', $CUT, sub { "\0" x length $text{$_[1]} });
broken('a directory', $ANY, sub { unlink $_[0]; mkdir $_[0]; return });
broken('a link', $ANY, sub {
    rename $_[0], "$server->{prefix}/linked.json";
    symlink "$server->{prefix}/linked.json", $_[0];
    return;
});
broken('a link to nothing', $ANY, sub {
    unlink $_[0];
    symlink 'nothing', $_[0];
    return;
});
broken('a FIFO', $ANY, sub {
    unlink $_[0];
    POSIX::mkfifo($_[0], 0600) or die "mkfifo: $!\n";
    return;
});
broken('1 GB', $ANY, sub {
    truncate $_[0], 2**30 or die "truncate: $!\n";
    return;
});
broken('one that cannot be read', qr/Permission denied/,
       sub { chmod 0, $_[0]; return }) if $> != 0;
broken('under another key', $EDITED, sub {
    return $foreign_text =~ s/\Q$foreign\E/$_[1]/r;
});

# each with one that is left alone
my %name_of;

for my $answer ($server->create(scalar(@cases), 'broken-', 'rsa'),
                $server->create(scalar(@cases), 'good-', 'ed'))
{
    $name_of{$answer->json->{id}} = $answer->json->{name};
}

my %id_of = reverse %name_of;
my ($shown) = $server->snapshot;

# what is in nobody's way, and what might have been a record
my $twin = substr $id_of{'good-0'}, 0, 2;
my @strangers = map { "$dir/$_" } 'README', 'zz', '.hidden';
my @misnamed = map { "$dir/$twin/$_" }
    'README', "$id_of{'good-0'}.bak", 'F' x 32 . '.json', 'f' x 31 . '.json',
    'f' x 33 . '.json', 'f' x 32 . '.JSON', 'f' x 32 . '.json~';

# what those who died have left, one of them with a number that is in use
my @left = map { "$dir/" . substr($_->[0], 0, 2) . "/$_->[0].$_->[1].tmp" }
    [ $id_of{'good-0'}, 1 ], [ $id_of{'good-1'}, $$ ],
    [ $id_of{'good-2'}, 99999999 ], [ $id_of{'good-3'}, '99999999.old' ],
    [ $id_of{'broken-0'}, '1.old' ];

$server->stop;

for my $i (0 .. $#cases) {
    my ($case, $id) = ($cases[$i], $id_of{"broken-$i"});
    my $file = $server->record($id);

    @$case{qw(id file)} = ($id, $file);
    $text{$id} = Wafcert::Fixtures::read_file($file);

    my $text = $case->{break}($file, $id);
    write_text($file, $text) if defined $text;
}

sub write_text {
    my ($file, $text) = @_;

    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}

for my $file (@strangers, @misnamed, @left) {
    write_text($file, $text{$id_of{'broken-0'}});
}

push @cases, map { { name => s/.*\///r, file => $_, reason => qr/name/ } }
                 @misnamed;


# Records that are whole, and where they should not be.

sub misplace {
    my ($name, $reason, $file, $text) = @_;

    my $in = $file =~ s{/[^/]*\z}{}r;

    File::Path::make_path($in);
    write_text($file, $text);

    # for what may come to be in there
    chown +(stat $dir)[4, 5], $in, $file;

    push @cases, { name => $name, reason => $reason, file => $file };
}

my $good = Wafcert::Fixtures::read_file($server->record($id_of{'good-0'}));

misplace('a copy under another id', qr/it is record $id_of{'good-0'}, by/,
         "$dir/ab/" . 'ab' x 16 . '.json', $good);
misplace('a copy in another directory', $ANY,
         "$dir/" . ($twin eq 'cd' ? 'dc' : 'cd') . "/$id_of{'good-0'}.json",
         $good);

my @swapped = map { $server->record($id_of{"good-$_"}) } 1, 2;
my @texts = map { Wafcert::Fixtures::read_file($_) } @swapped;

misplace('exchanged with another', qr/it is record $id_of{"good-2"}, by/,
         $swapped[0], $texts[1]);
misplace('and the other one', qr/it is record $id_of{"good-1"}, by/,
         $swapped[1], $texts[0]);
delete @id_of{qw(good-1 good-2)};

# The rest of the list is what has to be there: in that order, and nothing else.
$shown =~ s/\A.*?\n(?=\w{32} )//s;
my %shown = $shown =~ /^(\w{32}) (.*)$/mg;

sub names {
    my $list = $server->request(GET => '')->json;

    return map { $_->{name} } @{$list->{items}};
}

my $files = $server->files;
my $start = time;

$server->news;
$server->start;

cmp_ok(time - $start, '<', 30, 'nginx starts, and soon');

my @news = $server->news_like(qr/certs|state|refused/);
my $log = join '', @news;

for my $case (@cases) {
    my @lines = grep { /\[error\].*"\Q$case->{file}\E" was refused: / } @news;

    is(@lines, 1, "$case->{name}: is named once");
    like($lines[0] // '', qr/was refused: .*$case->{reason}/, 'with a reason');
}

my $loaded = grep { /^good/ } keys %id_of;
my $refused = @cases;

is(scalar(grep { /was refused:/ } @news), $refused, 'and nothing else');
like($log, $server->loaded($loaded, $refused),
     'their number is told, and the time');

is(join(' ', sort(names())), join(' ', sort grep { /^good/ } keys %id_of),
   'all the others are there');

my @wrong = grep {
    my $answer = $server->request(GET => "/$id_of{$_}");
    $shown{$id_of{$_}} ne "200 $answer->{headers}{etag} $answer->{body}" =~ s/\n//r
} grep { /^good/ } keys %id_of;

is("@wrong", '', 'as they were');

is(join(' ', grep { $_->{id} && $server->request(GET => "/$_->{id}")->verdict
                                ne '404 not_found' } @cases), '',
   'and those that were refused are not');

is(join("\n", grep { -e } @left), '', 'what the dead have left is gone');

my %left = map { substr($_, length $dir) => 1 } @left;
is($server->files, join("\n", grep { !/(\S+\.tmp) / || !$left{$1} }
                              split /\n/, $files),
   'all else is as it was');
unlike($log =~ s/"\/[^"]*"//gr, qr/BEGIN|[A-Za-z0-9+\/]{40}/,
       'the log quotes nothing');


# The name of one that was refused is free.  It can be mended, as long as nobody
# took its name.

my $taken = $cases[0];
my $name = $name_of{$taken->{id}};
my $taker = $server->request(POST => '', upload($name));

is($taker->verdict, 200, 'a name of one that was refused is free');

$server->stop;

for my $case (grep { $_->{id} } @cases) {
    my $file = $case->{file};

    -d $file && !-l $file ? rmdir $file : unlink $file;
    write_text($file, $text{$case->{id}});
    chown +(stat $server->record($id_of{'good-0'}))[4, 5], $file;
    chmod 0600, $file;
}

write_text($swapped[$_], $texts[$_]) for 0, 1;

$server->news;
$server->start;
@news = $server->news_like(qr/was refused: /);

my ($loser) = grep { "@news" =~ /\/$_\.json" was refused: .*"\Q$name\E"/ }
                   $taken->{id}, $taker->json->{id};

ok($loser, 'of two with one name one is refused');
is(@news, 3 + @misnamed, 'beside those that are still misplaced');

my ($winner) = grep { $_ ne $loser } $taken->{id}, $taker->json->{id};
my %stored = $server->stored;
is($stored{$name}, $winner, 'that one is there');
is(scalar(keys %stored), scalar(keys %name_of), 'and all that were mended');
$shown{$stored{$name}} = $server->snapshot =~ /^\Q$stored{$name}\E (.*)$/m
    ? $1 : '' if $stored{$name} ne $taken->{id};

my %now = $server->snapshot =~ /^(\w{32}) (.*)$/mg;
is(join(' ', grep { $now{$_} ne ($shown{$_} // '') } sort keys %now), '',
   'as they were');


# What was uploaded while one was refused stands beside it, when that has been
# mended: both had been the newest.

my @newest = map { $server->request(POST => '', upload("newest-$_"))->json->{id}
                 } 1, 2;
my $file = $server->record($newest[1]);
my $text = Wafcert::Fixtures::read_file($file);

$server->stop;
write_text($file, '');
$server->start;
push @newest, $server->request(POST => '', upload('newest-3'))->json->{id};
$server->stop;
write_text($file, $text);
$server->start;

is(join(' ', grep { $server->request(GET => "/$_")->{status} != 200 } @newest),
   '', 'one that was mended is there, and one that came meanwhile');
is(join(' ', sort grep { /^newest/ } names()), 'newest-1 newest-2 newest-3',
   'both are listed');
is(() = names(), keys(%stored) + 3, 'with all others');
$server->request(DELETE => "/$_") for @newest;


# A zone that is too small loses nothing.

$server->stop;
$files = $server->files;
$server->configure(size => '64k');
$server->news;
$server->start;

@news = $server->news_like(qr/refused/);
my @full = grep { /was refused: the memory for certificates is full/ } @news;
my ($some, $none) = "@news" =~ /loaded (\d+) certificates.* (\d+) files were/;
my @records = grep { !/^\Q$dir\E\/zz/ } glob "$dir/??/*";

cmp_ok(@full, '>', 10, 'what the zone has no room for is named');
is($some + $none, @records, 'and the rest is loaded');
is($server->request(GET => '')->json->{total}, $some, 'and listed');

# one that is smaller than those that were refused may find a hole
my ($verdict, @more);

for my $i (1 .. 20) {
    my $answer = $server->request(POST => '', upload("more-$i", 'rsa'));

    $verdict = $answer->verdict;
    last if $verdict ne '200';
    push @more, $answer->json->{id};
}

is($verdict, '403 zone_full', 'there is no room for more');
$server->request(DELETE => "/$_") for @more;

$server->stop;
$server->keeps($files, 'all files are left');
$server->configure(size => '2m');
$server->start;
is($server->request(GET => '')->json->{total}, scalar(keys %stored),
   'and loaded by a zone that has room');

$server->ends_well;
done_testing;
