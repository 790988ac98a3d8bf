#!/usr/bin/perl

# Random sets of certificates, of several projects: for any name, the first
# that "?serves=" lists is what a client gets.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my $sets = $ENV{WAFCERT_SETS} // (under_valgrind() ? 50 : 1000);
my ($port) = ports(1);

seeded();

sub any {
    return $_[rand @_];
}

my @names = map { ("$_.test", "www.$_.test", "a.www.$_.test", "*.$_.test") }
                qw(a b);
my @projects = qw(one two three);

my @pairs = map {
    my @span = @{any([ -86400 * 9, -86400 ], [ 86400, 86400 * 9 ],
                     ([ -86400, 86400 * 9 ]) x 6)};

    # of two that are alike, the later upload wins; but two of a second are
    # a matter of their own
    $span[0] += $_;

    certificate(hosts => [ map { any(@names) } 1 .. 1 + rand 3 ],
                type => any(qw(ec ec rsa ed rsa1024)), chain => rand() < 0.8,
                from => $span[0], to => $span[1]);
} 1 .. 60;

my $own = certificate(hosts => [ 'own.test' ]);
my $server = Wafcert::Server->new(workers => 2, size => '2m');
my $ssl = install('own', $own);

$server->configure(http => <<"END");
    wafcert_serve_cache 20;

    server {
        listen 127.0.0.1:$port ssl;
        wafcert_serve zone=certs;
        ssl_protocols TLSv1.2 TLSv1.3;
        $ssl
        location / { return 200 "\$wafcert_served_id"; }
    }
END

ok($server->reload, 'the configuration is taken');
$server->settle;

my (@stored, %of, $serial);

sub change {
    my $victim = int rand @stored;

    if (@stored < 4 || @stored < 25 && rand() < 0.4) {
        my $new = { project => any(@projects), pair => any(@pairs) };
        my $answer = create($server, $new->{project}, 'n' . ++$serial,
                            $new->{pair});
        die $answer->verdict . "\n" if $answer->{status} != 200;

        $new->{id} = $answer->json->{id};
        $of{$new->{id}} = $new;
        push @stored, $new;

    } elsif (rand() < 0.5) {
        my ($gone) = splice @stored, $victim, 1;
        $server->request(DELETE => Wafcert::TLS::path($gone->{project})
                                   . "/$gone->{id}");

    } else {
        my $changed = $stored[$victim];
        $changed->{pair} = any(@pairs);
        my $answer = modify($server, $changed->{project}, $changed->{id},
                            $changed->{pair});
        die $answer->verdict . "\n" if $answer->{status} != 200;
    }
}

my (@faults, %seen);

SET: for my $set (1 .. $sets) {
    change() for 1 .. 1 + rand 3;

    my $host = any(grep { !/\*/ } @names);
    my @first;

    for my $project (@projects) {
        my ($first) = serves($server, $project, $host);
        push @first, $first if $first && $first->{reason} eq 'served';
    }

    my $got = handshake($port, $host);
    my $want = @first ? $of{$first[0]{id}}{pair} : $own;

    # what has expired is nobody's, and any project's may win
    push @faults, "$set: $host: " . @first . ' winners' if @first > 1;
    push @faults, "$set: $host: got $got->{sent}$got->{failed}"
        if $got->{sent} ne $want->{sent};
    push @faults, "$set: $host: id $got->{body}"
        if $got->{body} ne (@first ? $first[0]{id} : '');

    $seen{@first ? 'served' : 'own'}++;
    last if @faults > 3;
}

is(join("\n", @faults), '', "$sets sets");
diag(join ', ', map { "$seen{$_} $_" } sort keys %seen);

$server->ends_well;
done_testing;
