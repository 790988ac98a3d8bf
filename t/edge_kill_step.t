#!/usr/bin/perl

# A worker of an edge that records is killed after exactly so many instructions
# of what it records, anywhere between two of them, while the disk takes it or
# does not.  Once the WAF has said again what it has, the edge knows that and
# nothing else, and its directory follows.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Disk;
use Wafcert::Server;
use Wafcert::Step;

use constant PROJECT => 'v1/project/waf/certificate';

my $kills = $ENV{WAFCERT_KILLS} // 12;

my $disk = Wafcert::Disk->new;
my $waf = Wafcert::Server->new(name => 'edge_kill_step_waf', size => '4m',
                               workers => 1);
my $edge = Wafcert::Server->new(
    workers => 1, $disk->env,
    http => 'wafcert_zone zone=edge:1m state=state-edge seal_key=seal.key;',
    start => 0
);

$edge->seal_key('seal.key');
$edge->configure(server => <<"END");
        location /edge/ {
            wafcert_validate zone=edge record=on;
            wafcert_auth off;
            proxy_pass http://127.0.0.1:$waf->{port}/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ignore_client_abort on;
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
END
$edge->start;

my $refused = Wafcert::Step::refused($edge->workers);
plan skip_all => $refused if $refused;

seeded();

my $names = 0;


sub call {
    my ($method, $rest, $body) = @_;

    return $edge->request($method => '//edge/' . PROJECT . $rest, $body);
}


sub names {
    my ($answer) = @_;

    return map { $_->{name} => $_->{id} } @{$answer->json->{items}};
}


# ids and names of the files
sub files {
    return map { $_->{name} => $_->{id} }
               map { decode_json(Wafcert::Fixtures::read_file($_)) }
                   glob "$edge->{prefix}/state-edge/??/*.json";
}


# one of the WAF's, and the pair that it has
sub any {
    my %waf = names($waf->request(GET => ''));
    my @names = sort keys %waf;
    my $name = $names[rand @names];

    return ($name, $waf{$name}, pair($waf{$name}));
}


sub pair {
    my ($id) = @_;

    return $waf->request(GET => "/$id")->json->{cert_type} =~ /RSA/ ? 'rsa'
                                                                    : 'ec';
}


sub change {
    my ($kind) = @_;

    my ($name, $id, $pair) = any();
    my $new = 'n' . ++$names;

    return [ POST => '', upload($new, 'rsa') ] if $kind eq 'create';
    return [ DELETE => "/$id" ] if $kind eq 'delete';
    return [ PUT => "/$id", qq({"name": "$new"}) ] if $kind eq 'rename';
    return [ PUT => "/$id", upload($name, $pair eq 'rsa' ? 'ec' : 'rsa') ];
}


# kills the worker in a function that the change calls
sub kill_in {
    my ($function, $kind) = @_;

    my ($worker) = $edge->workers;
    my ($method, $rest, $body) = @{change($kind)};

    my $stop = stop_at($worker, $function, int rand 4000);
    my $socket = $edge->send($method => '//edge/' . PROJECT . $rest, $body);

    stopped_after($stop);
    release($stop, 'kill');

    $edge->wait_for('a new worker', sub {
        my @workers = $edge->workers;
        @workers == 1 && $workers[0] != $worker;
    });
}


for my $i (1 .. $kills) {
    my $kind = (qw(create modify rename delete))[$i % 4];
    my $function = 'store_put';

    while (keys %{{ names($waf->request(GET => '')) }} < 4) {
        call(POST => '', upload('n' . ++$names, (qw(rsa ec))[$names % 2]));
    }

    if ($i % 3 == 1) {
        $disk->set(fsync => 28, 0, '/state-edge');

    } elsif ($i % 3 == 0) {
        $disk->mend;
        $function = 'store_written';
    }

    kill_in($function, $kind);

    my %waf = names($waf->request(GET => ''));

    call(PUT => "/$waf{$_}", upload($_, pair($waf{$_}))) for keys %waf;
    call(GET => '');

    is_deeply({ names($edge->request(GET => '//known/' . PROJECT)) }, \%waf,
              "$kind, killed in $function: what the WAF has is known");
}


$disk->mend;

my %waf = names($waf->request(GET => ''));
my %files;

for (1 .. 600) {
    %files = eval { files() };
    last if join(' ', map { $files{$_} } sort keys %files)
            eq join(' ', map { $waf{$_} } sort keys %waf);
    sleep 0.05;
}

is_deeply(\%files, \%waf, 'and the directory has it');

call(DELETE => "/$_") for values %waf;
$edge->wait_for('no file', sub {
    my @left = glob "$edge->{prefix}/state-edge/??/*";
    return !@left;
});
pass('until it is deleted');

$edge->ends_well(qr/cannot be stored|on signal 9|was made again|locked by/);
is(join(' ', glob "$edge->{prefix}/state-edge/??/*"), '', 'nothing is left');
unlike($edge->log, qr/were lost/, 'and nothing was lost');

done_testing();
