#!/usr/bin/perl

# Two nginx on one state directory, and one worker that is slow to read there
# what the other nginx has changed: by the time that it knows, more has happened.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;

plan skip_all => 'valgrind is not what would be started'
    if Wafcert::Server::under_valgrind();

my $disk = Wafcert::Disk->new;
my $server = Wafcert::Server->new(
    size => '1m', state => 'state', workers => 2, daemon => 1,
    main => 'env LD_PRELOAD; env WAFCERT_DISK;',
    api => 'wafcert_auth off; wafcert_quota 4;', $disk->env
);

my ($other) = map { $_->json->{id} } $server->create(1, 'other', 'ed');
my $id = $server->request(POST => '', upload('first', 'ec'))->json->{id};

# All that follows is about the first nginx's changes, and what two workers of
# the second make of them: there is a connection to each.
my $old = $server->upgrade;
my ($writer, $locker) = $server->workers($old);
my ($slow, $quick) = $server->workers($server->{master});
my %connection;

$server->wait_for('a connection to each worker', sub {
    my $socket = $server->socket;

    ask($socket, GET => '');
    my $worker = Wafcert::Server::read_answer($socket)->{headers}{'x-worker'};
    $connection{$worker} //= $socket;

    return keys %connection == 4;
});


sub ask {
    my ($socket, @request) = @_;

    Wafcert::Server::write_all($socket,
                               Wafcert::Server::wire(@request[0 .. 2]));
}

sub by {
    my ($worker, @request) = @_;

    ask($connection{$worker}, @request) if @request;
    return Wafcert::Server::read_answer($connection{$worker});
}

# While the directory's lock is held by another change, a worker reads a
# record, and is held with what it has read.
sub held {
    my ($id) = @_;

    $disk->set(rename => 'hold', 1, $other);
    ask($connection{$locker}, PUT => "/$other",
        '{"name": "other-' . ++$server->{number} . '"}');
    $disk->wait_for(rename => 1);

    $disk->set(read => 'hold', 1, $id);
    ask($connection{$slow}, GET => "/$id");
    $disk->wait_for(read => 1);

    $disk->mend('rename');
    by($locker);
}

sub go_on {
    $disk->mend;
    by($slow);
}


# a change, and another one before it is known

is(by($writer, PUT => "/$id", '{"name": "second"}')->verdict, 200, 'a change');

held($id);

is(by($writer, PUT => "/$id", '{"name": "third"}')->verdict, 200,
   'another one, while the first is about to be known');
is(by($quick, GET => "/$id")->json->{name}, 'third', 'which is known at once');

go_on();

is(by($quick, GET => "/$id")->json->{name}, 'third',
   'and still when the slow one has gone on');
is(by($slow, GET => "/$id")->json->{name}, 'third', 'for which it is the same');


# a new one that is deleted before it is known

my $new = by($writer, POST => '', upload('new', 'rsa'))->json->{id};

held($new);

is(by($quick, GET => "/$new")->verdict, 200, 'a new one is known');
is(by($writer, DELETE => "/$new")->verdict, 200, 'it is deleted');
is(by($quick, GET => "/$new")->verdict, '404 not_found', 'which is known, too');

go_on();

is(by($quick, GET => "/$new")->verdict, '404 not_found',
   'it does not come back');


# a new one that has another name before it is known

$new = by($writer, POST => '', upload('new', 'rsa'))->json->{id};

held($new);

is(by($writer, PUT => "/$new", '{"name": "newer"}')->verdict, 200,
   'a new one, and a change of it');
is(by($quick, GET => "/$new")->json->{name}, 'newer', 'are known');

go_on();

is(by($quick, GET => "/$new")->json->{name}, 'newer', 'and stay so');
my %stored = $server->stored;
is(join(' ', sort keys %stored),
   "newer other-$server->{number} third", 'each is there once');



# the last one that the quota allows, from both at once

$disk->set(fsync => 'hold', 1);
ask($connection{$quick}, POST => '', upload('fourth', 'ed'));
$disk->wait_for(fsync => 1);

is(by($writer, POST => '', upload('fifth', 'rsa'))->verdict, 200,
   'the last one that the quota allows');

$disk->mend;

is(by($quick)->verdict, '403 quota',
   'is no other nginx\'s, which was about to store one, too');

done_testing();
