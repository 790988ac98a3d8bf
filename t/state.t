#!/usr/bin/perl

# What was answered 200 is there after nginx was stopped, and after it was
# killed: all that clients can see of it.

use strict;
use warnings;

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Server;

my $server = Wafcert::Server->new(
    size => '2m', state => 'state', workers => 2,
    server => 'wafcert_return_key always;'
);
my $dir = "$server->{prefix}/state";

like($server->news, $server->loaded(0),
     'a directory that was not there has nothing in it');


# A request, and what its answer has to be.
sub call {
    my ($verdict, @request) = @_;

    my $answer = $server->request(@request);

    is($answer->verdict, $verdict,
       join ' ', @request[0, 1], $request[2] // '' =~ /("name": "[^"]{1,20}")/);

    return $answer->{status} == 200 ? $answer->json : {};
}


# Every type and spelling of a key, and warnings of several kinds.

my @pairs = qw(rsa ec ed pkcs1 sec1 p384 p521 full alone example soon renewed
               nohosts future);
my %files = (nohosts => [ qw(nohosts.chain ec.key) ],
             future  => [ qw(future.chain ec.key) ]);
my %id;

sub create {
    my ($name, $pair, $path) = @_;

    my $body = $files{$pair}
        ? JSON::PP->new->canonical->encode({
              name    => $name,
              content => Wafcert::Fixtures::text($files{$pair}[0]),
              key     => Wafcert::Fixtures::text($files{$pair}[1]) })
        : upload($name, $pair);

    $id{$name} = call(200, POST => $path // '', $body)->{id};
}

create($_, $_) for @pairs;
create('x' x 256, 'ec');
create('rsa', 'ec', '//v1/' . 'p' x 64 . '/waf/certificate');
create('rsa', 'rsa', '//v1/other/waf/certificate');
my $other = $id{rsa};
$id{rsa} = { $server->stored }->{rsa};

call(200, POST => '', upload('ec', 'ec'));
call(200, PUT => "/$id{ec}", '{"name": "ec-2"}');
call(200, PUT => "/$id{ec}", '{"name": "ec-3"}');
call(200, PUT => "/$id{ec}", '{"name": "ec-3"}');
call(200, PUT => "/$id{rsa}", upload('rsa', 'renewed'));
call(200, PUT => "/$id{ed}", upload('ed-2', 'pkcs1'));

create('gone', 'ec');
call(200, DELETE => "/$id{gone}");
create('again', 'ec');
call(200, PUT => "/$id{again}", '{"name": "later"}');
call(200, DELETE => "/$id{again}");

# several at once
is(scalar(grep { $_->{status} == 200 } $server->create(30, 'at-once-', 'ec')),
   30, 'creates at once');

call('400 name_duplicate', POST => '', upload('rsa', 'ec'));
call('400 key_mismatch', PUT => "/$id{rsa}",
     qq({"key": ) . JSON::PP->new->allow_nonref->encode(
         Wafcert::Fixtures::text('other.key')) . '}');
call('412 revision_mismatch', DELETE => "/$id{rsa}", undef,
     'If-Match: "99"');
call(200, POST => '?dry_run=true', upload('dry', 'ec'));

my @projects = ('project', 'p' x 64, 'other');

sub snapshot {
    return join "\n", map { $server->snapshot($_) } @projects;
}

sub shows {
    my ($was, $name) = @_;

    my @was = split /\n(?=\{"total")/, $was;
    $server->shows($was[$_], "$name, project $_", $projects[$_]) for 0 .. 2;
}

my $shown = snapshot();
my @shown = map { JSON::PP::decode_json($_) }
                $shown =~ /^[0-9a-f]{32} 200 "\d+" (.*)/mg;

is(@shown, @pairs + 33, 'all of them are shown');

my %warning = map { map { $_->{reason} => 1 } @{$_->{warnings} // []} } @shown;
ok($warning{$_}, "one has the warning $_")
    for qw(root_dropped chain_incomplete weak_key expired not_yet_valid
           no_hosts);


# Files.

my ($worker) = $server->workers;
my $uid = (stat "/proc/$worker")[4];

sub owner_and_mode {
    my ($file) = @_;

    my @stat = lstat $file or return "$file: $!";
    return sprintf '%d %04o', $stat[4], $stat[2] & 07777;
}

my %record;

sub look_at_files {
    my @records = glob "$dir/*/*";

    is(join(' ', sort map { s/.*\///r } @records),
       join(' ', sort map { "$_->{id}.json" } @shown),
       'each certificate has a file, and nothing else has one');

    is(join(' ', grep { !/^(?:[0-9a-f]{2}|changes)$/ }
                 map { s/.*\///r } glob "$dir/*"), '',
       'they are in directories of two digits');

    my %wrong = map { owner_and_mode($_) => 1 } @records;
    is(join(', ', sort keys %wrong), "$uid 0600",
       'and the workers\' user alone reads them');

    %wrong = map { owner_and_mode($_) => 1 } $dir, grep { -d } glob "$dir/*";
    is(join(', ', sort keys %wrong), "$uid 0700", 'and the directories');
    is(owner_and_mode("$dir/changes"), "$uid 0600", 'and what is beside them');

    %record = map { $_ => Wafcert::Fixtures::read_file($server->record($_)) }
                  map { $_->{id} } @shown;
}

look_at_files();

my $json = JSON::PP->new->utf8;
my @facts = qw(id name content timestamp expire_time cert_type revision
               fingerprint serial_number subject issuer not_before hosts);
my (@wrong, %nonce);

for my $shown (@shown) {
    my $text = $record{$shown->{id}};
    my $stored = $json->decode($text);

    for my $fact (@facts) {
        my ($is, $not) = map { $json->encode([ $_->{$fact} ]) }
                             $stored, $shown;
        push @wrong, "$shown->{name}: $fact is $is, not $not"
            if $is ne $not;
    }

    my @warnings = map { join ' ', sort grep { !/^(?:expired|not_yet_valid)$/ }
                         @$_ }
                       $stored->{warnings},
                       [ map { $_->{reason} } @{$shown->{warnings} // []} ];

    # those of the time are not kept
    push @wrong, "$shown->{name}: warnings" if $warnings[0] ne $warnings[1];

    push @wrong, "$shown->{name}: a key" if exists $stored->{key};
    push @wrong, "$shown->{name}: lines"
        if grep { !/^\{?"\w+":/ } split /\n/, $text;
    push @wrong, "$shown->{name}: the sealed key is not last"
        unless $text =~ /,\n"sealed_key":"[A-Za-z0-9+\/]+=*"\}\n\z/;

    my ($nonce, $rest) = unpack 'a12 a*',
                         MIME::Base64::decode($stored->{sealed_key});
    $nonce{$nonce}++;

    my $key = MIME::Base64::decode($shown->{key} =~ s/^-.*//mgr);
    push @wrong, "$shown->{name}: length of the sealed key"
        unless length $rest > length($key) + 16;
}

is(join("\n", @wrong), '', 'facts stand there in clear');
is(keys %nonce, @shown, 'each key has its own nonce');

is(join(' ', map { $_->{name} }
             sort { $b->{sequence} <=> $a->{sequence} }
             grep { $_->{project} eq 'project' }
             map { $json->decode($_) } values %record),
   join(' ', map { $_->{name} }
             @{$server->request(GET => '')->json->{items}}),
   'the order of the list is stored');


# No key, and no part of one, in whatever spelling.

my %secret;

# but for what its certificate, or all keys of a type, have in common
my @public = map { s/^-.*|\n//mgr }
             map { split /(?<=-----\n)(?=-----BEGIN)/, $_->{content} } @shown;
my $public = join ' ', @public, map { MIME::Base64::decode($_) } @public;

for my $shown (@shown) {
    my $base64 = $shown->{key} =~ s/^-.*|\n//mgr;
    my $der = MIME::Base64::decode($base64);

    $secret{"$shown->{name} in base64"} = [
        grep { index($public, $_) < 0 }
        map { substr $base64, $_, 16 } map { $_ * 8 }
            8 .. length($base64) / 8 - 2 ];
    $secret{"$shown->{name}"} = [
        grep { index($public, $_) < 0 }
        map { substr $der, $_, 12 } map { $_ * 6 }
            6 .. length($der) / 6 - 2 ];
}

my $seal = Wafcert::Fixtures::read_file("$server->{prefix}/seal.key");
$secret{'the seal key'} = [ substr $seal, 8, 16 ];
$secret{'the seal key in binary'} = [ pack 'H*', substr $seal, 8, 32 ];

sub secrets_in {
    my ($text) = @_;

    return grep { my $what = $_;
                  grep { index($text, $_) >= 0 } @{$secret{$what}} }
           sort keys %secret;
}

my $all = join '', map { Wafcert::Fixtures::read_file($_) }
               grep { -f } glob "$dir/* $dir/*/*";

is(join(', ', secrets_in($all)), '', 'no key is in any file');
is(join(', ', secrets_in($server->log)), '', 'nor in the log');
is(join(', ', secrets_in(join '', map { $_->{key} =~ s/^-.*|\n//mgr } @shown)),
   join(', ', sort grep { /base64$/ } keys %secret), 'and all would be seen');


# Whatever ends nginx, all is there.

my %before = %record;

for my $how ('stop', 'kill_all', 'kill_all', 'stop') {
    $server->news;
    $server->$how;
    $server->start;

    like($server->news, $server->loaded(scalar @shown), "$how, start");
    shows($shown, 'and all is as it was');
    look_at_files();
}

is_deeply(\%record, \%before, 'no file was written');


# And it goes on from there.

is(call(200, POST => '', upload('alone', 'alone'))->{id}, $id{alone},
   'a create that is repeated is the same');
call('404 not_found', GET => "/$id{gone}");
call('404 not_found', GET => "/$other");
call('400 name_duplicate', POST => '', upload('alone', 'ec'));
call('412 revision_mismatch', PUT => "/$id{ec}", '{"name": "x"}',
     'If-Match: "2"');
is(call(200, PUT => "/$id{ec}", '{"name": "ec-4"}',
        'If-Match: "3"')->{revision}, 4, 'revisions go on');
create('gone', 'ec');

my ($newest) = @{$server->request(GET => '')->json->{items}};
is($newest->{id}, $id{gone}, 'what is new is first in the list');

my ($nonce) = map { $json->decode($_)->{sealed_key} =~ /^(.{16})/ }
              Wafcert::Fixtures::read_file($server->record($id{ec}));
ok(!$nonce{MIME::Base64::decode($nonce)}, 'a new revision has a new nonce');

$shown = snapshot();
$server->kill_all;
$server->start;
shows($shown, 'and is there, too');


# All of them can be deleted, and stay so.

for my $project (@projects) {
    my $path = "//v1/$project/waf/certificate";

    $server->request(DELETE => "$path/$_->{id}")
        for @{$server->request(GET => $path)->json->{items}};
}

is(join(' ', grep { -f } glob "$dir/*/*"), '', 'no file is left');

$server->kill_all;
$server->start;
is($server->request(GET => '')->json->{total}, 0, 'nothing is back');


# A directory that was there has the mode that it had, what is in it is nobody
# else's.

$server->stop;
File::Path::remove_tree($dir);
mkdir $dir, 0755;
$server->start;
is($server->request(POST => '', upload('one'))->verdict, 200,
   'a directory that was there is used');
my %mode = map { owner_and_mode($_) => 1 } grep { -d } glob "$dir/*";
is(join(', ', keys %mode), "$uid 0700", 'and nobody else can read what is in it');

$server->ends_well(qr/signal 9/);
done_testing;
