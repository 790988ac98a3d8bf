#!/usr/bin/perl

# An edge that records, in front of a real WAF: what it knows after each call,
# what it learns of what was done past it, and what happens when it cannot.

use strict;
use warnings;

use File::Path ();
use File::Temp ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

use constant PROJECT => 'v1/project/waf/certificate';

my $tiny = 64 * 1024;

my $seal_key = File::Temp->new;
print $seal_key 'a' x 64, "\n";
close $seal_key;

my $server = Wafcert::Server->new(
    size => '4m', workers => 2, level => 'info',
    http => <<"END",
    log_format edge '\$request_method \$status [\$wafcert_id]'
                    ' [\$wafcert_name] [\$wafcert_reason]'
                    ' [\$wafcert_fingerprint]';
    wafcert_zone zone=edge:4m;
    wafcert_zone zone=tiny:$tiny state=state-tiny seal_key=$seal_key;
    wafcert_zone zone=durable:4m state=state seal_key=$seal_key;
END
);

my %known_by = map { $_ => "known-$_" } qw(edge tiny durable);


sub locations {
    my $waf = "http://127.0.0.1:$server->{port}/v1/";

    return join "\n", <<"BLIND", map { <<"END" } keys %known_by;
        location /blind/ {
            wafcert_validate zone=edge;
            wafcert_auth off;
            rewrite ^/blind/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
        }

        location /limited/ {
            wafcert_validate zone=edge record=on;
            wafcert_auth off;
            wafcert_quota 2;
            rewrite ^/limited/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
        }

        location /open/ {
            wafcert_validate zone=edge record=on;
            rewrite ^/open/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
        }
BLIND
        location /$_/ {
            access_log logs/access.log edge;
            wafcert_validate zone=$_ record=on;
            wafcert_auth off;
            rewrite ^/$_/(.*) /\$1 break;
            proxy_pass http://127.0.0.1:$server->{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ignore_client_abort on;
        }

        location /known-$_/ {
            wafcert_api zone=$_ write=off;
            wafcert_auth off;
            wafcert_return_key always;
        }
END
}


sub call {
    my ($where, $method, $rest, @more) = @_;

    return $server->request($method => "//$where/" . PROJECT . $rest, @more);
}


# straight to the WAF
sub past { return $server->request(@_) }


# Waits for what is recorded after the answer.
sub knows {
    my ($where, $expected, $what) = @_;

    my %known;

    for (1 .. 150) {
        %known = map { $_->{name} => $_->{id} }
                     @{call("known-$where", GET => '')->json->{items}};

        last if join(' ', map { "$_ $known{$_}" } sort keys %known)
                eq join(' ', map { "$_ $expected->{$_}" }
                                 sort keys %$expected);
        sleep 0.02;
    }

    is_deeply(\%known, $expected, $what);
}


# the same certificate, by all that tells of it
sub like_the_waf {
    my ($where, $id, $what) = @_;

    my @members = qw(id name timestamp expire_time fingerprint cert_type
                     content);
    my ($ours, $got);

    my $waf = past(GET => "/$id")->json;
    my $expected = join ' ', map { $waf->{$_} } @members;

    for (1 .. 150) {
        $ours = call("known-$where", GET => "/$id")->json;
        $got = join ' ', map { $ours->{$_} // '' } @members;
        last if $got eq $expected;
        sleep 0.02;
    }

    is($got, $expected, $what);
    ok(($ours->{key} // '') =~ /PRIVATE KEY/, 'with a key');
}


sub half {
    my ($name, $pair) = @_;

    my $text = upload('x', $pair);
    my ($half) = $name eq 'key' ? $text =~ /("key": ".*")\}/s
                                : $text =~ /("content": ".*?")[,}]/s;
    return "{$half}";
}


$server->configure(server => locations());
ok($server->reload, 'the configuration is taken');
$server->settle;


# Each call, with a record in memory and one in a directory.

for my $where (qw(edge durable)) {
    my $www = call($where, POST => '', upload('www', 'rsa'))->json->{id};
    knows($where, { www => $www }, "$where: a create is recorded");
    like_the_waf($where, $www, 'as the WAF has it');

    my $api = call($where, POST => '', upload('api', 'ec'))->json->{id};
    knows($where, { www => $www, api => $api }, 'and another');

    is(call($where, POST => '', upload('api', 'ec'))->json->{id}, $api,
       'a create is repeated');
    knows($where, { www => $www, api => $api }, 'and changes nothing');
    is(call("known-$where", GET => "/$api")->json->{revision}, 1,
       'not even a revision');

    is(call($where, POST => '', upload('api', 'rsa'))->verdict,
       '400 name_duplicate', 'a name is taken');
    like_the_waf($where, $api, 'and nothing is recorded');

    is(call($where, PUT => "/$www", '{"name": "web"}')->{status}, 200,
       'a rename');
    knows($where, { web => $www, api => $api }, 'is recorded');
    like_the_waf($where, $www, 'as the WAF has it');

    is(call($where, PUT => "/$www", upload('web', 'ec'))->{status}, 200,
       'another pair');
    like_the_waf($where, $www, 'is recorded');

    is(call($where, PUT => "/$www", half(key => 'ec'))->{status}, 200,
       'the key again');
    like_the_waf($where, $www, 'changes nothing');

    is(call($where, PUT => "/$www", half(key => 'rsa'))->verdict,
       '400 key_mismatch', 'half of another pair is refused');
    like_the_waf($where, $www, 'and nothing is recorded');

    is(call($where, PUT => "/$api", upload('web', 'ec'))->verdict,
       '400 name_duplicate', 'a rename to a name that is taken');
    knows($where, { web => $www, api => $api }, 'is not recorded');

    is(call($where, DELETE => "/$www")->{status}, 200, 'a delete');
    knows($where, { api => $api }, 'is recorded');

    is(call($where, DELETE => "/$www")->{status}, 404, 'and once more');
    is(call($where, GET => "/$api")->{status}, 200, 'a show');
    is(call($where, GET => '')->json->{total}, 1, 'a list');
    knows($where, { api => $api }, 'leave everything as it is');

    call($where, DELETE => "/$api");
    knows($where, {}, 'and the last one');
}


# What is done past the edge.

for my $where (qw(edge durable)) {
    my @ids = map { call($where, POST => '', upload("p$_"))->json->{id} }
                  1 .. 6;
    my %known = map { ("p$_" => $ids[$_ - 1]) } 1 .. 6;

    knows($where, \%known, "$where: six certificates");

    past(DELETE => "/$ids[0]");
    past(DELETE => "/$ids[1]");
    past(DELETE => "/$ids[2]");

    is(call($where, GET => "/$ids[0]")->{status}, 404,
       'a show of one that is gone');
    delete $known{p1};
    knows($where, \%known, 'tells the edge');

    is(call($where, PUT => "/$ids[1]", '{"name": "q2"}')->{status}, 404,
       'a modify');
    delete $known{p2};
    knows($where, \%known, 'too');

    is(call($where, DELETE => "/$ids[2]")->{status}, 404, 'and a delete');
    delete $known{p3};
    knows($where, \%known, 'too');

    past(DELETE => "/$ids[3]");

    for ('?name=p6', '?page=1&pagesize=1', '?offset=1&limit=1',
         '?exp_status=0', '?x=1', '?page=2&pagesize=10')
    {
        is(call($where, GET => $_)->{status}, 200, "a list, $_");
        knows($where, \%known, 'says nothing of what it has not');
    }

    is(call($where, GET => '?page=1&pagesize=10&host=true')->json->{total}, 2,
       'a page that has all of them');
    delete $known{p4};
    knows($where, \%known, 'tells which are gone');

    my $other = $server->request(GET => "//$where/v1/other/waf/certificate");
    is($other->json->{total}, 0, 'another project has none');
    knows($where, \%known, 'and that is its own affair');

    # uploaded past the edge, and changed through it

    my $new = past(POST => '', upload('new', 'rsa'))->json->{id};

    is(call($where, PUT => "/$new", '{"name": "newer"}')->{status}, 200,
       'a rename of what is not known');
    knows($where, \%known, 'cannot be recorded');

    is(call($where, PUT => "/$new", half(content => 'rsa'))->{status}, 200,
       'nor half a pair');
    knows($where, \%known, 'which the WAF has judged');

    is(call($where, PUT => "/$new", half(content => 'ec'))->verdict,
       '400 key_mismatch', 'by what it has');

    is(call($where, PUT => "/$new", upload('newest', 'rsa'))->{status}, 200,
       'all of it');
    $known{newest} = $new;
    knows($where, \%known, 'can');
    like_the_waf($where, $new, 'as the WAF has it');

    # a name that went to another one

    past(DELETE => "/$new");
    $known{newest} = call($where, POST => '', upload('newest', 'rsa'))
                     ->json->{id};
    isnt($known{newest}, $new, 'the same pair under the same name');
    knows($where, \%known, 'takes the place of the one that is gone');

    past(DELETE => "/$known{newest}");
    $known{newest} = call($where, POST => '', upload('newest', 'ec'))
                     ->json->{id};
    knows($where, \%known, 'and another pair does');

    past(DELETE => "/$ids[5]");
    past(DELETE => "/$ids[4]");
    call($where, GET => "/$ids[4]");
    is(call($where, PUT => "/$known{newest}", '{"name": "p6"}')->{status},
       200, 'and a rename');
    knows($where, { p6 => $known{newest} }, 'does');

    call($where, DELETE => "/$known{newest}");
    knows($where, {}, 'nothing is left');

    # changed past the edge: the half that is known does not fit

    my $drift = call($where, POST => '', upload('drift', 'rsa'))->json->{id};
    knows($where, { drift => $drift }, 'one that is known');
    past(PUT => "/$drift", upload('drift', 'ec'));
    is(call($where, PUT => "/$drift", half(key => 'ec'))->verdict,
       '400 key_mismatch', 'half a pair is judged by what is known');
    is(call($where, PUT => "/$drift", upload('drift', 'ec'))->{status}, 200,
       'a whole pair');
    like_the_waf($where, $drift, 'mends that');

    call($where, DELETE => "/$drift");
    knows($where, {}, 'and it is gone');
}


# Whoever has no token that was judged here, or asks where nothing is recorded,
# is told of what he sends, and of nothing else.

{
    my $id = call('edge', POST => '', upload('secret', 'rsa'))->json->{id};
    my $unknown = 'f' x 32;

    knows('edge', { secret => $id }, 'one that is recorded');

    is(call('edge', POST => '?dry_run=true', upload('secret', 'ec'))->verdict,
       '400 name_duplicate', 'a dry run of who may know that');
    is(call('edge', PUT => "/$id?dry_run=true", half(key => 'ec'))->verdict,
       '400 key_mismatch', 'half of another pair, too');

    for my $where (qw(open blind)) {
        my $create = call($where, POST => '?dry_run=true',
                          upload('secret', 'ec'));

        is($create->{status}, 200, "$where: a dry run of a create");
        is($create->json->{name}, 'secret', 'tells of the upload');
        like($create->json->{subject}, qr/ec\.example/, 'as of any other');
        unlike($create->{body}, qr/$id/, 'and of nothing else');

        is(call($where, POST => '?dry_run=true',
                upload('x', 'rsa') =~ s/"key": .*/"key": "x"}/sr)->verdict,
           '400 key_no_pem', 'one that is not good is refused');

        for ('{"name": "secret"}', half(key => 'ec'), half(content => 'ec'),
             upload('secret', 'ec'))
        {
            my $known = call($where, PUT => "/$id?dry_run=true", $_);
            my $other = call($where, PUT => "/$unknown?dry_run=true", $_);

            is($known->{status}, 200, 'a dry run of a modify');
            is($known->{body}, $other->{body},
               'does not tell which ids there are');
        }
    }

    call('edge', DELETE => "/$id");
    knows('edge', {}, 'it is gone');
}


# A quota holds here, too: what is beyond it passes, and leaves others room.

{
    my @ids = map { call('limited', POST => '', upload("u$_"))->json->{id} }
                  1 .. 3;
    knows('edge', { u1 => $ids[0], u2 => $ids[1] }, 'two of three');
    $server->wait_for('a line of the log', sub {
        $server->log =~ /could not record .*: quota, project "project"/
    });

    is(call('limited', PUT => "/$ids[0]", upload('u1', 'rsa'))->{status}, 200,
       'one of them is changed');
    like_the_waf('edge', $ids[0], 'as ever');
    call('limited', PUT => "/$ids[2]", upload('u3', 'rsa'));
    knows('edge', { u1 => $ids[0], u2 => $ids[1] },
          'one that is beyond it stays so');

    call('limited', DELETE => "/$ids[1]");
    call('limited', PUT => "/$ids[2]", upload('u3', 'rsa'));
    knows('edge', { u1 => $ids[0], u3 => $ids[2] }, 'until there is room');

    call('edge', DELETE => "/$_") for @ids;
    knows('edge', {}, 'they are gone');
}


# Many at once, and quickly one after the other.

for my $where (qw(edge durable)) {
    my @answers = $server->at_once(map { [ POST => "//$where/" . PROJECT,
                                           upload("m$_") ] } 1 .. 16);
    my %known = map { $_->json->{name} => $_->json->{id} } @answers;
    knows($where, \%known, "$where: sixteen at once");

    for my $i (1 .. 8) {
        my $id = call($where, POST => '', upload("q$i"))->json->{id};
        call($where, PUT => "/$id", qq({"name": "r$i"}));
        call($where, PUT => "/$id", upload("s$i", 'rsa'));
        $known{"s$i"} = $id;
    }

    knows($where, \%known, 'each change in its turn');

    $server->at_once(map { [ DELETE => "//$where/" . PROJECT . "/$_" ] }
                         values %known);
    knows($where, {}, 'all deleted at once');
}


# A list that is compared piece by piece.

{
    my ($made, %known) = (0);

    $server->load(8, sub {
        return if $made == 1200;
        return [ POST => '//edge/' . PROJECT, upload('l' . $made++) ];
    }, sub { $known{$_[1]->json->{name}} = $_[1]->json->{id} });

    knows('edge', \%known, 'many are recorded');

    for my $i (0, 1, 511, 512, 513, 1199) {
        past(DELETE => '/' . delete $known{"l$i"});
    }

    is(call('edge', GET => '')->json->{total}, 1194, 'a list of all');
    knows('edge', \%known, 'tells which are gone');

    my @ids = values %known;
    $server->load(8, sub {
        @ids ? [ DELETE => '/' . pop @ids ] : undef;
    }, sub { });

    call('edge', GET => '');
    knows('edge', {}, 'even when all are');
}


# Clients that do not wait: what was accepted is known nevertheless.

for my $where (qw(edge durable)) {
    for my $i (1 .. 60) {
        my $socket = $server->socket;

        Wafcert::Server::write_all($socket, Wafcert::Server::wire(
            POST => "//$where/" . PROJECT, upload("gone-$where-$i")));
        sleep 0.0005 * ($i % 9);
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $i % 2;
        close $socket;
    }

    my %waf;

    $server->wait_for('what sixty clients have left', sub {
        %waf = map { $_->{name} => $_->{id} }
                   grep { $_->{name} =~ /^gone-$where/ }
                   @{past(GET => '')->json->{items}};

        return keys %waf == 60;
    });

    is(scalar(keys %waf), 60, 'sixty clients go away');
    knows($where, \%waf, 'and the edge has heard of all of it');

    $server->at_once(map { [ DELETE => "//$where/" . PROJECT . "/$_" ] }
                         values %waf);
    knows($where, {}, 'until it is deleted');
}


# The edge's zone is full; the WAF's is not.

my $n = 0;
my $log = length $server->log;
my $answer;

for (1 .. 100) {
    $answer = call('tiny', POST => '', upload("t$n", 'rsa'));
    last if substr($server->log, $log) =~ /zone_full/;
    $n++;
}

cmp_ok($n, '>', 0, 'a small zone has room for some');
cmp_ok($n, '<', 100, 'and is full at last');
is($answer->{status}, 200, 'the client does not notice');
like(substr($server->log, $log),
     qr/\[error\].* could\ not\ record\ what\ the\ WAF\ has\ accepted:
        \ zone_full,\ project\ "project",\ the\ memory .*;\ 1\ so\ far/x,
     'the log says so');

# a renewal that has no room leaves the pair before it

my %ids = map { $_->{name} => $_->{id} } @{past(GET => '')->json->{items}};
my $file = "$server->{prefix}/state-tiny/" . substr($ids{t0}, 0, 2)
           . "/$ids{t0}.json";
my $old = past(GET => "/$ids{t0}")->json->{fingerprint};

is(call('tiny', PUT => "/$ids{t0}", upload('t0', 'renewed'))->{status}, 200,
   'a renewal without room');
isnt(past(GET => "/$ids{t0}")->json->{fingerprint}, $old,
     'which the WAF accepts');
$server->wait_for('a line of the log', sub {
    substr($server->log, $log)
        =~ /zone_full, .* is full, and what was there before is kept, and stale;/
});
is(call('known-tiny', GET => "/$ids{t0}")->json->{fingerprint}, $old,
   'leaves the pair that is there');
$server->wait_for('the file', sub {
    Wafcert::Fixtures::read_file($file) =~ /"stale": ?1/
});
pass('marked, and so is its file');

# another name does not make it the WAF's pair; that pair does

is(call('tiny', DELETE => "/$ids{t1}")->{status}, 200, 'there is room');
is(call('tiny', PUT => "/$ids{t0}", '{"name": "t0-new"}')->{status}, 200,
   'for another name');
$server->wait_for('the file', sub {
    Wafcert::Fixtures::read_file($file) =~ /"t0-new"/
});
like(Wafcert::Fixtures::read_file($file), qr/"stale": ?1/,
     'a rename leaves the mark');
is(call('tiny', PUT => "/$ids{t0}", upload('t0', 'renewed'))->{status}, 200,
   'and the renewal comes again');
$server->wait_for('the file', sub {
    Wafcert::Fixtures::read_file($file) !~ /"stale"/
});
like_the_waf('tiny', $ids{t0}, 'the WAF\'s pair takes its place');

open my $access, '<', "$server->{prefix}/logs/access.log" or die;
my @lines = <$access>;
ok((grep { /^POST 200 \S+ \[t$n\] \[zone_full\]/ } @lines),
   'so does the access log');


# The directory cannot be written.

SKIP: {
    skip 'only root can take a directory away', 5 if $> != 0;

    my $state = "$server->{prefix}/state";
    my $kept = call('durable', POST => '', upload('kept', 'rsa'))->json->{id};

    knows('durable', { kept => $kept }, 'one that is kept');

    rename $state, "$state.away" or die "rename: $!";
    $log = length $server->log;

    my $late = call('durable', POST => '', upload('late', 'rsa'))->json->{id};

    knows('durable', { kept => $kept, late => $late },
          'memory has what the WAF has');
    $server->wait_for('a line of the log', sub {
        substr($server->log, $log) =~ /accepted are in memory/
    });
    unlike(substr($server->log, $log), qr/could not record/,
           'the log says no more than that');

    rename "$state.away", $state or die "rename: $!";

    my $file = "$state/" . substr($late, 0, 2) . "/$late.json";

    $server->wait_for('the file', sub { -e $file });
    pass('and the directory follows');
    knows('durable', { kept => $kept, late => $late }, 'later');
}


# What was recorded lasts.

my %before = map { $_->{name} => $_->{id} }
                 @{call('known-durable', GET => '')->json->{items}};

$server->stop;
$server->start;
knows('durable', \%before, 'a restart leaves what was recorded');

$server->ends_well(qr/cannot be stored/);

# a certificate has half of what is secret in a key of PKCS#1
File::Path::remove_tree("$server->{prefix}/state");

is(scalar(grep { index($server->log, substr $_, 0, 24) >= 0 }
               Wafcert::Fixtures::private_keys()), 0, 'no key in the log');

done_testing();
