#!/usr/bin/perl

# Many clients at once, over four workers: each story has one winner.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;

use constant CLIENTS => 100;

my $rounds = under_valgrind() ? 1 : 5;

# with reuseport the kernel spreads the connections evenly
my $server = Wafcert::Server->new(listen => 'reuseport');


sub tally {
    my %count;
    $count{$_ ? $_->verdict : 'closed'}++ for @_;

    return join ', ', map { "$count{$_} x $_" } sort keys %count;
}


my (%ids, %workers);

my @answers = $server->at_once(map { [ POST => '', upload('same') ] }
                                   1 .. CLIENTS);

is(tally(@answers), CLIENTS . ' x 200', 'identical creates are all accepted');

$ids{$_->json->{id}} = 1 for @answers;
is(scalar keys %ids, 1, 'and all are told the same id');

$workers{$_->{headers}{'x-worker'}} = 1 for @answers;
is(scalar keys %workers, 4, 'by four workers');

my $list = $server->request(GET => '')->json;
is($list->{total}, 1, 'there is one certificate');

my ($id) = keys %ids;
is($list->{items}[0]{id}, $id, 'with that id');

is($server->request(GET => "/$id")->json->{revision}, 1, 'and revision 1');


for my $round (1 .. $rounds) {
    my $etag = $server->request(GET => "/$id")->{headers}{etag};

    @answers = $server->at_once(map {
        [ PUT => "/$id", qq({"name": "name-$round-$_"}), "If-Match: $etag" ]
    } 1 .. CLIENTS);

    is(tally(@answers), '1 x 200, ' . (CLIENTS - 1)
                        . ' x 412 revision_mismatch',
       "of modifies with If-Match: $etag, one is accepted");

    my ($winner) = grep { $_->{status} == 200 } @answers;
    my $shown = $server->request(GET => "/$id");

    is($shown->json->{name}, $winner->json->{name}, 'and it is what is shown');
    is($shown->json->{revision}, $round + 1, 'with the next revision');
}


# without If-Match no modify is lost: each is one revision
@answers = $server->at_once(map { [ PUT => "/$id", qq({"name": "any-$_"}) ] }
                                1 .. CLIENTS);
is(tally(@answers), CLIENTS . ' x 200', 'modifies without If-Match');

my %revisions = map { $_->json->{revision} => $_->json->{name} } @answers;
is(scalar keys %revisions, CLIENTS, 'have a revision each');

my ($last) = sort { $b <=> $a } keys %revisions;
is($server->request(GET => "/$id")->json->{name}, $revisions{$last},
   'and the last one is shown');


for my $round (1 .. 4 * $rounds) {
    @answers = $server->at_once(
        map { [ POST => '', upload("two-$round", $_) ] } qw(ec rsa));

    is(tally(@answers), '1 x 200, 1 x 400 name_duplicate',
       'two different certificates under one name');

    my ($winner) = grep { $_->{status} == 200 } @answers;
    my ($loser) = grep { $_->{status} == 400 } @answers;

    like($loser->json->{hint}, qr/\b\Q@{[$winner->json->{id}]}\E\b/,
         'the hint has the id of the one');
}


# the name that a modify gives up, and the one that it takes
@answers = $server->at_once(map { ([ PUT => "/$id", '{"name": "left"}' ],
                                   [ POST => '', upload('left', 'rsa') ]) }
                                1 .. 10);
my %named;
push @{$named{$_->{name}}}, $_->{id}
    for @{$server->request(GET => '')->json->{items}};

is(scalar @{$named{left}}, 1, 'a name is taken once, by create or by modify');
is(join(' ', grep { @{$named{$_}} > 1 } keys %named), '',
   'no name stands twice');


@answers = $server->at_once(map { [ DELETE => "/$id" ] } 1 .. CLIENTS);
is(tally(@answers), '1 x 200, ' . (CLIENTS - 1) . ' x 404 not_found',
   'one of many deletes finds it');

$server->ends_well;
done_testing;
