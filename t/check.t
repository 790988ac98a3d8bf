#!/usr/bin/perl

# wafcert-check says what a gateway says of the same upload; and what it does
# with files that are none, and with certificates that were made to deceive.

use strict;
use warnings;

use Encode ();
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Test::More;

use lib 't/lib';
use Wafcert::Fixtures ();
use Wafcert::Server;

my $dir = File::Temp->newdir;
my $json = JSON::PP->new->utf8;
my $check = 'build/wafcert-check';

my $server = Wafcert::Server->new(
    size => '2m', workers => 1, server => 'wafcert_return_key never;');

$ENV{LC_ALL} = 'C.UTF-8';


# Exit status, standard output and standard error.  No output has a key, or
# what a terminal would obey.
sub run {
    my ($in, @arguments) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', $in // '/dev/null';
        open STDOUT, '>', "$dir/out";
        open STDERR, '>', "$dir/err";
        { exec $check, @arguments; }
        POSIX::_exit(127);
    }

    waitpid $pid, 0;

    my $status = $? & 127 ? "signal $?" : $? >> 8;
    my ($out, $err) = map { Wafcert::Fixtures::read_file("$dir/$_") }
                          qw(out err);

    fail("a key was printed: @arguments")
        if "$out$err" =~ /PRIVATE KEY/ && "$out$err" !~ /BEGIN PRIVATE KEY line/
           || grep { index($out . $err, $_) >= 0 } secrets();
    fail("a control character was printed: @arguments")
        if Encode::decode('UTF-8', $out . $err)
               =~ /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;

    return ($status, $out, $err);
}

my @secrets;

# of each key's base64, a part of what is secret in it: but for those whose
# curve is spelt out, which certificates may do as well
sub secrets {
    @secrets = map { my $n = length;
                     substr $_, $n > 400 ? $n / 2 : $n < 90 ? 24 : 50, 36 }
                   grep { !/AYHKoZIzj0BAQ/ } Wafcert::Fixtures::private_keys()
        unless @secrets;

    return @secrets;
}


sub file {
    my ($name, $text) = @_;

    open my $out, '>:raw', "$dir/$name" or die "$name: $!\n";
    print $out $text;
    close $out or die "$name: $!\n";

    return "$dir/$name";
}


sub fixture {
    my ($name) = @_;

    return file($name, Wafcert::Fixtures::text($name));
}


# What differs between the answer of a gateway and that of the program, to
# an upload, and to the two files of it.

sub differs {
    my ($content, $key) = @_;

    my $upload = $json->encode({ name => 'name', key => text($key),
                                 content => text($content) });
    my $answer = $server->request(POST => '?dry_run=true', $upload);
    my $said = $answer->json;
    my $due = $answer->{status} != 200 ? 2 : $said->{warnings} ? 1 : 0;
    my @wrong;

    my ($status, $out) = run(file('upload.json', $upload), '--json', '-');
    push @wrong, "an upload: status $status, not $due" if $status ne $due;
    push @wrong, "an upload: $out$answer->{body}" if $out ne $answer->{body};

    my @files = (file('chain', $content), file('key', $key));

    ($status, $out) = run(undef, @files);
    my @told = $out =~ /^(?:warning|refused): (.*)/mg;
    my @due = $due == 2
        ? "$said->{reason}: " . $said->{error_msg} =~ s/^[^:]*: //r
        : map { "$_->{reason}: $_->{message}" } @{$said->{warnings}};
    push @wrong, "two files: status $status, not $due" if $status ne $due;
    push @wrong, "two files: @told, not @due" if "@told" ne "@due";
    push @wrong, "two files: there is no hint in $out"
        if $said->{hint} && $out !~ /^to mend it: \Q$said->{hint}\E$/m;

    return join "\n", @wrong;
}

# as jq reads a file
sub text {
    return Encode::decode('UTF-8', $_[0]);
}


system('/usr/bin/python3', 't/lib/chains.py', $dir) == 0
    or die "t/lib/chains.py failed\n";

my $cases = $json->decode(Wafcert::Fixtures::read_file("$dir/cases.json"));

my @cases = @{$cases->{cases}};
splice @cases, 10 if under_valgrind();

for my $case (@cases) {
    is(differs($case->{content}, $case->{key}), '', $case->{title});
}

for my $pair ([ 'rsa.chain', 'rsa.key' ], [ 'rsa.full', 'rsa.key' ],
              [ 'rsa.wrong', 'rsa.key' ], [ 'rsa.many', 'rsa.key' ],
              [ 'rsa.blocks', 'rsa.key' ], [ 'rsa.chain', 'ec.key' ],
              [ 'rsa.key', 'rsa.chain' ], [ 'rsa.chain', 'rsa.enc' ],
              [ 'rsa.p12', 'rsa.key' ], [ 'rsa.p7', 'rsa.key' ],
              [ 'rsa.csr', 'rsa.key' ], [ 'p12.der', 'rsa.key' ],
              [ 'rsa.chain', 'p12.der' ], [ 'ec.params', 'ec.key' ],
              [ 'ed.chain', 'ed.key' ], [ 'nohosts.chain', 'ec.key' ],
              [ 'future.crt', 'ec.key' ])
{
    my ($content, $key) = map { Wafcert::Fixtures::text($_) } @$pair;
    is(differs($content, $key), '', "@$pair");
}

is(differs('', 'key'), '', 'an empty file');
is(differs(' ', "\0"), '', 'a NUL');
is(differs("\xff\xfe-\0", 'key'), '', 'UTF-16');

for my $body ('', ' ', '{', '[]', '{"name": "x"}', '{"key": 1}',
              '{"key": "a", "key": "b"}', '[' x 100000)
{
    my $answer = $server->request(POST => '?dry_run=true', $body);
    my ($status, $out) = run(file('upload.json', $body), '--json', '-');

    is("$status $out", "2 $answer->{body}",
       'an upload of ' . substr $body, 0, 30);
}


# What is told of each block.

my ($status, $out, $err) = run(undef, map { fixture($_) }
                                          qw(rsa.chain rsa.key));

is("$status$err", '0', 'a good pair: 0');
like($out, qr/^block\ 1:\ CN=rsa\.example\.com,O=Wafcert\n
              \s+issued\ by\ CN=Intermediate,O=Wafcert\n
              \s+valid\ from\ \d{4}-\S+Z\ to\ \d{4}-\S+Z\n
              \s+stored\ first.*\n
              block\ 2:\ CN=Intermediate,O=Wafcert\n
              (?:\s+.*\n){2}
              \s+stored\ as\ number\ 2\n
              key:\ RSA-2048\n
              hosts:\ rsa\.example\.com,\ \*\.rsa\.example\.com,\ .*\n
              good\n\z/x, 'its blocks, its hosts and the verdict');

my $mixed = file('mixed', join '', map { Wafcert::Fixtures::text($_) }
                              qw(inter.crt rsa.crt ec.crt ec.params root.crt
                                 rsa.crt));

($status, $out) = run(undef, $mixed, "$dir/rsa.key");
is($status, 1, 'a pair to repair: 1');
is(join("\n", $out =~ /^ +((?:not )?stored.*)/mg), <<'END' =~ s/\n\z//r,
stored as number 2
stored first, as the certificate of the key
not stored: no path from the certificate of the key leads to it
not stored: it is no certificate
not stored: it is a root, which clients have themselves
not stored: it repeats block 2
END
   'what becomes of each block');

($status, $out) = run(undef, "$dir/rsa.chain", fixture('ec.key'));
is($status, 2, 'another key: 2');
like($out, qr/^block 2: CN=Intermediate.*^refused: key_mismatch: the key is/ms,
     'after its blocks');

($status, $out) = run(undef, '--reject-expired', fixture('future.crt'),
                      "$dir/ec.key");
like("$status $out", qr/^2 .*, not valid yet.*cert_not_yet_valid/s,
     '--reject-expired');
($status, $out) = run(undef, '--min-rsa-bits=3072', "$dir/rsa.chain",
                      "$dir/rsa.key");
like("$status $out", qr/^2 .*key_too_small.* 3072 /s, '--min-rsa-bits');


($status, $out) = run(undef, 't/data/create-request.json');
like($out, qr/^warning: expired: .* on 2024-03-05T13:04:26Z$/m,
     'a warning says since when');


# Who is trusted.

for my $try ([ 'root.crt', '0' ], [ 'ec.crt', '1 untrusted' ],
             [ 'inter.crt', '1 untrusted' ], [ 'rsa.csr', '3' ],
             [ 'p12.der', '3' ])
{
    my ($trusted, $due) = @$try;
    my ($status, $out, $err) = run(undef, '--trusted', fixture($trusted),
                                   "$dir/rsa.chain", "$dir/rsa.key");
    my ($told) = $out =~ /^warning: (\w+)/m;

    is($told ? "$status $told" : $status, $due, "--trusted $trusted");
    like($err, qr/^wafcert-check: \S+\Q$trusted\E: \S/, 'in words')
        if $status == 3;
}


# Which hosts it is for.

sub host {
    my ($host, $due, @options) = @_;

    my ($status, $out, $err) = run(undef, "--host=$host", @options,
                                   "$dir/rsa.chain", "$dir/rsa.key");

    my $says = "$out$err" =~ /^host .*: served by the name (.*)/m ? $1
               : "$out$err" =~ /^warning: the certificate is not for the host/m
               ? 'none' : 'nothing';

    is("$status $says", $due, "--host @options $host");
}

host('rsa.example.com', '0 rsa.example.com');
host('RSA.Example.COM.', '0 rsa.example.com');
host('www.rsa.example.com', '0 *.rsa.example.com');
host('*.rsa.example.com', '0 *.rsa.example.com');
host('192.0.2.1', '0 192.0.2.1');
host('2001:DB8:0:0::1', '0 2001:db8::1');
host('192.0.2.2', '1 none');
host('a.b.rsa.example.com', '1 none');
host('example.com', '1 none');
host('.', '3 nothing');
host("a\nb", '3 nothing');
host('', '3 nothing');
host('x' x 300, '3 nothing');
host('rsa.example.com', '0 nothing', '--json');
host('example.com', '1 none', '--json');


# Subjects that a terminal would obey.

my $evil = "/O=a\e]0;x\a\e[31m\xc2\x9b31m\x7f \xe2\x80\xaeb\xe2\x80\x8b"
           . "/CN=J\xc3\xbcrgen";

system('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
       'ec_paramgen_curve:P-256', '-nodes', '-utf8', '-subj', $evil, '-days',
       1, '-keyout', "$dir/evil.key", '-out', "$dir/evil.crt", '-addext',
       'basicConstraints=CA:FALSE') == 0 or die "openssl failed\n";

($status, $out) = run(undef, "$dir/evil.crt", "$dir/evil.key");
is($status, 1, 'a subject with escape sequences: 1');
like($out, qr/^block 1: CN=J\xc3\xbcrgen,O=a.*\\xC2\\x9B31m/m, 'in words');
like($out, qr/\\xE2\\x80\\xAEb\\xE2\\x80\\x8B/, 'nor can it be turned round');

($status, $out) = run(undef, '--json', "$dir/evil.crt", "$dir/evil.key");
is($json->decode($out)->{subject} =~ /\x{9b}31m/ ? $status : $out, 1,
   'nor in the answer');

{
    local $ENV{LC_ALL} = 'C';
    ($status, $out) = run(undef, "$dir/evil.crt", "$dir/evil.key");
    like($out, qr/CN=J\\xC3\\xBCrgen/, 'a terminal of ASCII');
}


# What cannot be read, and what is no file.

sub failed {
    my ($what, $words, @arguments) = @_;

    my ($status, $out, $err) = run(undef, @arguments);

    is("$status$out", '3', "$what: 3");
    like($err, $words, 'in words');
}

my @pair = ("$dir/rsa.chain", "$dir/rsa.key");

failed('no file', qr/^usage: /);
failed('three files', qr/^usage: /, @pair, 'x');
failed('an unknown option', qr/usage: /, '--none', @pair);
failed('no number', qr/no number/, '--min-rsa-bits', '2k', @pair);
failed('twice standard input', qr/only one/, '-', '-');
failed('the same for roots', qr/only one/, '--trusted', '-', $pair[0], '-');
failed('roots that are not there', qr/none: No such file/, '--trusted',
       "$dir/none", @pair);
failed('roots without end', qr/zero: it is too large/, '--trusted',
       '/dev/zero', @pair);
failed('a file that is not there', qr/none: No such file/, "$dir/none",
       "$dir/rsa.key");
failed('a key that is not there', qr/none: No such file/, "$dir/rsa.chain",
       "$dir/none");
failed('a directory', qr/: Is a directory/, "$dir", "$dir/rsa.key");
failed('a directory as the key', qr/: Is a directory/, "$dir/rsa.chain",
       "$dir");
failed('PEM as the upload', qr/is PEM/, "$dir/rsa.chain");

SKIP: {
    skip 'root can read all', 2 if $> == 0;
    chmod 0, file('locked', 'x');
    failed('a file that is locked', qr/Permission denied/, "$dir/locked",
           "$dir/rsa.key");
}

sub too_large {
    my ($what, @arguments) = @_;

    my ($status, $out) = run(undef, @arguments);
    like("$status $out", qr/^2 refused: body_too_large: /, $what);
}

truncate file('huge', ''), 1 << 40 or die "truncate: $!\n";
too_large('a huge file', "$dir/huge", "$dir/rsa.key");
too_large('a huge key', "$dir/rsa.chain", "$dir/huge");
too_large('a huge upload', "$dir/huge");
too_large('/dev/zero', '/dev/zero', '/dev/zero');
too_large('two that are too large together',
          map { file($_, "\n" x 50000) } qw(one two));

for my $in (0, 1) {
    my @arguments = @pair;
    my $file = $arguments[$in];

    $arguments[$in] = '-';
    ($status, $out) = run($file, @arguments);
    is("$status " . $out =~ /^good$/m, '0 1', "standard input, file $in");
}

POSIX::mkfifo("$dir/fifo", 0600) or die "mkfifo: $!\n";

my $writer = fork // die "fork: $!\n";

if ($writer == 0) {
    my $text = Wafcert::Fixtures::text('rsa.key');

    open my $fifo, '>', "$dir/fifo" or POSIX::_exit(1);

    # in pieces
    syswrite $fifo, $_ for $text =~ /.{1,100}/gs;
    close $fifo;
    POSIX::_exit(0);
}

($status, $out) = run(undef, "$dir/rsa.chain", "$dir/fifo");
waitpid $writer, 0;
is("$status " . $out =~ /^good$/m, '0 1', 'a fifo');

SKIP: {
    skip 'there is no /dev/full', 1 unless -c '/dev/full';
    system("$check $pair[0] $pair[1] >/dev/full 2>$dir/err");
    is($? >> 8, 3, 'what cannot be written: 3');
}

($status, $out) = run(undef, '--help');
like("$status $out", qr/^0 usage: /, '--help');

$server->ends_well;

done_testing;
