#!/usr/bin/perl

# Workers and all of nginx are killed while clients make changes: what was
# answered lasts.  tools/crashtest does the same for longer.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Crash;
use Wafcert::Server;

plan skip_all => 'valgrind has nothing to say about a process that is killed'
    if under_valgrind();

my $kills = $ENV{WAFCERT_KILLS} // 10;
my $crash = Wafcert::Crash->new(seed => seeded());
my $dir = "$crash->{server}{prefix}/state";

for my $kill (1 .. $kills) {
    my $what = $crash->any;

    is(join("\n", $crash->round($what)), '', "$what is killed");
    diag($crash->summary);
}

is(join("\n", $crash->empty), '', 'what is deleted is gone');


# Would it be seen?  What was done behind nginx's back, and its traces.
my $client = $crash->client(0);

sub file_of {
    my ($id) = @_;

    return "$dir/" . substr($id, 0, 2) . "/$id.json";
}

sub text_of {
    return Wafcert::Fixtures::read_file(file_of($_[0]));
}

sub put {
    my ($id, $text) = @_;

    open my $out, '>:raw', file_of($id) or die "$id: $!\n";
    print $out $text;
    close $out or die "$id: $!\n";
}

sub create {
    my ($name) = @_;

    return $client->ask(create => undef, $name, 'rsa')->json->{id};
}

sub seen {
    my ($what, $pattern, $spoil) = @_;

    $crash->{server}->kill_all;
    delete $client->{socket};
    like(join("\n", $crash->restart($spoil)), $pattern,
         "it is seen that $what");
}

my $id = create('lost');
seen('a record is lost', qr/^$id is missing: 1 lost rsa/m,
     sub { unlink file_of($id) });

$id = create('cut');
seen('a record is cut', qr/^$id is missing(?s:.*)was refused: it is cut/m,
     sub { put($id, substr text_of($id), 0, 1000) });
unlink file_of($id);

$id = create('old');
my $old = text_of($id);
$client->ask(modify => $id, 'new', 'ec');
seen('an older record is back', qr/^$id is older: 1 old rsa, not 2 new ec/m,
     sub { put($id, $old) });

$id = create('gone');
$old = text_of($id);
$client->ask(delete => $id);
seen('a deleted one is back', qr/^$id is back: 1 gone rsa/m,
     sub { put($id, $old) });

$id = create('open');
seen('there is a file that is none', qr/^..\/$id is no record/m, sub {
    rename file_of($id), file_of($id) =~ s/\.json//r or die "$id: $!\n";
});

$crash->{server}->ends_well(@Wafcert::Crash::allowed);
done_testing;
