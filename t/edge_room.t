#!/usr/bin/perl

# A small zone of an edge that other projects fill while the WAF is asked: what
# was judged before has room, and gives it back whatever becomes of it.

use strict;
use warnings;

use File::Temp ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::Step ();
use Wafcert::Upstream qw(http);

my $go = File::Temp::tempdir(CLEANUP => 1);

# The id and the status are the client's choice.  One that says X-Wait has its
# answer when there is a file of this name.
my $waf = Wafcert::Upstream->new(default => sub {
    my ($socket, $request) = @_;

    my ($wait) = $request =~ /^X-Wait: (\w+)/m;
    my ($id) = $request =~ /^X-Id: (\w+)/m;
    my ($status) = $request =~ /^X-Status: (\d+)/m;

    while ($wait && !-e "$go/$wait") {
        sleep 0.01;
    }

    Wafcert::Server::write_all($socket, http($status // 200,
                                             $status ? '{}' : qq({"id":"$id"})));
    return 1;
});

my $server = Wafcert::Server->new(
    workers => 1, level => 'info',
    http => 'wafcert_zone zone=edge:128k; wafcert_zone zone=many:256k;',
    server => <<"END"
        location /edge/ {
            access_log logs/access.log;
            wafcert_validate zone=edge record=on;
            wafcert_auth off;
            proxy_pass http://127.0.0.1:$waf->{port}/;
        }

        location /quota/ {
            wafcert_validate zone=edge record=on;
            wafcert_auth off;
            wafcert_quota 1;
            proxy_pass http://127.0.0.1:$waf->{port}/;
        }

        location /size/ {
            wafcert_validate zone=edge record=on;
            wafcert_auth off;
            wafcert_quota 2 1k;
            proxy_pass http://127.0.0.1:$waf->{port}/;
        }

        location /bytes/ {
            wafcert_validate zone=edge record=on;
            wafcert_auth off;
            wafcert_quota 9 5k;
            proxy_pass http://127.0.0.1:$waf->{port}/;
        }

        location /many/ {
            wafcert_validate zone=many record=on;
            wafcert_auth off;
            proxy_pass http://127.0.0.1:$waf->{port}/;
        }

        location /known_many/ {
            wafcert_api zone=many write=off;
            wafcert_auth off;
        }

        location /open/ {
            wafcert_validate zone=edge record=on;
            proxy_pass http://127.0.0.1:$waf->{port}/;
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
END
);

my $ids = 0;
my %others;
my %known = (edge => 'known', many => 'known_many');


sub path {
    my ($where, $project, $rest) = @_;

    return "//$where/v1/$project/waf/certificate" . ($rest // '');
}

sub new_id { return sprintf '%032x', ++$ids }

sub known {
    my ($project, $id, $where) = @_;

    return $server->request(GET => path($where // 'known', $project, "/$id"))
           ->json->{fingerprint} // '';
}

sub knows {
    my ($project, $id, $where) = @_;

    for (1 .. 3000) {
        return 1 if known($project, $id, $where);
        sleep 0.02;
    }

    return 0;
}

sub failures { return scalar(() = $server->log =~ /could not record/g) }


# Others' certificates, until there is no room: how many there was room for.
sub fill {
    my ($pair, $where) = @_;

    $where //= 'edge';

    my $n = 0;
    my $failures = failures();

    while () {
        my $id = new_id();

        $server->request(POST => path($where, 'others'),
                         upload("o$id", $pair // 'rsa'), "X-Id: $id");

        $server->wait_for('what is recorded', sub {
            failures() > $failures || known('others', $id, $known{$where})
        });
        last if failures() > $failures;

        push @{$others{$where}}, $id;
        $n++;
    }

    return $n;
}

# Lets go of the last of them.
sub release {
    my ($n, $where) = @_;

    $where //= 'edge';
    forget($where, 'others', splice @{$others{$where}}, -$n);
}

sub forget {
    my ($where, $project, @ids) = @_;

    for my $id (@ids) {
        $server->request(DELETE => path($where, $project, "/$id"), undef,
                         "X-Id: $id");
        $server->wait_for('what is dropped', sub {
            !known($project, $id, $known{$where})
        });
    }
}

# Sends an upload, and returns when the WAF has it.
sub asked {
    my ($wait, $where, @rest) = @_;

    $waf->requests;
    my $socket = $server->send(@rest, "X-Wait: $wait");
    $server->wait_for('the WAF', sub { $waf->requests });

    return $socket;
}

sub answered {
    my ($wait, $socket) = @_;

    open my $file, '>', "$go/$wait" or die;
    return Wafcert::Server::read_answer($socket)->{status};
}


# A renewal.

my $victim = new_id();

$server->request(POST => path('edge', 'victim'), upload('www', 'rsa'),
                 "X-Id: $victim");
ok(knows('victim', $victim), 'a certificate is recorded');

my $old = known('victim', $victim);

my @sockets;
my $socket = asked('renewal', 'edge', PUT => path('edge', 'victim', "/$victim"),
                   upload('www', 'renewed'), "X-Id: $victim");

cmp_ok(fill(), '>', 5, 'others fill the zone while the WAF is asked');

is(answered('renewal', $socket), 200, 'the WAF accepts a renewal');

for (1 .. 500) {
    last if known('victim', $victim) ne $old;
    sleep 0.02;
}

isnt(known('victim', $victim), $old, 'which is in force');
unlike($server->log, qr/could not record .* project "victim"/,
       'and nothing else is said');

fill();


# What the WAF refuses, what the client does not wait for, and what a worker
# leaves that is killed: the same number fits again.  An upload may be refused
# by its token too, and with none that is judged here it takes no room.

release(6);
my $room = fill();

cmp_ok($room, '>', 4, 'there is room for some more');
release($room);

my $id = new_id();
my @upload = (POST => path('edge', 'victim'), upload('new', 'rsa'),
              "X-Id: $id");

$socket = asked('refused', 'edge', @upload, 'X-Status: 403');
my $less = fill();
cmp_ok($less, '<', $room, 'one that the WAF is asked for has room');
is(answered('refused', $socket), 403, 'until it is refused');
is($less + fill(), $room, 'then others have it');
release($room);

$socket = asked('gone', 'edge', @upload);
setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
close $socket;
$server->wait_for('the end of a request', sub {
    Wafcert::Fixtures::read_file("$server->{prefix}/logs/access.log")
        =~ /" 499 /
});
is(fill(), $room, 'others have it when the client is gone');
release($room);

$socket = asked('killed', 'edge', @upload);
my ($worker) = $server->workers;
kill KILL => $worker;
$server->wait_for('a new worker', sub {
    my @workers = $server->workers;
    @workers == 1 && $workers[0] != $worker
});
is(fill(), $room, 'and when the worker is killed');
release($room);

$socket = asked('open', 'open', POST => path('open', 'victim'),
                upload('new', 'rsa'), "X-Id: $id");
is(fill(), $room, 'one whose token nobody has judged has none');
release($room);
answered('open', $socket);
ok(knows('victim', $id), 'but is recorded where there is some');
$server->request(DELETE => path('edge', 'victim', "/$id"), undef, "X-Id: $id");
$server->wait_for('what is dropped', sub { !known('victim', $id) });


# What a reload, and a repair of the zone, make of it.

$socket = asked('reload', 'edge', @upload);
ok($server->reload, 'a reload');
is(fill(), $less, 'an old worker keeps its room');
is(answered('reload', $socket), 200, 'until the WAF accepts');
ok(knows('victim', $id), 'which is recorded');
$server->request(DELETE => path('edge', 'victim', "/$id"), undef, "X-Id: $id");
$server->wait_for('what is dropped', sub { !known('victim', $id) });
release($less);
$server->settle;

my $refused = Wafcert::Step::refused($server->workers);

SKIP: {
    skip $refused, 5 if $refused;

    my %old = map { $_ => 1 } $server->workers;

    $socket = asked('repair', 'edge', @upload);
    $server->reload;

    my ($new) = grep { !$old{$_} } $server->workers;

    # the old one must not get what is sent to the new one
    $server->wait_for('the old worker takes no connection', sub {
        grep { $old{$_} }
             $server->log =~ /(\d+)#\d+: gracefully shutting down$/mg;
    });
    $server->request(GET => '//');

    my $stop = Wafcert::Step::stop_at($new, 'store_put', 1000);
    my $killed = new_id();
    my $last = $server->send(POST => path('edge', 'others'),
                             upload("o$killed", 'rsa'), "X-Id: $killed");

    Wafcert::Step::stopped_after($stop);
    Wafcert::Step::release($stop, 'kill');
    $server->wait_for('a new worker', sub {
        my @workers = $server->workers;
        @workers == 2 && !grep { $_ == $new } @workers;
    });

    is(fill(), $room, 'a repair of the zone takes all rooms');
    like($server->log, qr/was made again, nothing is lost/, 'there was one');
    release(1);
    is(answered('repair', $socket), 200, 'what had one is accepted');
    ok(knows('victim', $id), 'and recorded where there is some');
    $server->request(DELETE => path('edge', 'victim', "/$id"), undef,
                     "X-Id: $id");
    $server->wait_for('what is dropped', sub { !known('victim', $id) });
    $server->settle;
    is(fill(), 1, 'and nothing is left of it');
    release($room);
}


# A renewal that takes no more than before, where the quota is used up.

release(6);

my $same = new_id();
@upload = (PUT => path('edge', 'victim', "/$same"), upload('same', 'rsa'),
           "X-Id: $same");

$server->request(POST => path('edge', 'victim'), upload('same', 'renewed'),
                 "X-Id: $same");
ok(knows('victim', $same), 'another certificate');

$old = known('victim', $same);
$socket = asked('same', 'size', PUT => path('size', 'victim', "/$same"),
                @upload[2, 3]);
$less = fill();
is(answered('same', $socket), 200, 'with its quota used up, one is renewed');
$server->wait_for('what is recorded', sub {
    known('victim', $same) ne $old
        || $server->log =~ /could not record .* project "victim"/
});
isnt(known('victim', $same), $old, 'which has room, for it takes no more');
release($less);


# One certificate has one room, and a name that is not sent has its room, too.

$room = fill();
release($room);
@sockets = map { asked('again', 'edge', @upload) } 1 .. 4;
is(fill(), $room - 1, 'a certificate has one room at a time');
answered('again', $_) for @sockets;
release($room - 1);

my %named = map { sprintf('%s%02d', 'n' x 254, $_) => new_id() } 1 .. 40;

$server->request(POST => path('many', 'named'), upload($_, 'ed'),
                 "X-Id: $named{$_}") for keys %named;
ok(knows('named', $_, 'known_many'), 'one with a long name')
    for values %named;

# How many there is room for beside changes of all of these.
sub room_beside {
    my ($wait, $edit) = @_;

    my @sockets = map {
        asked($wait, 'many', PUT => path('many', 'named', "/$named{$_}"),
              $edit->(upload($_, 'ed')), 'X-Status: 403')
    } sort keys %named;
    my $n = fill('ed', 'many');

    answered($wait, $_) for @sockets;
    release($n, 'many');

    return $n;
}

# the zone's pages are for chunks of other sizes before
room_beside('first', sub { $_[0] });

my $beside = room_beside('named', sub { $_[0] });
cmp_ok($beside, '>', 5, 'there is room beside others');

is(room_beside('unnamed', sub { $_[0] =~ s/"name": "\w+", //r }), $beside,
   'a name that stays has room');
is(room_beside('renamed', sub { $_[0] =~ s/, "content.*/}/r }), $beside,
   'so has a pair that does');

forget('many', 'named', values %named);

$server->request(DELETE => path('edge', 'victim', "/$same"), undef,
                 "X-Id: $same");


# A quota: what is beyond it has no room.  A change of what is not known here
# makes it, too.

$room = fill();
release($room);

for ([ qw(quota POST) ], [ qw(quota PUT) ], [ qw(bytes POST) ]) {
    my ($where, $method) = @$_;
    my $project = lc "$where-$method";
    my @ids = map { new_id() } 1 .. 3;

    @sockets = map {
        asked("${where}_${method}_$_", $where,
              $method => path($where, $project,
                              $method eq 'PUT' ? "/$ids[$_]" : ''),
              upload("q$_", 'rsa'), "X-Id: $ids[$_]")
    } 0 .. 2;

    my $taken = fill();
    is($taken, $room - 1,
       "$where, $method: a project has room for as many as it may have");

    answered("${where}_${method}_0", $sockets[0]);
    ok(knows($project, $ids[0]), 'which are recorded');
    answered("${where}_${method}_$_", $sockets[$_]) for 1, 2;
    $server->wait_for('a line of the log', sub {
        2 == (() = $server->log
                   =~ /could not record .*: quota, project "$project"/g)
    });
    pass('and no more are');

    release($taken);
    forget('edge', $project, $ids[0]);
}


# The first certificate of a project has room for that as well.  A page of the
# zone is for no more than 16 of these.

release(scalar @{$others{edge}});

my %firsts = map { sprintf('new%061d', $_) => new_id() } 1 .. 17;

@sockets = map {
    asked('firsts', 'edge', POST => path('edge', $_), upload('first', 'rsa'),
          "X-Id: $firsts{$_}")
} sort keys %firsts;

fill();

my $failures = failures();

answered('firsts', $_) for @sockets;
$server->wait_for('what is recorded', sub {
    failures() > $failures
        || !grep { !known($_, $firsts{$_}) } keys %firsts
});
is(failures(), $failures, 'so have the first certificates of projects');

# As many as have room, and one more: that takes what there is.

sub many {
    my ($wait) = @_;

    my $id = new_id();
    my @upload = (POST => path('many', 'busy'), upload("m$id", 'ed'),
                  "X-Id: $id");

    return $wait ? [ $id, asked($wait, 'many', @upload) ]
                 : [ $id, $server->request(@upload)->{status} ];
}

sub is_known { return known('busy', $_[0][0], 'known_many') }

my @rooms = map { many('many') } 1 .. 64;
my $more = many();

is($more->[1], 200, 'one more than have room is sent to the WAF');
ok(knows('busy', $more->[0], 'known_many'), 'and recorded');

$failures = failures();
my $late = many('late');

while (failures() == $failures) {
    my $next = many();
    $server->wait_for('what is recorded', sub {
        failures() > $failures || is_known($next)
    });
}

is(answered('late', $late->[1]), 200, 'when the zone is full, too');
$server->wait_for('a line of the log', sub { failures() == $failures + 2 });
like($server->log, qr/could not record .*: zone_full, project "busy"/,
     'and the log says that it is not recorded');
ok(!is_known($late), 'which it is not');

answered('many', $_->[1]) for @rooms;
$server->wait_for('what is recorded', sub {
    failures() > $failures + 2 || !grep { !is_known($_) } @rooms
});
is(failures(), $failures + 2, 'but all that have room');

undef $waf;
$server->stop;

done_testing;
