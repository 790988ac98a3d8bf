#!/usr/bin/perl

# An edge that records on a disk which takes its time, or fails: clients have
# the WAF's answers all the same, and what is recorded is right in the end.

use strict;
use warnings;

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


# The answer does not wait.

$disk->set(fsync => 'hold', 0, '/state-edge');

my $answer = call(POST => '', upload('held'));
my $id = $answer->json->{id};

is($answer->{status}, 200, 'the disk does not answer, and the WAF does');
$disk->wait_for(fsync => 1);
is(names(), '', 'nothing is recorded');
is($server->request(GET => '')->json->{total}, 1, 'what the WAF has');
is(call(GET => '')->json->{total}, 1, 'and others are served');

# and the record is not the client's

my $gone = $server->send(POST => path('edge'), upload('gone'));
$disk->wait_for(fsync => 2);
close $gone;

$disk->mend;
knows('gone held', 'both are recorded when the disk goes on');
is(scalar access(qr/^POST 200 \[held\] \[-\]/), 1,
   'and then stand in the access log');


# and nginx may be at something else by then

$disk->set(fsync => 'hold', 0, '/state-edge');
is($server->request(POST => path('after'), upload('after'))->{status}, 200,
   'there is a post_action');
$disk->wait_for(fsync => 1);
is($server->request(GET => '//empty')->{status}, 204, 'it has been done');
$disk->mend;
knows('after gone held', 'and it is recorded, too');
$server->request(DELETE => path('after', '/' . {
    map { $_->{name} => $_->{id} } @{$server->request(GET => path('known'))
                                     ->json->{items}} }->{after}));
knows('gone held', 'and deleted');


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

    $disk->mend;
    knows($names, 'is what is known');

    if ($method eq 'PUT') {
        is($server->request(GET => path('known', "/$made"))
           ->json->{fingerprint},
           $server->request(GET => "/$made")->json->{fingerprint},
           'with the pair that the WAF has');

        is(call(DELETE => "/$made")->{status}, 200, 'it is deleted');
        knows('gone', 'there, too');

    } else {
        $server->wait_for('the last change is recorded', sub {
            return access(qr/^DELETE 200 /) == 2;
        });
        knows($names, 'and stays so');
    }
}


# A disk that fails, and then a disk that is well again.

my %kept = map { $_->{name} => $_->{id} }
               @{$server->request(GET => path('known'))->json->{items}};
my $from = length $server->log;
my $before = failures();

$disk->set(fsync => 5, 0, '/state-edge');

is(call(POST => '', upload('lost'))->{status}, 200,
   'the disk fails, and the WAF has accepted');
is(scalar access(qr/^POST 200 \[lost\] \[commit_failed\]/), 1,
   'the access log has the reason');
is(scalar(() = substr($server->log, $from) =~ /could not record/g), 1,
   'the error log says so once');
like(substr($server->log, $from), qr/could not record .*: commit_failed, /,
     'with the reason');
is(failures(), $before + 1, 'and a number');
knows('gone', 'it is not known');

# what the edge knows of a certificate that it could not change is outdated
is(call(PUT => "/$kept{gone}", upload('gone', 'rsa'))->{status}, 200,
   'one that is known is changed');
access(qr/^PUT 200 \[gone\] \[commit_failed\]/);
knows('', 'and no longer known');
is(failures(), $before + 2, 'counted, too');

$disk->mend;
is(call(PUT => "/$kept{gone}", upload('found', 'rsa'))->{status}, 200,
   'the disk is well, and it is changed again');
knows('found', 'and known');


# A client that is given up while the disk is waited for: its request ends
# nevertheless, when the disk goes on.

my $dropped = call(POST => '', upload('dropped'))->json->{id};
knows('dropped found', 'one more');

$server->request(DELETE => "/$dropped");
$server->create(300, 'many');

my $lists = access(qr/^GET /);
$disk->set(unlink => 'hold', 0, '/state-edge');

my $socket = $server->socket(receive => 2048);
Wafcert::Server::write_all($socket, Wafcert::Server::wire(GET => path('edge')));
$disk->wait_for(unlink => 1);

$server->wait_for('time-out', sub {
    $server->log =~ /client timed out .*while sending to client/
});
is(scalar access(qr/^GET /), $lists, 'a client that reads nothing of a list');

$disk->mend;
knows('found', 'which tells that one is gone');
$server->wait_for('line', sub { access(qr/^GET /) == $lists + 1 });
pass('has its line in the log');


# A worker that is told to quit while it records.

$disk->set(fsync => 'hold', 0, '/state-edge');
is(call(POST => '', upload('late'))->{status}, 200, 'accepted');
$disk->wait_for(fsync => 1);

ok($server->reload, 'a reload meanwhile');
$disk->mend;
knows('found late', 'loses nothing');
$server->settle;

$server->stop;
$server->start;
knows('found late', 'and it lasts');

$server->ends_well(qr/cannot be stored/);

done_testing();
