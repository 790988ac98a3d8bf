#!/usr/bin/perl

# Reloads and binary upgrades with a state directory: what happens to what is
# in the zone, and to what is in the directory.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

my $server = Wafcert::Server->new(
    size => '1m', state => 'state', workers => 2,
    daemon => !under_valgrind(), server => 'wafcert_return_key always;'
);
my $prefix = $server->{prefix};

my @id = map { $_->json->{id} } map { $server->create(10, "$_-", $_) }
                                    qw(rsa ec ed);
$server->request(PUT => "/$id[3]", '{"name": "renamed"}');
$server->request(DELETE => '/' . pop @id);

my $shown = $server->snapshot;
my $files = $server->files;


# Reloads, and tells what comes of it.
sub reloads {
    my ($what, %conf) = @_;

    $server->configure(%conf);
    $server->settle;
    $server->news;

    ok($server->reload, "$what: taken");
    $server->settle;
    $server->shows($shown, 'what clients see is the same');
}

# Tries to, and is left as it was.
sub is_refused {
    my ($what, $why, %conf) = @_;

    my %was = map { $_ => $server->{$_} } keys %conf;
    my $there = $server->files('state');

    $server->settle;
    $server->configure(%conf);
    $server->news;
    ok(!$server->reload, "$what: refused");
    like(join('', $server->news_like(qr/\[emerg\]/)), $why, 'in words');

    $server->configure(%was);
    $server->shows($shown, 'what clients see is the same');
    $server->keeps($there, 'and what there is in files', 'state');

    my $answer = $server->request(POST => '', upload('more', 'ec'));
    is($answer->verdict, 200, 'uploads are taken');

    my $id = $answer->json->{id};
    is(-e $server->record($id) ? 1 : 0, $server->{state} ? 1 : 0,
       'and stored where they were before') if $server->{state};
    is($server->request(DELETE => "/$id")->verdict, 200, 'and deleted');
    $server->shows($shown, 'and all is as before');
}

sub starts_again {
    $server->kill_all;
    $server->start;
    $server->shows($shown, 'and after SIGKILL and a start');
}


# The same directory.

reloads('the same');
unlike($server->news, qr/loaded|refused/, 'nothing is read');
$server->keeps($files, 'nor written');

reloads('another size', size => '2m');
unlike($server->news, qr/loaded|refused/, 'nothing is read');
$server->keeps($files, 'nor written');

is_refused('a size that is too small', qr/too small/, size => '64k');

$server->seal_key('other.key');
is_refused('another seal key', qr/other\.key|seal key/,
           seal_key => 'other.key');
starts_again();

is_refused('no seal key', qr/seal_key/, state => '',
           zone => 'state=state');
$server->configure(zone => '');


# Its absence.

reloads('state= taken away', state => '');
$server->keeps($files, 'leaves the directory as it is', 'state');
my $unstored = $server->request(POST => '', upload('unstored'))->json->{id};
$server->keeps($files, 'and writes no more to it', 'state');
$server->request(DELETE => "/$unstored");

# it is free for others: see below

is_refused('state= where there are other records', qr/"\Q$prefix\E\/state"/,
           state => 'state');


# Another directory.

reloads('state= added, of an empty directory', state => 'state2');

sub records {
    my ($state) = @_;

    return join "\n", map { /^f 0600 (\S+\.json) / ? $1 : "else: $_" }
                      grep { !/^d 0700 \/..\s*$/ }
                      split /\n/, $server->files($state);
}

is(records('state2'), records('state'), 'all is written there');
is((stat $server->record($id[0]))[4],
   (stat "$prefix/state/" . substr($id[0], 0, 2) . "/$id[0].json")[4],
   'and is the workers\' user\'s');
starts_again();

is($server->request(PUT => "/$id[0]", '{"name": "in-2"}')->verdict, 200,
   'what is changed');
$shown = $server->snapshot;
$server->keeps($files, 'is changed in the new one', 'state');

is_refused('pointed at other records', qr/"\Q$prefix\E\/state"/,
           state => 'state');
reloads('pointed at a third one, with another key', state => 'state3',
        seal_key => 'other.key');
is(records('state3'), records('state2'), 'all is written there');
starts_again();

# a zone without certificates takes what is there
$server->request(DELETE => "/$_") for @id;
is($server->request(GET => '')->json->{total}, 0, 'all are deleted');
is(records('state3'), '', 'there as well');

reloads_to('state', 'seal.key', 29);
$server->keeps($files, 'which is as it was', 'state');

sub reloads_to {
    my ($state, $key, $n) = @_;

    $server->configure(state => $state, seal_key => $key);
    $server->news;
    ok($server->reload, "an empty zone, pointed at records in $state");
    $server->settle;
    like($server->news, qr/loaded $n certificates from "\Q$prefix\E\/$state"/,
         'loads them');
    is($server->request(GET => '')->json->{total}, $n, 'and shows them');
}

$server->request(DELETE => "/$_") for @id;
is($server->request(GET => '')->json->{total}, 0, 'all are deleted');
reloads_to('state2', 'seal.key', 29);
$server->shows($shown, 'as they were');
starts_again();


# Two nginx.

my $second = Wafcert::Server->new(
    start => 0, prefix => "$prefix/second", workers => 1, size => '1m',
    state => "$prefix/state2", seal_key => "$prefix/seal.key",
    server => 'wafcert_return_key always;'
);

my $start = time;
like($second->refuses_to_start // 'it starts',
     qr/\[emerg\] .*state\ directory\ "\Q$prefix\E\/state2"\ is\ in\ use\ by
        \ another\ nginx/x, 'a second nginx does not start');
cmp_ok(time - $start, '<', 20, 'and says so soon');
$server->shows($shown, 'the first one is the same');
is($server->request(POST => '', upload('first'))->verdict, 200,
   'and takes uploads');
$server->request(DELETE => '/' . { $server->stored }->{first});

# one that is let go, and one that belonged to those that were killed
$second->configure(state => "$prefix/state");
$second->start;
is($second->request(GET => '')->json->{total}, 0,
   'a directory that was used before is free');
$second->stop;

$server->kill_all;
$second->configure(state => "$prefix/state2");
$second->start;
$second->shows($shown, 'the directory of one that was killed is free');
$second->stop;

# records under another key are not mixed with others
my $other_key = qr/\[emerg\].*"\Q$prefix\E\/state2"\ is\ under
                   \ another\ seal\ key/x;

$files = $server->files('state2');
$second->configure(state => "$prefix/state2", seal_key => "$prefix/other.key");
like($second->refuses_to_start // 'it starts', $other_key,
     'nor does one start with another key than the directory\'s');
like(($second->test)[1], $other_key, 'nginx -t says so, too');

$second->configure(state => "$prefix/second/own");
$second->start;
$second->configure(state => "$prefix/state2");
$second->news;
ok(!$second->reload, 'a reload that leads there is refused');
like($second->news, $other_key, 'with the same words');
$second->stop;
$server->keeps($files, 'and no file is touched', 'state2');

$server->start;
$server->shows($shown, 'and again');


# Clients that upload, change and delete.  Each answer is followed by a look,
# on another connection.

my $stop = "$prefix/stop";

# "may_fail": what the answer may be instead, which changes nothing
sub client {
    my ($number, $may_fail) = @_;

    my (@waiting, @wrong, %kept, %story);
    my ($i, $answers, $failed) = (0, 0, 0);

    my $keep = sub {
        my ($story) = @_;
        $kept{$story->{id}} = $story->{name} if $story->{id} && $story->{name};
    };

    $server->load(3, sub {
        my $story = shift @waiting;

        unless ($story) {
            return if -e $stop;

            my $name = "u$number-" . ++$i;

            $story = { next => $name, steps => [
                [ 200, POST => '', upload($name, (qw(ec ed rsa))[$i % 3]) ],
                [ 200, PUT => '', qq({"name": "$name-2"}), "$name-2" ],
                [ 200, PUT => '', qq({"name": "$name-3"}), "$name-3" ],
                $i % 3 && keys %kept < 60
                    ? () : [ 200, DELETE => '', undef, '' ]
            ] };
        }

        my @request;

        if ($story->{look}) {
            @request = (GET => "/$story->{id}");
        } else {
            my (undef, $method, undef, $body, $name) =
                @{$story->{step} = shift @{$story->{steps}}};

            $story->{next} = $name if defined $name;
            @request = ($method, $story->{id} ? "/$story->{id}" : '', $body);
        }

        my $request = [ @request[0 .. 2], 'Connection: close' ];
        $story{$request} = $story;
        return $request;
    }, sub {
        my ($request, $answer) = @_;

        my $story = delete $story{$request};
        my $verdict = $answer ? $answer->verdict : 'closed';
        $answers++;

        if ($story->{look}) {
            my $is = $verdict eq '200' ? $answer->json->{name} : $verdict;
            my $name = $story->{name} || '404 not_found';

            push @wrong, "after $story->{step}[1] $story->{id} is $is,"
                         . " not $name" if $is ne $name;

        } elsif ($verdict eq '200') {
            $story->{id} //= $answer->json->{id};
            $story->{name} = $story->{next};

        } else {
            $failed++;
            push @wrong, "$request->[0] of $story->{next}: $verdict"
                unless $may_fail && $verdict =~ /$may_fail/;
            return $keep->($story);
        }

        $story->{look} = !$story->{look};

        if ($story->{look} || @{$story->{steps}}) {
            push @waiting, $story;
        } else {
            $keep->($story);
        }
    }, once => 1);

    $keep->($_) for @waiting;
    $server->write_file("client-$number", JSON::PP::encode_json(
        { wrong => \@wrong, kept => \%kept, answers => $answers,
          failed => $failed }));
}

my @clients;

sub clients {
    my ($may_fail) = @_;

    unlink $stop;

    @clients = map {
        my $number = ++$server->{clients};
        my $pid = fork // die "fork: $!\n";

        if ($pid == 0) {
            my $done = eval { client($number, $may_fail); 1 };
            print STDERR $@ unless $done;
            POSIX::_exit($done ? 0 : 1);
        }

        { pid => $pid, number => $number }
    } 1 .. 2;
}

# Ends them, and compares what they know with what there is.
sub compare {
    my ($what) = @_;

    my (%kept, @wrong);
    my ($answers, $failed) = (0, 0);

    $server->write_file('stop', '');

    for my $client (@clients) {
        waitpid $client->{pid}, 0;
        push @wrong, "a client ended with $?" if $?;

        my $result = JSON::PP::decode_json(Wafcert::Fixtures::read_file(
            "$prefix/client-$client->{number}"));

        push @wrong, @{$result->{wrong}};
        $answers += $result->{answers};
        $failed += $result->{failed};
        %kept = (%kept, %{$result->{kept}});
    }

    diag("$what: $answers answers, $failed failed");
    is(join("\n", grep { defined } @wrong[0 .. 19]), '',
       "$what: each answer was right");
    cmp_ok($answers, '>', 20, 'of many');

    for my $again (0, 1) {
        my %stored = $server->stored;
        my %name = reverse %stored;

        is(join(' ', map { "$_=$kept{$_}" } sort keys %kept),
           join(' ', map { "$_=$name{$_}" } grep { $name{$_} =~ /^u\d/ }
                     sort keys %name), 'nothing is lost, nor back');

        is(join(' ', sort map { s/.*\///r } glob "$prefix/$server->{state}/*/*"),
           join(' ', sort map { "$_.json" } values %stored),
           'and each has its file');

        last if $again;
        $server->kill_all;
        $server->start;
    }

    my @ids = sort keys %kept;
    $server->load(4, sub { @ids ? [ DELETE => '/' . shift @ids ] : undef },
                  sub { });
    $server->shows($shown, 'and what was there before is as it was');
}

clients();

for my $size (qw(1m 2m 2m 1m)) {
    sleep 0.3;
    $server->settle;
    $server->configure(size => $size);
    ok($server->reload, "a reload to $size under uploads");
}

$server->settle;
compare('reloads');

# workers that are told of the new directory when they have judged already
clients('^500 commit_failed$');

for my $state (qw(state4 state5)) {
    sleep 0.3;
    $server->settle;
    $server->configure(state => $state);
    ok($server->reload, "a reload to $state under uploads");
}

sleep 0.3;
$server->settle;
compare('other directories');


# A binary upgrade: two nginx on one directory, and both answer.

SKIP: {
    skip 'valgrind is not what would be started', 1 if under_valgrind();

    my %by;

    # requests at once, so to both of them
    my $rounds = sub {
        for my $round (1 .. 5) {
            my $name = 'both-' . ++$server->{both};
            my @answers = $server->at_once(
                map { [ POST => '', upload($name, 'ec') ] } 1 .. 20);

            $by{$_->{headers}{'x-worker'}}++ for @answers;
            my %ids = map { $_->verdict . ' ' . ($_->json->{id} // '') => 1 }
                          @answers;
            is(keys %ids, 1, 'creates that are the same make one');

            my ($id) = join(' ', keys %ids) =~ /^200 (\w+)$/ or next;

            for my $revision (1 .. 3) {
                @answers = $server->at_once(map {
                    [ PUT => "/$id", qq({"name": "$name-$revision-$_"}),
                      "If-Match: \"$revision\"" ] } 1 .. 10);

                is(join(' ', sort map { $_->{status} } @answers),
                   join(' ', 200, (412) x 9), 'of changes one is accepted');
            }

            @answers = $server->at_once(
                map { [ POST => '', upload("$name-new", $_) ] }
                    qw(rsa ed rsa ed));
            my %two = map { $_->verdict => 1 } @answers;
            is(join(', ', sort keys %two), '200, 400 name_duplicate',
               'a name is taken once');

            my %stored = $server->stored;
            $server->request(DELETE => "/$stored{$_}")
                for grep { /^both/ } keys %stored;

            @answers = map { $server->request(GET => "/$id") } 1 .. 8;
            is(join(' ', grep { $_ != 404 } map { $_->{status} } @answers),
               '', 'what was deleted is gone for both');
        }
    };

    clients();
    sleep 0.3;

    my $old = $server->upgrade;
    $rounds->();

    my %old = map { $_ => 1 } $server->workers($old);
    kill WINCH => $old;
    $server->wait_for('old workers end', sub { !$server->workers($old) });

    sleep 0.3;
    kill QUIT => $old;
    $server->wait_for('the old master ends',
                      sub { Wafcert::Server::gone($old) });
    sleep 0.3;
    pass('a binary upgrade under uploads');
    diag(sprintf 'of requests at once, %d were the old one\'s, of %d',
         eval { my $n = 0; $n += $by{$_} for grep { $old{$_} } keys %by; $n },
         eval { my $n = 0; $n += $_ for values %by; $n });

    # and one that is taken back
    $old = $server->upgrade;
    my $new = $server->{master};
    kill WINCH => $old;
    $server->wait_for('old workers end', sub { !$server->workers($old) });
    sleep 0.3;

    kill HUP => $old;
    $server->wait_for('old workers are back', sub {
        return $server->workers($old) == $server->{workers};
    });
    $rounds->();

    kill QUIT => $new;
    $server->wait_for('the new master ends',
                      sub { Wafcert::Server::gone($new) });
    $server->{master} = $old;
    sleep 0.3;
    pass('and one that is taken back');

    compare('binary upgrades');
}

$server->ends_well(qr/signal 9/, qr/\[emerg\] .*(?:too small|seal|state)/);
done_testing;
