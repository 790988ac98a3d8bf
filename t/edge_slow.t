#!/usr/bin/perl

# An edge that records on a disk which takes its time, or fails: clients have
# the WAF's answers, and what is known follows them, at once; files follow when
# the disk takes them, whatever happens to workers meanwhile.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;

use constant PROJECT => 'v1/project/waf/certificate';

my $disk = Wafcert::Disk->new;

# The WAF keeps everything in memory.
my $server = Wafcert::Server->new(
    size => '4m', workers => 2, level => 'info', listen => 'sndbuf=4k',
    $disk->env,
    http => <<'END',
    wafcert_zone zone=edge:4m state=state-edge seal_key=seal.key;

    log_format edge '$request_method $status [$wafcert_name]'
                    ' [$wafcert_reason]';
END
    start => 0
);

$server->seal_key('seal.key');
$server->configure(server => <<"END");
        location /after/ {
            wafcert_validate zone=edge record=on;
            rewrite ^/after/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
            post_action /empty;
        }

        location /edge/ {
            access_log logs/access.log edge;
            wafcert_validate zone=edge record=on;
            rewrite ^/edge/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ignore_client_abort on;

            # all of an answer, while the client does not read it
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 256k;
            send_timeout 1s;
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
END
$server->start;


# there is one as long as nginx runs
sub marks {
    return scalar(() = glob $server->path('state-edge/unwritten*'));
}


sub path {
    my ($where, $rest) = @_;

    return "//$where/" . PROJECT . ($rest // '');
}

sub call {
    my ($method, $rest, $body) = @_;

    return $server->request($method => path('edge', $rest), $body);
}

sub names {
    # a worker that was told to quit may close a connection without an answer
    my $list = $server->request(GET => path('known')) // return '?';

    return join ' ', sort map { $_->{name} } @{$list->json->{items}};
}

sub knows {
    my ($expected, $what) = @_;

    my $names = '';

    for (1 .. 3000) {
        $names = names();
        last if $names eq $expected;
        sleep 0.02;
    }

    is($names, $expected, $what);
}

# lines of the access log, once they are there
sub access {
    my ($pattern) = @_;

    my @lines;

    for (1 .. 3000) {
        @lines = grep { /$pattern/ }
                 split /^/, Wafcert::Fixtures::read_file(
                                "$server->{prefix}/logs/access.log");
        last if @lines;
        sleep 0.02;
    }

    return @lines;
}


# how many failures the log has counted; on a slow machine some changes wait
# longer for others than they may
sub failures {
    my ($last) = $server->log =~ /.*could not record .*; (\d+) so far/s;

    return $last // 0;
}


# The files that there are, as what is known.
sub files {
    my ($name) = @_;

    return map { $_->{name} => $_->{fingerprint} }
               map { decode_json(Wafcert::Fixtures::read_file($_)) }
                   glob "$server->{prefix}/state-edge/??/*.json";
}

# Waits until they are what is known.
sub agree {
    my ($what) = @_;

    my (%files, %known);

    for (1 .. 500) {
        %known = map { $_->{name} => known($_->{id})->{fingerprint} }
                     @{$server->request(GET => path('known'))->json->{items}};
        %files = eval { files() };
        last if join(' ', map { $_, $files{$_} } sort keys %files)
                eq join(' ', map { $_, $known{$_} } sort keys %known);
        sleep 0.05;
    }

    is_deeply(\%files, \%known, $what);
}

sub known {
    my ($id) = @_;

    return $server->request(GET => path('known', "/$id"))->json;
}

# Waits for what the log says.
sub logged {
    my ($from, $pattern, $what) = @_;

    for (1 .. 500) {
        last if substr($server->log, $from) =~ $pattern;
        sleep 0.02;
    }

    like(substr($server->log, $from), $pattern, $what);
}


# Kills them, and returns their numbers when there are new ones.
sub kill_workers {
    my @workers = $server->workers;
    my %old = map { $_ => 1 } @workers;

    kill KILL => @workers;
    $server->wait_for('new workers', sub {
        my @new = $server->workers;
        return @new == 2 && !grep { $old{$_} } @new;
    });

    return @workers;
}

# A process with this number, if there can be one.
sub namesake {
    my ($number) = @_;

    for (1 .. 50) {
        open my $last, '>', '/proc/sys/kernel/ns_last_pid' or return;
        print $last $number - 1;
        close $last or return;

        my $pid = fork // die "fork: $!\n";
        exec 'sleep', '60' unless $pid;

        return $pid if $pid == $number;

        kill KILL => $pid;
        waitpid $pid, 0;
    }

    return;
}


# Neither the answer nor what is known waits.

$disk->set(fsync => 'hold', 0, '/state-edge');

my $answer = call(POST => '', upload('held'));
my $id = $answer->json->{id};

is($answer->{status}, 200, 'the disk does not answer, and the WAF does');
$disk->wait_for(fsync => 1);
knows('held', 'it is known');
is_deeply({ files() }, {}, 'and not yet stored');
is(marks(), 1, 'as a mark would tell the next start');
is($server->request(GET => '')->json->{total}, 1, 'what the WAF has');
is(call(GET => '')->json->{total}, 1, 'and others are served');

# and the record is not the client's

my $gone = $server->send(POST => path('edge'), upload('gone'));
close $gone;
knows('gone held', 'so is that of a client that has gone');
is(scalar access(qr/^POST 200 \[held\] \[-\]/), 1,
   'both stand in the access log');

$disk->mend;
agree('and are stored when the disk goes on');


# Several changes of one certificate, over several connections and workers,
# while the first of them waits for the disk: the last one is what counts.

for my $last ([ PUT => '{"name": "last"}', 'gone last' ],
              [ DELETE => undef, 'gone' ])
{
    my ($method, $body, $names) = @$last;

    $disk->set(fsync => 'hold', 0, '/state-edge');

    my $made = $last->[0] eq 'PUT' ? $id
                                   : call(POST => '', upload('new'))
                                     ->json->{id};

    for my $name ('a' .. 'h') {
        is(call(PUT => "/$made", qq({"name": "$name"}))->{status}, 200,
           "$method: renamed to $name");
    }

    is(call(PUT => "/$made", upload('other', 'rsa'))->{status}, 200,
       'another pair');
    is(call($method => "/$made", $body)->{status}, 200, 'and the last one');
    knows($names, 'is what is known');

    $disk->mend;
    agree('and stored when the disk goes on');

    if ($method eq 'PUT') {
        is(known($made)->{fingerprint},
           $server->request(GET => "/$made")->json->{fingerprint},
           'with the pair that the WAF has');

        is(call(DELETE => "/$made")->{status}, 200, 'it is deleted');
        knows('gone', 'there, too');
        agree('with its file');
    }
}

like($server->log, qr/\[notice\] .* wafcert\ forget:\ project\ "project",\ id
                      \ $id,\ name\ "last",\ revision\ \d+,\ token\ ""/x,
     'what is forgotten stands in the log');


# A name that goes from one certificate to another: there is never a moment at
# which two files have it.

my $first = call(POST => '', upload('same'))->json->{id};
knows('gone same', 'one with a name');
agree('on the disk');

$disk->set(rename => 'hold', 0, '.old.tmp');
$server->request(DELETE => "/$first");
my $second = call(POST => '', upload('same', 'rsa'))->json->{id};
isnt($second, $first, 'another one with the same name');
knows('gone same', 'takes its place');
$disk->wait_for(rename => 1);
sleep 0.3;
is_deeply([ map { /($first|$second)/ }
                glob "$server->{prefix}/state-edge/??/*.json" ], [ $first ], 'its file waits until the other one\'s is gone');
$disk->mend;
agree('and is stored then');
call(DELETE => "/$second");
knows('gone', 'it is deleted');


# A disk that fails, and then a disk that is well again.

my %kept = map { $_->{name} => $_->{id} }
               @{$server->request(GET => path('known'))->json->{items}};
$kept{old} = call(POST => '', upload('old'))->json->{id};
knows('gone old', 'two that are kept');
agree('and stored');

my %stored = files();
my $from = length $server->log;

$disk->set(fsync => 5, 0, '/state-edge');
$disk->set(unlink => 5, 0, '/state-edge/');
$disk->set(rename => 5, 0, '/state-edge/');

is(call(POST => '', upload('lost'))->{status}, 200,
   'the disk fails, and the WAF has accepted');
knows('gone lost old', 'it is known');
is(scalar access(qr/^POST 200 \[lost\] \[-\]/), 1,
   'to its client it is like any other');
logged($from, qr/\[crit\]\ .*zone\ "edge":\ changes\ cannot\ be\ stored
                 \ in\ .*\ fsync\(\)\ failed/x, 'the error log has the cause');
logged($from, qr/\[error\]\ .*zone\ "edge":\ 1\ changes\ that\ the\ WAF\ has
                 \ accepted\ are\ in\ memory\ and\ not\ yet\ in\ ".*",
                 \ next\ try\ in\ 1\ seconds/x, 'and how many there are');

is(call(PUT => "/$kept{gone}", upload('gone', 'rsa'))->{status}, 200,
   'one that is known is changed');
is(call(DELETE => "/$kept{old}")->{status}, 200, 'another one deleted');
knows('gone lost', 'memory follows');
is(known($kept{gone})->{fingerprint},
   $server->request(GET => "/$kept{gone}")->json->{fingerprint},
   'and has what the WAF has');
logged($from, qr/3 changes that the WAF has accepted/, 'counted, too');
logged($from, qr/next try in 2 seconds/, 'it takes its time');
is_deeply({ files() }, \%stored, 'files are as they were');
unlike(substr($server->log, $from), qr/could not record/,
       'and nothing is lost');

# a reload, and workers that are killed

ok($server->reload, 'a reload meanwhile');
$server->settle;
knows('gone lost', 'changes nothing');

kill_workers();
knows('gone lost', 'nor do workers that are killed');

$disk->mend;
agree('all of it is stored when the disk is well');
logged($from, qr/changes can be stored again/, 'as the log says');


# nginx ends while the disk takes nothing at all: the next start tells.

for my $how (qw(kill_all stop)) {
    $disk->set(fsync => 5, 0, '/state-edge');
    chmod 0500, $server->path('state-edge');
    $from = length $server->log;

    # the WAF is another one after the first
    $how eq 'stop' ? call(POST => '', upload('gone', 'ec'))
                   : call(PUT => "/$kept{gone}", upload('gone', 'ec'));
    $disk->wait_for(fsync => 1);

    $server->$how;
    like(substr($server->log, $from),
         qr/\[alert\] .*zone "edge": nginx ends, and \d+ changes/,
         'nginx tells what it could not store') if $how eq 'stop';
    $disk->mend;
    chmod 0700, $server->path('state-edge');
    $from = length $server->log;
    $server->start;

    knows($how eq 'stop' ? 'lost' : 'gone lost',
          "$how: a start finds what was stored");
    logged($from, qr/\[warn\]\ .*zone\ "edge":\ nginx\ was\ killed,\ or\ ended
                     \ before\ all/x, 'and says that it may be old');
    is(marks(), 1, 'once');
}

$from = length $server->log;
call(POST => '', upload('gone', 'ec'));
knows('gone lost', 'until the WAF tells more');
agree('which is stored');
$server->stop;
$server->start;
unlike(substr($server->log, $from), qr/ended before/,
       'and the next start says nothing');
$server->stop;
$server->configure(http => $server->{http} . 'server { listen 192.0.2.1:80; }');
ok($server->refuses_to_start, 'nor does one that fails');
is(marks(), 0, 'leave a mark');
$server->configure(http => $server->{http} =~ s/server \{[^{]*\}\z//r);
$server->start;


# A client that is given up while it reads a list: what is not in that is
# dropped nevertheless.

my $dropped = call(POST => '', upload('dropped'))->json->{id};
knows('dropped gone lost', 'one more');

$server->request(DELETE => "/$dropped");
$server->create(300, 'many');

my $lists = access(qr/^GET /);

my $socket = $server->socket(receive => 2048);
Wafcert::Server::write_all($socket, Wafcert::Server::wire(GET => path('edge')));

$server->wait_for('time-out', sub {
    $server->log =~ /client timed out .*while sending to client/
});

knows('', 'a list that nobody reads tells what is gone');
$server->wait_for('line', sub { access(qr/^GET /) == $lists + 1 });
pass('and has its line in the log');
agree('as has the disk');


# A worker that is killed while it stores, and whose number another process has
# then.

$disk->set(fsync => 'hold', 0, '/state-edge');
my $last = call(POST => '', upload('last'))->json->{id};
$disk->wait_for(fsync => 1);
knows('last', 'one more');

my @namesakes = map { namesake($_) } kill_workers();

$disk->mend;
agree('it is stored, whoever has the number');
kill KILL => @namesakes;
waitpid $_, 0 for @namesakes;
call(DELETE => "/$last");
knows('', 'and deleted');
agree('there, too');


# Workers that are told to quit while there is something to be stored.

$disk->set(fsync => 'hold', 0, '/state-edge');
is(call(POST => '', upload('late'))->{status}, 200, 'accepted');
$disk->wait_for(fsync => 1);
is(call(POST => '', upload('later'))->{status}, 200, 'and another one');
knows('late later', 'both are known');

ok($server->reload, 'a reload meanwhile');
$disk->mend;
$server->settle;
knows('late later', 'loses nothing');
agree('but stores it');

call(POST => '', upload("last$_")) for 1 .. 9;
knows('last1 last2 last3 last4 last5 last6 last7 last8 last9 late later',
      'nine more');
$server->stop;
is(marks(), 0, 'nginx has stored all of it when it has ended');
$server->start;
knows('last1 last2 last3 last4 last5 last6 last7 last8 last9 late later',
      'and it lasts');

$server->ends_well(qr/cannot be stored|exited on signal 9|nginx ends, and/,
                   qr/\[emerg\] .*192\.0\.2\.1/);

done_testing();
