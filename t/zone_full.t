#!/usr/bin/perl

# A zone that fills up, and whether it gets back what it gave.
#
# How much is free is learnt from how many certificates still fit.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;

my $cycles = $ENV{WAFCERT_CYCLES} // (under_valgrind() ? 100 : 5_000);

my $server = Wafcert::Server->new(size => '512k');


# Until there is no room, one after the other: their ids.
sub fill {
    my ($name, $pair) = @_;

    my ($refused, @ids);

    $server->load(1, sub {
        return if $refused;
        return [ POST => '',
                 upload(sprintf('%s-%05d', $name, scalar @ids), $pair) ];
    }, sub {
        my ($request, $answer) = @_;

        if ($answer->{status} == 200) {
            push @ids, $answer->json->{id};
        } else {
            $refused = $answer;
        }
    });

    return ($refused, @ids);
}


sub empty {
    my (@ids) = @_;

    my $failed = 0;

    $server->load(8, sub { @ids ? [ DELETE => '/' . pop @ids ] : undef },
                  sub { $failed++ if $_[1]{status} != 200 });

    return $failed;
}


my ($refused, @ids) = fill('full');
my $room = @ids;

# what pieces are left may yet do for another kind
my (undef, @others) = fill('others', 'rsa');

diag("512k have room for $room certificates");
cmp_ok($room, '>', 100, 'a zone has room for many');
is($refused->verdict, '403 zone_full', 'until it is full');
is($refused->json->{error_code}, 'WAF.00022005', 'which is about the quota');

my $broken = 0;

$server->load(4, do { my @all = @ids; sub {
    my $id = shift @all or return;
    return [ GET => "/$id" ];
} }, sub {
    my ($request, $answer) = @_;
    $broken++ unless $answer->{status} == 200
                     && '/' . $answer->json->{id} eq $request->[1]
                     && $answer->json->{content} =~ /END CERTIFICATE/;
});
is($broken, 0, 'all that were stored before are shown');

is($server->request(GET => '')->json->{total}, $room + @others,
   'and listed');

my $name = sprintf 'full-%05d', $room;

is($server->request(POST => '', upload('full-00000'))->json->{id}, $ids[0],
   'a create that repeats one is still answered');
is($server->request(POST => '', upload('full-00000', 'rsa'))->verdict,
   '400 name_duplicate', 'a name clash is judged before memory');
is($server->request(POST => '?dry_run=true', upload($name))->verdict,
   '403 zone_full', 'dry_run tells the same');

# longer than any for which there was no room
my $modified = $server->request(PUT => "/$ids[1]",
                                upload('full-00001-' . 'x' x 40, 'rsa'));
my $shown = $server->request(GET => "/$ids[1]")->json;

is($modified->verdict, '403 zone_full', 'a modify needs room for both');
is($shown->{cert_type}, 'EC-P-256', 'and leaves the old one');
is($shown->{revision}, 1, 'as it was');

is(empty(splice @ids, 0, 40), 0, 'deletes need no room');

my $again = $server->request(POST => '', upload($name));

is($again->verdict, 200, 'and make some: what was refused is taken');
push @ids, $again->json->{id};

is($server->request(PUT => "/$ids[0]", upload('x', 'rsa'))->verdict, 200,
   'a modify is, too');

is(empty(@ids, @others), 0, 'all are deleted');
is($server->request(GET => '')->json->{total}, 0, 'nothing is listed');

($refused, @ids) = fill('full');
is(scalar @ids, $room, 'there is as much room as at first');


# What lies between others leaves holes when it goes.
empty(grep { defined } @ids[map { 2 * $_ } 0 .. $room / 2]);
@ids = grep { defined } @ids[map { 2 * $_ + 1 } 0 .. $room / 2];
is($server->request(GET => '')->json->{total}, scalar @ids,
   'every other one is deleted');

my ($more, @more) = fill('hole');
cmp_ok(scalar(@more), '>=', $room - @ids - 5, 'the holes are filled');
is(empty(@ids, @more), 0, 'all are deleted');


# Several of different sizes are there at a time, made and deleted by any of
# the workers.
sub cycle {
    my ($n) = @_;

    my ($created, $failed, @delete) = (0, 0);

    $server->load(8, sub {
        return [ DELETE => '/' . shift @delete ]
            if @delete && (@delete > 20 || $created == $n);

        return if $created == $n;

        my $name = 'n' x (1 + $created * 37 % 200) . "-$created";
        return [ POST => '', upload($name, $created++ % 3 ? 'ec' : 'rsa') ];
    }, sub {
        my ($request, $answer) = @_;

        if (!$answer || $answer->{status} != 200) {
            $failed++;
        } elsif ($request->[0] eq 'POST') {
            push @delete, $answer->json->{id};
        }
    });

    # those that the last answers were about
    my %stored = $server->stored;
    return $failed + empty(values %stored);
}


is(cycle($cycles / 10), 0, 'create and delete, to warm up');
my $before = $server->memory_of_all;

is(cycle($cycles), 0, "$cycles times");
my $after = $server->memory_of_all;

diag("workers: $before kB before, $after kB after $cycles cycles");

SKIP: {
    skip 'what is freed is kept', 1 if under_valgrind() || under_asan();
    cmp_ok($after - $before, '<', 512, 'workers have not grown');
}

($refused, @ids) = fill('full');
is($refused->verdict, '403 zone_full', 'the zone is filled again');
is(scalar @ids, $room, 'with as many certificates as at first');

$server->ends_well;
done_testing;
