#!/usr/bin/perl

# A worker is killed after exactly so many instructions of a change, anywhere
# between two of them, while another one may have a change under way.  Nothing
# that was answered is lost, the change was made or not, and the zone has as
# much room as before.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use Wafcert::Server;
use Wafcert::Step;

my $kills = $ENV{WAFCERT_KILLS} // 40;

my $server = Wafcert::Server->new(
    size => '256k', workers => 2,
    server => <<'END'
wafcert_return_key always;

location /iam/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
}

location = /iam {
    return 200 '{"token": {"project": {"id": "project"},
                           "roles": [{"name": "member"}],
                           "expires_at": "2999-12-31T23:59:59Z"}}';
}
END
);

my ($worker) = $server->workers;
my $refused = Wafcert::Step::refused($worker);
plan skip_all => $refused if $refused;

seeded();


# What is stored, by id: name and pair; and what a change makes of it.
my (%kept, $names);

sub change {
    my ($kind) = @_;

    my @ids = sort keys %kept;
    my $id = $ids[rand @ids];
    my ($name, $pair) = split ' ', $kept{$id};
    my $new = 'n' . ++$names;

    return { kind => $kind, was => 'gone', will => "$new $pair", name => $new,
             request => [ POST => '', upload($new, $pair) ] }
        if $kind eq 'create';

    return { kind => $kind, was => 'gone', will => 'gone', name => $new,
             request => [ POST => '?dry_run=true', upload($new, $pair) ] }
        if $kind eq 'try';

    # by a token that is not known yet
    return { kind => $kind, was => 'gone', will => 'gone', name => $new,
             request => [ GET => '//iam' . Wafcert::Server::API, undef,
                          "X-Auth-Token: $new" ] }
        if $kind eq 'list';

    my %of = (kind => $kind, was => $kept{$id}, id => $id);

    return { %of, will => 'gone', request => [ DELETE => "/$id" ] }
        if $kind eq 'delete';

    return { %of, will => "$new $pair", name => $new,
             request => [ PUT => "/$id", qq({"name": "$new"}) ] }
        if $kind eq 'rename';

    my $other = $pair eq 'rsa' ? 'ed' : 'rsa';

    return { %of, will => "$name $other",
             request => [ PUT => "/$id", upload($name, $other) ] };
}


sub made {
    my ($change) = @_;

    if ($change->{will} eq 'gone') {
        delete $kept{$change->{id}} if $change->{id};
    } else {
        $kept{$change->{id}} = $change->{will};
    }
}


my %pair_of = map {
    my $pair = $_;
    join('', map { Wafcert::Fixtures::text("$pair.$_") } qw(chain key)) => $pair
} qw(rsa ec ed);

sub look {
    my ($id) = @_;

    my $answer = $server->request(GET => "/$id");
    return 'gone' if $answer->verdict eq '404 not_found';
    return $answer->verdict if $answer->{status} != 200;

    my $shown = $answer->json;
    my $pair = $pair_of{"$shown->{content}$shown->{key}"} // 'broken';

    return "$shown->{name} $pair";
}


# What is wrong after the change was cut off.
sub faults {
    my ($change) = @_;

    my @faults;
    my $start = time;

    my %stored = $server->stored;
    $change->{id} //= $stored{$change->{name}};

    my $is = $change->{id} ? look($change->{id}) : 'gone';

    push @faults, "is '$is', not '$change->{was}' or '$change->{will}'"
        unless $is eq $change->{was} || $is eq $change->{will};

    # whatever it is, it can be asked for again
    my $again = $server->request(@{$change->{request}});

    push @faults, 'again: ' . $again->verdict
        unless $again->{status} == 200
               || $change->{kind} eq 'delete' && $is eq 'gone'
                  && $again->{status} == 404;

    $change->{id} = $again->json->{id} if $change->{kind} eq 'create';
    made($change);

    for my $id (sort keys %kept) {
        my $is = look($id);
        push @faults, "$id is '$is', not '$kept{$id}'" if $is ne $kept{$id};
    }

    %stored = $server->stored;
    my $listed = join ' ', sort keys %stored;
    my $wanted = join ' ', sort map { (split)[0] } values %kept;

    push @faults, "listed: $listed, not: $wanted" if $listed ne $wanted;

    # the index of hosts
    for my $pair (qw(rsa ec ed)) {
        for my $host ("$pair.example.com", "any.$pair.example.com") {
            my $answer = $server->request(GET => "?serves=$host");
            my $served = join ' ', sort map { $_->{name} }
                                            @{$answer->json->{items}};
            my $of = join ' ', sort map { /(.*) $pair$/ ? $1 : () }
                                        values %kept;

            push @faults, "$host: $served, not: $of" if $served ne $of;
        }
    }

    # who waits for what a dead one has left waits for 30 seconds
    push @faults, 'slow' if time - $start > 25;

    return @faults;
}


# The function that is stepped through, and the change that calls it.
my @cases = map {
    my $kind = $_;
    map { [ "store_$_", $kind ] } 'reserve', $kind eq 'try' ? 'cancel'
                                                            : 'publish'
} qw(create rename renew delete try);

push @cases, [ tokens_add => 'list' ];

my %length;

sub kill_in {
    my ($function, $kind, $part) = @_;

    my ($other, $victim) = sort { rand() <=> 0.5 } $server->workers;
    my ($held, $held_socket, $held_change);

    # the other one has its change reserved
    if (rand() < 0.3) {
        $held_change = change((qw(create rename delete))[rand 3]);
        freeze($server, $victim);
        $held = stop_at($other, 'store_publish');
        $held_socket = $server->send(@{$held_change->{request}});
        stopped_after($held);
        kill CONT => $victim;
    } else {
        freeze($server, $other);
    }

    my $change;

    do {
        $change = change($kind);
    } while ($held_change && $change->{id} && $held_change->{id}
             && $change->{id} eq $held_change->{id});

    my $count = int($part * $length{"$function $kind"});
    my $stop = stop_at($victim, $function, $count);
    my $socket = $server->send(@{$change->{request}});

    $count = stopped_after($stop);
    release($stop, 'kill');

    my @faults;

    push @faults, 'there was an answer'
        if Wafcert::Server::read_answer($socket);

    $server->wait_for('a new worker', sub {
        my @workers = $server->workers;
        return @workers == 2 && !grep { $_ == $victim } @workers;
    });

    if ($held) {
        release($held, 'go');

        my $answer = Wafcert::Server::read_answer($held_socket);
        my $verdict = $answer ? $answer->verdict : 'no answer';

        push @faults, "the other's $held_change->{kind}: $verdict"
            unless $verdict eq '200';

        $held_change->{id} //= $answer->json->{id} if $answer;
        made($held_change);
    } else {
        kill CONT => $other;
    }

    push @faults, faults($change);

    return map { "$kind, $count instructions of $function"
                 . ($held ? " beside a $held_change->{kind}" : '')
                 . ": $_\n" } @faults;
}


# How long a function is, learnt from one call.
sub length_of {
    my ($function, $kind) = @_;

    my ($other, $victim) = $server->workers;
    my $change = change($kind);

    freeze($server, $other);
    my $stop = stop_at($victim, $function, 1e6);
    my $socket = $server->send(@{$change->{request}});
    my $length = stopped_after($stop);

    release($stop, 'go');
    Wafcert::Server::read_answer($socket);
    kill CONT => $other;

    my @faults = faults($change);
    is("@faults", '', "$kind: $function has $length instructions");

    return $length;
}


sub fill {
    my @ids;

    for ( ;; ) {
        my $answer = $server->request(POST => '', upload('fill' . @ids));
        return @ids if $answer->verdict eq '403 zone_full';

        push @ids, $answer->json->{id} // die $answer->verdict . "\n";
    }
}


sub empty {
    my (@ids) = @_;

    return scalar grep {
        $server->request(DELETE => "/$_")->{status} != 200
    } @ids;
}


my @full = fill();
is(empty(@full), 0, 'the zone has room for ' . @full . ' certificates');

for my $i (1 .. 12) {
    my $pair = (qw(rsa ec ed))[$i % 3];
    my $id = $server->request(POST => '', upload("n$i", $pair))->json->{id};
    $kept{$id} = "n$i $pair";
}

$names = 12;
$length{"@$_"} = length_of(@$_) for @cases;

my $rounds = int(($kills + $#cases) / @cases);
my @faults;

ROUND: for my $round (0 .. $rounds - 1) {
    for my $case (@cases) {
        @faults = kill_in(@$case, ($round + rand) / $rounds);
        last ROUND if @faults;

        # to go on from
        if (keys %kept < 6) {
            my $change = change('create');
            $change->{id} =
                $server->request(@{$change->{request}})->json->{id};
            made($change);
        }
    }
}

is(join('', @faults), '', 'each change was made or not, and nothing else');

my $log = $server->log;
my $killed = () = $log =~ /exited on signal 9/g;
my $locked = () = $log =~ /was locked by/g;
my $repaired = () = $log =~ /a process died while it changed zone/g;
my $cancelled = () = $log =~ /cancelled \d+ changes/g;

is($killed, $rounds * @cases, "$killed workers were killed");
diag("$killed killed, $locked had the lock, $repaired repairs, "
     . "$cancelled cancelled");
unlike($log, qr/were lost/, 'no certificate was lost');

is(empty(keys %kept), 0, 'all can be deleted');
cmp_ok(abs(fill() - @full), '<=', 2, 'the zone has room for as many');

$server->ends_well(qr/exited on signal 9/, qr/was locked by/,
                   qr/a process died while it changed zone/);
done_testing;
