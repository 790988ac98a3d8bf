#!/usr/bin/perl

# The names of a certificate, in whatever bytes they come, and how many.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Server;
use Wafcert::TLS;

my ($port, $edge, $waf) = ports(3);

my $own = certificate(hosts => [ 'own.test' ]);
my $server = Wafcert::Server->new(workers => 2, size => '8m',
                                  state => 'state');
my $ssl = install('own', $own);

$server->configure(http => <<"END");
    wafcert_zone zone=edge:1m;
    log_format reason '\$status \$wafcert_reason';

    server {
        listen 127.0.0.1:$port ssl;
        $ssl
        wafcert_serve zone=certs;
    }

    server {
        listen 127.0.0.1:$edge;
        access_log logs/edge.log reason;

        location /v1/ {
            wafcert_validate zone=edge record=on;
            proxy_pass http://127.0.0.1:$waf;
        }

        location /known/ {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
    }

    server {
        listen 127.0.0.1:$waf;

        location / {
            return 200 '{"id": "0123456789abcdef0123456789abcdef"}';
        }
    }
END

ok($server->reload, 'nginx takes the configuration');
$server->settle;


sub put {
    my ($name, $pair) = @_;

    my $answer = create($server, 'project', $name, $pair);
    is($answer->verdict, '200', "create $name");

    return $answer->json;
}

sub show {
    my ($id) = @_;

    return $server->request(GET => "/$id")->json;
}

sub bound {
    my ($shown) = @_;

    return join ' ', map { $_->{hostname} } @{$shown->{bind_host}};
}


# what no host can have

my $long = join '.', ('a' x 60) x 4;
my $dots = 'a' x 243 . '.' x 60;

my @odd = ('.', '..', '.' x 255, '*', '*.', '*..', '*.*', '*.*.test', 'a*.test',
           '*a.test', 'a.*.test', '.test', 'a..test', 'a.test..', '-.', $dots,
           "$long.test.", "$long.$long", "nul\0.test", "tab\t.test", ' .test',
           "\x7f.test", "\xc3\xbc.test", '');

for my $n (0 .. $#odd) {
    my $name = $odd[$n] =~ s/([^!-~])/sprintf '%%%02x', ord $1/ger;
    my $pair = unsigned([ $odd[$n], "odd-$n.test" ]);
    my $id = put("odd-$n", $pair)->{id};

    is(bound(show($id)), "odd-$n.test", "\"$name\" is no host");
    is(handshake($port, "odd-$n.test")->{leaf}, $pair->{leaf},
       'its other name is served');
    is($server->request(GET => "?serves=$name")->verdict,
       '400 serves_illegal', 'nor can it be asked for')
        unless $name eq '-.' || $name eq "$long.test.";
    is(modify($server, 'project', $id, unsigned([ $odd[$n] ]))->verdict,
       '200', 'modify');
    is(bound(show($id)), '', 'no host is left');
    is(handshake($port, "odd-$n.test")->{leaf}, $own->{leaf},
       'nor is any served');
    is($server->request(DELETE => "/$id")->verdict, '200', 'delete')
        if $n % 2;
}

# in one certificate, and as its common name

my @all = map { ($_, "n$_.test") } 0 .. $#odd;
my $all = put(all => unsigned([ map { $odd[$_], "n$_.test" } 0 .. $#odd ]));
is(bound(show($all->{id})), join(' ', map { "n$_.test" } 0 .. $#odd),
   'all of them in one');

for my $cn ('.', '..', '*', '.test', 'a..test') {
    my $id = put("cn$cn" =~ tr/*/-/r, certificate(cn => $cn))->{id};
    is(bound(show($id)), '', "common name $cn");
    is($server->request(DELETE => "/$id")->verdict, '200', 'delete');
}

my $list = $server->request(GET => '?host=true')->json;
is(scalar(map { @{$_->{bind_host}} } @{$list->{items}}), scalar @odd, 'list');


# a name may have upper case; one with its last dot is another name

my $case = put(case => unsigned([ 'UPPER.test', 'dot.test.' ]));
is(bound(show($case->{id})), 'upper.test', 'upper case, and a last dot');


# equal names are one

my $equal = put(equal => unsigned([ ('same.test', 'Same.TEST') x 4000,
                                    'other.test' ]));
ok("@{$equal->{hosts}}" eq 'same.test other.test', 'equal names');
ok(bound(show($equal->{id})) eq 'same.test other.test', 'bind_host');


# there may be so many

my @many = map { "m$_.test" } 1 .. 1001;
my $most = put(most => unsigned([ (@many[0 .. 999]) x 2 ]));
is(scalar @{$most->{hosts}}, 1000, 'as many as there may be');
ok(bound(show($most->{id})) eq "@many[0 .. 999]", 'bind_host');

my $refused = create($server, 'project', 'many', unsigned(\@many));
is($refused->verdict, '400 content_too_many_hosts', 'one more');
like($refused->json->{error_msg},
     qr/^cert.illegal: the certificate in block 1 .* more than 1000 hosts$/,
     'the sentence');
is(modify($server, 'project', $most->{id}, unsigned(\@many))->verdict,
   '400 content_too_many_hosts', 'modify');
is(create($server, 'project', 'many', unsigned(\@many),
          '?dry_run=true')->verdict,
   '400 content_too_many_hosts', 'dry run');


# an edge passes more, and does not record it

sub known {
    my $answer = $server->request(GET => '//known/v1/project/waf/certificate');

    return join ' ', map { $_->{name} } @{$answer->json->{items}};
}

{
    local $server->{port} = $edge;

    is(create($server, 'project', 'many', unsigned(\@many))->verdict,
       '200', 'an edge passes more');
    is(create($server, 'project', 'many', unsigned(\@many),
              '?dry_run=true')->verdict, '200', 'which a dry run tells, too');

    $server->wait_for('a line in the log', sub {
        return Wafcert::Fixtures::read_file("$server->{prefix}/logs/edge.log")
               =~ /^200 content_too_many_hosts$/m;
    });

    is(known(), '', 'and does not record it');
    is(create($server, 'project', 'few', unsigned([ 'few.test' ]))->verdict,
       '200', 'fewer');
    $server->wait_for('a record', sub { known() eq 'few' });
}


# what was stored stays, with a smaller number too

$server->configure(server => 'wafcert_max_hosts 500;');
ok($server->reload, 'fewer');
$server->settle;

is(create($server, 'project', 'again', unsigned([ @many[0 .. 500] ]))->verdict,
   '400 content_too_many_hosts', 'one more than that');
is($server->request(PUT => "/$most->{id}", '{"name": "most-of-all"}')->verdict,
   '200', 'a new name');

my ($key) = $most->{key} =~ s/\n/\\n/gr;
is($server->request(PUT => "/$most->{id}", qq({"key": "$key"}))->verdict,
   '200', 'its own key');
ok(bound(show($most->{id})) eq "@many[0 .. 999]", 'is as it was');


# names that collide by a hash without a key are as any others

my $collide = "$server->{prefix}/collide";

system('cc', '-O2', '-Wall', '-o', $collide, 't/lib/collide.c') == 0
    or die "t/lib/collide.c was not compiled\n";

chomp(my @collide = `$collide 8000 12`);

$server->configure(server => '');
ok($server->reload, 'as many as before');
$server->settle;

sub used {
    my $used = 0;

    for my $pid ($server->workers) {
        open my $in, '<', "/proc/$pid/schedstat" or next;
        $used += (split ' ', <$in>)[0];
    }

    return $used;
}

my (%used, %id);

for my $n (0 .. 7) {
    my %names = (plain => [ map { "$n-$_.test" } 1 .. 1000 ],
                 collide => [ @collide[1000 * $n .. 1000 * $n + 999] ]);

    for my $what (sort keys %names) {
        my $pair = unsigned($names{$what});
        my $from = used();
        my $answer = create($server, 'project', "$what-$n", $pair);
        push @{$id{$what}}, $answer->json->{id};
        $used{$what} += used() - $from;
    }
}

for my $what (sort keys %id) {
    my $from = used();
    $server->request(DELETE => "/$_") for @{$id{$what}};
    $used{$what} += used() - $from;
}

cmp_ok($used{collide}, '<', 4 * $used{plain}, 'names that collide');


# nor does it matter how many certificates there are for a name's wildcard

$server->request(DELETE => "/$most->{id}");

my $wild = unsigned([ '*.wild.test' ], to => 86400);
put("wild-$_", $wild) for 1 .. 300;
create($server, 'other', "wild-$_", $wild) for 1 .. 300;

my @below = map { "$_.wild.test" } 1 .. 1000;
my %below = (wild => unsigned(\@below),
             plain => unsigned([ map { "$_.else.test" } 1 .. 1000 ]));

undef %used;

for my $what (sort keys %below) {
    my $from = used();
    is(create($server, 'project', 'below', $below{$what},
              '?dry_run=true')->verdict, '200', "dry run, $what");
    my $id = put("below-$what", $below{$what})->{id};
    $used{$what} = used() - $from;
    $server->request(DELETE => "/$id");
}

cmp_ok($used{wild}, '<', 4 * $used{plain}, 'names that a wildcard covers');

# names that change while a show looks at them, in a thousand turns

my %pair = (few => unsigned([ @below[990 .. 999] ]), many => $below{wild});
my $turning = put(turning => $pair{few})->{id};
my %whole = (bound(show($turning)) => 'few');
my @shown;

for (1 .. 10) {
    $server->request(PUT => "/$turning", "{$pair{many}{body}}");
    $whole{bound(show($turning))} //= 'many';

    my ($answer, $modified) = $server->at_once(
        [ GET => "/$turning" ], [ PUT => "/$turning", "{$pair{few}{body}}" ]);

    push @shown, $modified->verdict, $whole{bound($answer->json)} // 'mixed';
}

unlike("@shown", qr/mixed/, 'names that change while they are looked at');
is(keys %whole, 2, 'which are of two kinds');

for my $project ('project', 'other') {
    my $path = Wafcert::TLS::path($project);

    $server->request(DELETE => "$path/$_->{id}")
        for grep { $_->{name} =~ /^wild/ }
                 @{$server->request(GET => $path)->json->{items}};
}

$most = put(most => unsigned([ @many[0 .. 999] ]));


# others have their turn while the names of one are looked at: each turn of the
# event loop has a line in a debug log

$server->configure(level => 'debug');
ok($server->reload, 'a debug log');
$server->settle;

sub turns {
    my (@request) = @_;

    $server->news;
    is($server->request(@request)->verdict, '200', "@request[0, 1]");

    return scalar(() = $server->news =~ /worker cycle/g);
}

SKIP: {
    skip 'nginx has no debug log', 6 unless turns(GET => '');

    my $one = put(turn => unsigned([ 'turn.test' ]));

    my $few = turns(GET => "/$one->{id}");
    my $more = turns(GET => "/$most->{id}");
    cmp_ok($more, '>=', $few + 6, 'show');

    $few = turns(GET => '?host=true&name=turn');
    $more = turns(GET => '?host=true&name=most');
    cmp_ok($more, '>=', $few + 3, 'list');
}

$server->configure(level => 'notice');
ok($server->reload, 'no debug log');
$server->settle;


# they are the same after a restart

sub all_bound {
    return map { $_->{id} => bound($_) }
               @{$server->request(GET => '?host=true')->json->{items}};
}

my %before = all_bound();

$server->stop;
$server->start;

# what was stored is tried again, in threads: each is bound when its trial ends
$server->wait_for('the trials end', sub {
    my %now = all_bound();

    return !grep { ($now{$_} // '') ne $before{$_} } keys %before;
});

my %after = all_bound();

is_deeply(\%after, \%before, 'after a restart');

is($server->request(DELETE => "/$_")->verdict, '200', "delete $_")
    for sort keys %after;

$server->ends_well;
done_testing;
