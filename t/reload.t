#!/usr/bin/perl

# Reloads under load, with a zone of the same size, of another one, and of one
# that cannot be.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

use constant CLIENTS => 2;

my $server = Wafcert::Server->new(size => '1m',
                                  workers => under_valgrind() ? 2 : 4);
my $stop = "$server->{prefix}/stop";


# Creates, shows, renames and deletes, until it is stopped; some certificates
# are kept.
sub client {
    my ($number) = @_;

    my (@waiting, @failed, %kept, %story);
    my ($i, $answers) = (0, 0);

    $server->load(3, sub {
        my $story = shift @waiting;

        unless ($story) {
            return if -e $stop;

            my $name = "r$number-" . ++$i;

            $story = { name => $name, steps => [
                [ POST => '', upload($name) ],
                [ GET => '', undef ],
                [ PUT => '', qq({"name": "$name-2"}) ],
                $i % 8 || keys %kept > 50 ? [ DELETE => '', undef ] : ()
            ] };
        }

        my ($method, $path, $body) = @{shift @{$story->{steps}}};
        $path = "/$story->{id}" if $story->{id};

        # connections that are kept, and others
        my $request = [ $method, $path, $body,
                        $answers % 2 ? () : 'Connection: close' ];

        $story{$request} = $story;
        return $request;
    }, sub {
        my ($request, $answer) = @_;

        my $story = delete $story{$request};
        $answers++;

        if (!$answer || $answer->{status} != 200) {
            push @failed, "$request->[0] of $story->{name}: "
                          . ($answer ? $answer->verdict : 'closed');
            return;
        }

        $story->{id} //= $answer->json->{id};

        if (@{$story->{steps}}) {
            push @waiting, $story;
        } elsif ($request->[0] ne 'DELETE') {
            $kept{"$story->{name}-2"} = $story->{id};
        }
    });

    # what is not at its end is not looked at
    $server->request(DELETE => "/$_->{id}") for @waiting;

    $server->write_file("client-$number", JSON::PP::encode_json(
        { failed => \@failed, kept => \%kept, answers => $answers }));
}


my %kept = map { $_->json->{name} => $_->json->{id} }
               $server->create(200, 'before-');
is(keys %kept, 200, 'certificates are there before');

my @clients = map {
    my $number = $_;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        my $done = eval { client($number); 1 };
        print STDERR $@ unless $done;
        POSIX::_exit($done ? 0 : 1);
    }

    $pid
} 1 .. CLIENTS;

my @reloads = (
    # size, and what it is refused with
    [ '1m' ],
    [ '2m' ],
    [ '8m' ],
    [ '64k', 'zone "certs" of 65536 bytes is too small for the certificates '
             . 'in it, which take' ],
    [ '8m' ],
    [ '9m',  'zone "certs" can grow to 8388608 bytes by a reload, '
             . '9437184 need a restart' ],
    [ '1m' ],
    [ '768k' ],
    [ '2m' ],
);

for my $reload (@reloads) {
    my ($size, $refusal) = @$reload;

    sleep 0.2;
    $server->settle;

    my @workers = sort $server->workers;
    my $from = length $server->log;

    $server->configure(size => $size);
    my $taken = $server->reload;

    if (!$refusal) {
        ok($taken, "$size is taken");
        next;
    }

    ok(!$taken, "$size is refused");
    my @words = grep { /\[emerg\]/ } split /^/, substr $server->log, $from;
    like("@words", qr/\Q$refusal\E/, 'in words');

    sleep 0.2;
    is(join(' ', sort $server->workers), "@workers",
       'and the workers are the same');
    is($server->request(GET => "/$kept{'before-0'}")->verdict, 200,
       'and work');
}

sleep 0.2;
$server->write_file('stop', '');

my ($answers, @failed) = (0);

for my $number (1 .. CLIENTS) {
    waitpid $clients[$number - 1], 0;
    push @failed, "client $number ended with $?" if $?;

    open my $in, '<', "$server->{prefix}/client-$number" or die "$!\n";
    my $result = JSON::PP::decode_json(<$in>);

    $answers += $result->{answers};
    push @failed, @{$result->{failed}};
    %kept = (%kept, %{$result->{kept}});
}

diag("$answers answers, " . keys(%kept) . ' certificates are kept');
is(join("\n", @failed), '', 'no request fails');
cmp_ok($answers, '>', 5 * @reloads, 'and there were many');

my %stored = $server->stored;

is(join(' ', map { "$_=$stored{$_}" } sort keys %stored),
   join(' ', map { "$_=$kept{$_}" } sort keys %kept), 'nothing is lost');

my @broken;

$server->load(4, do { my @ids = values %kept; sub {
    my $id = shift @ids or return;
    return [ GET => "/$id" ];
} }, sub {
    my ($request, $answer) = @_;
    push @broken, $request->[1]
        unless $answer->{status} == 200
               && $answer->json->{content} =~ /END CERTIFICATE/;
});

is("@broken", '', 'all is as it was');


# Whether a zone that has grown has room for more, and one that has shrunk
# for less.

sub resize {
    my ($size) = @_;

    $server->configure(size => $size);
    my $taken = $server->reload;
    $server->settle;

    return $taken;
}

my $n = 0;

sub fill {
    my $full;

    $server->load(1, sub { $full ? undef : [ POST => '', upload("f$n") ] },
                  sub {
                      $full = $_[1] if $_[1]{status} != 200;
                      $n++ unless $full;
                  });

    return $full->verdict;
}

ok(resize('1m'), '1m');
is(fill(), '403 zone_full', 'is filled');

my $room = keys(%kept) + $n;

ok(resize('2m'), '2m');
is(fill(), '403 zone_full', 'is filled, too');

my $larger = keys(%kept) + $n;

diag("1m has room for $room, 2m for $larger");
cmp_ok($larger, '>', 1.9 * $room, 'with twice as many');

ok(!resize('1m'), '1m is too small for them');
is($server->request(GET => '')->json->{total}, $larger, 'which are all there');

%stored = $server->stored;
my @ids = @stored{grep { /^f/ } keys %stored};

$server->load(8, sub { @ids ? [ DELETE => '/' . shift @ids ] : undef },
              sub { $n-- if $_[1]{status} == 200 });
is($n, 0, 'those are deleted again');

ok(resize('1m'), '1m');
is(fill(), '403 zone_full', 'is filled again');
cmp_ok(abs(keys(%kept) + $n - $room), '<', 10, 'with as many as at first');

is($server->request(GET => '')->json->{total}, keys(%kept) + $n,
   'all are there');

$server->ends_well(map { qr/\[emerg\] .*$_/ }
                       qr/zone "certs" .* is too small/,
                       qr/zone "certs" can grow to/);
done_testing;
