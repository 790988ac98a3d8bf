#!/usr/bin/perl

# The clock of the server is wrong for a moment, and right again: so is what it
# sends.

use strict;
use warnings;

use Cwd ();
use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

use constant DAY => 86400;

my ($port) = ports(1);
my $own = certificate(hosts => [ 'own.test' ]);
my $ssl = install('own', $own);

my $server = Wafcert::Server->new(workers => 1, start => 0);
my $clock = "$server->{prefix}/clock";

system('cc', '-O', '-Wall', '-shared', '-fPIC', '-o', "$clock.so",
       't/lib/clock.c') == 0
    or die "t/lib/clock.c was not compiled\n";

# in place: the server has it in memory
sub ahead {
    my ($days) = @_;

    open my $out, '+<', $clock or die "$clock: $!\n";
    syswrite $out, pack 'q', $days * DAY;
    close $out;

    # nginx has the time of its last event
    $server->request(GET => '') for $server->{master} ? (1, 2) : ();
}

$server->write_file('clock', pack 'q', 0);
$server->configure(env => { LD_PRELOAD => "$clock.so",
                            WAFCERT_CLOCK => $clock }, http => <<"END");
    server {
        listen 127.0.0.1:$port ssl;
        $ssl
        wafcert_serve zone=certs;
    }
END
$server->start;

my $owner = certificate(hosts => [ 'x.a.test' ], to => 90 * DAY);
my $wild = certificate(hosts => [ '*.a.test' ], to => 400 * DAY);
my $other = certificate(hosts => [ 'x.a.test' ], to => 400 * DAY);

sub gets {
    my ($pair, $what) = @_;

    is(handshake($port, 'x.a.test')->{leaf}, $pair->{leaf}, $what);
}

is(create($server, 'project', 'own', $owner)->verdict, '200', 'the host\'s');
is(create($server, 'project', 'wild', $wild)->verdict, '200', 'a wildcard');

ahead(100);
gets($wild, 'the clock is ahead: the exact one has expired');
ahead(0);
gets($owner, 'and right again');

is(create($server, 'other', 'later', $other)->verdict, '200',
   'of another project');
ahead(100);
gets($wild, 'ahead: the host is still the project\'s');

is(create($server, 'third', 'c',
          certificate(hosts => [ 'c.test' ], to => 90 * DAY))->verdict,
   '200', 'another host');

ahead(0);
gets($owner, 'right again');

ahead(-100);
gets($own, 'the clock is behind: nothing is valid yet');
ahead(0);
gets($owner, 'right again');

ok($server->request(DELETE => '/' . (map { $_->{id} } grep {
       $_->{name} eq 'wild' } @{$server->request(GET => '')->json->{items}})[0])
   ->verdict eq '200', 'no wildcard');

ahead(100);
gets($other, 'ahead: it is the other project\'s');
ahead(0);
gets($owner, 'right again, and the owner\'s');


# who had a host first does not depend on the clock

sub first_of_two {
    my ($host, $one, $two, $what) = @_;

    my @pairs = map { certificate(hosts => [ $host ], from => -20 * DAY) } 1, 2;

    ahead($one);
    is(create($server, 'first', $host, $pairs[0])->verdict, '200', $what);
    ahead($two);
    my $answer = create($server, 'second', $host, $pairs[1]);
    is($answer->verdict, '200', 'another one');
    ahead(0);

    is(handshake($port, $host)->{leaf}, $pairs[0]->{leaf}, 'the first one\'s');
    like(join(' ', map { $_->{reason} } @{$answer->json->{warnings}}),
         qr/host_taken/, 'warning') if $one <= $two;
}

first_of_two('right.test', 0, 0, 'a right clock');
first_of_two('ahead.test', 10, 0, 'the clock is ahead');
first_of_two('behind.test', 0, -10, 'the clock is right');

$server->ends_well;
done_testing;
