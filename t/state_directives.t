#!/usr/bin/perl

# state= and seal_key=: what is said of bad ones, by an "nginx -t" that writes
# nothing.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;

my $server = Wafcert::Server->new(start => 0, workers => 1);
my $prefix = $server->{prefix};
my $digits = join '', map { sprintf '%02x', $_ * 5 } 1 .. 32;

sub key {
    my ($name, $text, $mode) = @_;

    $server->write_file($name, $text);
    chmod $mode // 0600, "$prefix/$name";
}

key('good', "$digits\n");
key('upper', uc $digits);
key('readonly', $digits, 0400);
key('short', substr $digits, 1);
key('long', "${digits}0");
key('twice', $digits x 2);
key('lines', "$digits\n\n");
key('crlf', "$digits\r\n");
key('blank', " $digits");
key('letter', $digits =~ s/..\z/0g/r);
key('empty', '');
key('binary', pack 'H*', $digits);
key('group', $digits, 0640);
key('others', $digits, 0604);
key('written', $digits, 0620);
key('large', $digits x 10000);
mkdir "$prefix/directory";
key('file', '');

my $state = 'state=state seal_key';

# what is refused, and a part of why
my @refused = (
    [ 'state=state',                      qr/seal_key/ ],
    [ 'seal_key=good',                    qr/state/ ],
    [ 'threads=default',                  qr/state/ ],
    [ 'seal_key=good threads=default',    qr/state/ ],
    [ 'state= seal_key=good',             qr/"state="/ ],
    [ 'state=state seal_key=',            qr/"seal_key="/ ],
    [ "$state=good threads=",             qr/"threads="/ ],
    [ "$state=good threads=none",         qr/"none"/ ],
    [ "$state=none",                      qr{/none".*No such file} ],
    [ "$state=none/good",                 qr{/none/good".*No such file} ],
    [ "$state=good/key",                  qr{/good/key".*Not a directory} ],
    [ "$state=directory",                 qr{/directory"} ],
    map { [ "$state=$_",                  qr{/$_"} ] }
        qw(short long twice lines crlf blank letter empty binary large group
           others written)
);

for my $case (@refused) {
    my ($parameters, $why) = @$case;

    $server->configure(zone => $parameters);
    my ($taken, $words) = $server->test;

    ok(!$taken, "$parameters is refused");
    like($words, qr/\[emerg\].*$why/, 'in words');
    unlike($words, qr/[0-9a-f]{24}/i, 'that tell no digit');
}

for my $name (qw(good upper readonly)) {
    $server->configure(zone => "$state=$name");
    my ($taken, $words) = $server->test;

    ok($taken, "$state=$name") or diag($words);
}

$server->configure(zone => "state=$prefix/state seal_key=$prefix/good");
ok(($server->test)[0], 'absolute paths');

$server->configure(zone => "state=a/b/state seal_key=good");
my ($taken) = $server->test;

ok(!-e "$prefix/state", 'there is no directory');
ok(!-e "$prefix/a", 'nor one below which it would be');


# Two zones on one directory would take each other for a stranger.

$server->configure(zone => "$state=good;\n"
                           . "    wafcert_zone zone=more:1m $state=good");
($taken, my $words) = $server->test;
ok(!$taken, 'two zones on one directory are refused') or diag($words);
like($words, qr/\[emerg\].*"[^"]*state"/, 'in words');


# What only a start can find out.

for my $path ('file', 'good/state', 'none/state') {
    $server->configure(zone => "state=$path seal_key=good");

    like($server->refuses_to_start,
         qr{\[emerg\].*"$prefix/$path/?" failed.*(?:exists|directory)},
         "nginx does not start with state=$path");
}

ok(-f "$prefix/file" && -z _, 'and leaves what is there');


# With a directory that is in use, -t says what it says without.

$server->configure(zone => '', state => 'state', seal_key => 'good');
$server->start;

is($server->request(POST => '', upload('one'))->verdict, 200, 'a certificate');

my @before = ($server->files, (stat "$prefix/state/changes")[7, 9, 10]);

($taken, $words) = $server->test;
ok($taken, 'nginx -t beside nginx') or diag($words);
unlike($words, qr/in use|loaded/, 'it takes no lock, and loads nothing');

is_deeply([ $server->files, (stat "$prefix/state/changes")[7, 9, 10] ],
          \@before, 'and leaves everything as it is');

key('other', scalar reverse $digits);
$server->configure(zone => '', seal_key => 'other');
($taken, $words) = $server->test;
is_deeply([ $server->files, (stat "$prefix/state/changes")[7, 9, 10] ],
          \@before, 'with another key, too');

unlike($server->log, qr/$digits|${\scalar reverse $digits}/i,
       'no key is in the log');

$server->ends_well(qr/\[emerg\]/);
done_testing;
