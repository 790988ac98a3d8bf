#!/usr/bin/perl

# Tokens of a real Keystone, which "tools/test keystone" installs.

use strict;
use warnings;

use Cwd ();
use File::Path ();
use File::Temp ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Wafcert::Server;

plan skip_all => 'WAFCERT_KEYSTONE has no port for it: tools/test keystone'
    unless $ENV{WAFCERT_KEYSTONE};

require Wafcert::Keystone;

my $keystone = Wafcert::Keystone->new($ENV{WAFCERT_KEYSTONE});

# who may what
$keystone->grant(PUT => @$_)
    for [ alice => 'alpha', 'member' ], [ alice => 'alpha', 'te_admin' ],
        [ alice => 'beta', 'WAF Administrator' ], [ bob => 'beta', 'reader' ],
        [ dave => 'alpha', 'member' ], [ erin => 'alpha', 'member' ],
        [ erin => 'beta', 'member' ], [ frank => 'gamma', 'member' ],
        [ gateway => 'service', 'service' ];
$keystone->user('carol');

my ($alpha, $beta, $gamma) = map { $keystone->project($_) }
                                 qw(alpha beta gamma);

my $dir = Cwd::getcwd() . '/build/keystone';

# where a worker may read whoever it is
my $public = File::Temp::tempdir(CLEANUP => 1);
chmod 0755, $public;

my $relay = relay($ENV{WAFCERT_KEYSTONE});
END { kill KILL => $relay->{pid} if $relay }

service($keystone->login('admin', scope => 'admin'));

my $proxy = "internal; proxy_buffer_size 32k; proxy_buffers 4 32k;
             proxy_read_timeout 5s; proxy_connect_timeout 1s;";
my $tokens = "proxy_pass $keystone->{url}/auth/tokens";

my $server = Wafcert::Server->new(
    # 104 places for tokens
    size => '1280k', workers => 2, level => 'debug',
    api => 'wafcert_auth request=/iam; wafcert_auth_cache 0;',
    server => <<"END"
large_client_header_buffers 4 32k;

location = /iam { $proxy $tokens?nocatalog; }
location = /iam-catalog { $proxy $tokens; }

location = /iam-cut {
    $proxy
    proxy_pass http://127.0.0.1:$relay->{port}/v3/auth/tokens?nocatalog;
}

location = /iam-401 { return 401; }

location /catalog/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-catalog;
}

location /cut/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam-cut;
}

location /wrong/v1/ {
    error_log logs/error.log notice;
    wafcert_api zone=certs;
    wafcert_auth request=/iam-401;
}

location /cached/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_cache 4s;
}

location /long/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_cache 1h;
}

location /service/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_cache 0;
    wafcert_auth_service token_file=$public/service.token;
}

location /roles/v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam;
    wafcert_auth_roles "write=te_admin,WAF Administrator" read=reader;
}
END
);


# What Keystone answers when it is asked without the gateway.
sub raw {
    my ($subject, $asker) = @_;

    return $keystone->{http}->get("$keystone->{url}/auth/tokens?nocatalog", {
        headers => { 'X-Auth-Token' => $asker // $subject,
                     'X-Subject-Token' => $subject } })->{status};
}

sub url {
    my ($at, $project) = @_;

    return '/' . ($at ? "/$at" : '') . "/v1/$project/waf/certificate";
}

sub verdict {
    my ($token, $project, $at, $method, $id) = @_;

    return $server->request($method // 'GET',
                            url($at, $project) . ($id ? "/$id" : ''), undef,
                            "X-Auth-Token: $token")->verdict;
}

sub service {
    my ($token) = @_;

    spew("$public/service.new", "$token\n");
    rename "$public/service.new", "$public/service.token";
}

# A relay to Keystone that cuts answers after so many bytes as a file says.
sub relay {
    my ($port) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16)
                 // die "listen: $!\n";
    my $pid = fork // die "fork: $!\n";

    return { pid => $pid, port => $socket->sockport } if $pid;

    for ( ;; ) {
        my $client = $socket->accept or next;
        my $peer = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
                   or next;

        open my $in, '<', "$dir/cut" or next;
        my $rest = <$in>;

        sysread $client, my $request, 65536;
        syswrite $peer, $request;

        while ($rest > 0 && sysread $peer, my $data, $rest) {
            $rest -= syswrite $client, $data;
        }
    }
}

my %token;
sub login { return $token{join ' ', @_, time} = $keystone->login(@_) }


# The rows of the table: asked with the caller's own token, and by a service.

sub row {
    my ($what, $token, $project, $raw, $raw_service, $verdict) = @_;

    my $admin = $keystone->{admin};

    like(raw($token), qr/^$raw$/, "$what: Keystone, asked with it");
    is(verdict($token, $project), $verdict, 'and the gateway');
    is(raw($token, $admin), $raw_service, 'Keystone, asked by a service');
    is(verdict($token, $project, 'service'), $verdict, 'and the gateway');
}

{
    my $alice = login('alice', scope => 'alpha');

    row('valid', $alice, $alpha, 200, 200, '200');
    row('of another project', $alice, $beta, 200, 200, '401 token_project');
    row('unscoped', login('carol'), $alpha, 200, 200, '401 token_project');
    row('unscoped, of a member', login('alice'), $alpha, 200, 200,
        '401 token_project');
    row('of the system', login('admin', scope => 'system'), $alpha, 200, 200,
        '401 token_project');
    # asked with a token that is no longer valid, Keystone says 401, or 404
    # where it remembers who asks, or since version 27

    my $no = qr/40[14]/;

    row('garbage', 'garbage', $alpha, 401, 404, '401 token_invalid');
    row('changed', $alice =~ s/(.{20})$/reverse $1/er, $alpha, 401, 404,
        '401 token_invalid');
    row('16 kB', 'gAAAAA' . 'x' x 16378, $alpha, 401, 404,
        '401 token_invalid');

    my $revoked = login('alice', scope => 'alpha');
    row('to be revoked', $revoked, $alpha, 200, 200, '200');
    $keystone->revoke($revoked);
    row('revoked', $revoked, $alpha, $no, 404, '401 token_invalid');
    row('not revoked', $alice, $alpha, 200, 200, '200');

    my $dave = login('dave', scope => 'alpha');
    row('a user', $dave, $alpha, 200, 200, '200');
    $keystone->enable(user => $keystone->user('dave'), 0);
    row('who is disabled', $dave, $alpha, $no, 404, '401 token_invalid');

    my $erin = login('erin', scope => 'alpha');
    row('a role', $erin, $alpha, 200, 200, '200');
    $keystone->grant(DELETE => 'erin', 'alpha', 'member');
    row('that is taken away', $erin, $alpha, $no, 404, '401 token_invalid');

    my $frank = login('frank', scope => 'gamma');
    row('a project', $frank, $gamma, 200, 200, '200');
    $keystone->enable(project => $gamma, 0);
    row('that is disabled', $frank, $gamma, 404, 404, '401 token_invalid');
    $keystone->enable(project => $gamma, 1);

    $server->wait_for('Keystone enables a project',
                      sub { raw($frank) == 200 });
    row('and enabled again', $frank, $gamma, 200, 200, '200');
    row('with a new token', login('frank', scope => 'gamma'), $gamma, 200,
        200, '200');

    # the service account

    my $bob = login('bob', scope => 'beta');
    is(raw($alice, $bob), 403, 'a stranger asks');
    service($bob);
    sleep 1.1;
    is(verdict($alice, $alpha, 'service'), '500 iam_unavailable',
       'the service account may not ask');

    service('garbage');
    sleep 1.1;
    is(raw($alice, 'garbage'), 401, 'asked with a token that is not valid');
    is(verdict($alice, $alpha, 'service'), '500 iam_unavailable',
       'is not the fault of the token asked about');

    service(login('gateway', scope => 'service'));
    sleep 1.1;
    is(verdict($alice, $alpha, 'service'), '200',
       'the role "service" may ask');

    is(verdict($alice, $alpha, 'catalog'), '200', 'with the catalog');
}


# Roles.

for ([ alice => 'alpha', '200', '404 not_found' ],
     [ alice => 'beta', '200', '404 not_found' ],
     [ bob => 'beta', '200', '401 token_role' ],
     [ erin => 'beta', '200', '401 token_role' ],   # a member is a reader
     [ gateway => 'service', '401 token_role', '401 token_role' ])
{
    my ($user, $project, $read, $write) = @$_;
    my $token = login($user, scope => $project);
    my $id = $keystone->project($project);

    is(verdict($token, $id, 'roles'), $read, "$user reads $project");
    is(verdict($token, $id, 'roles', 'DELETE', '0' x 32), $write,
       "$user writes $project");
}


# Revoked in the middle of the cache's life.

{
    my $token = login('alice', scope => 'alpha');

    is(verdict($token, $alpha, 'cached'), '200', 'a token');
    my $start = time;
    $keystone->revoke($token);
    is(verdict($token, $alpha, 'cached'), '200', 'that is revoked now')
        if time - $start < 3;
    sleep $start + 4.1 - time if $start + 4.1 > time;
    is(verdict($token, $alpha, 'cached'), '401 token_invalid',
       'and refused when it is asked about again');
}


# Keystone that is away, is slow, or cuts its answers.

{
    my @tokens = map { login('alice', scope => 'alpha') } 1 .. 6;
    my $new = login('alice', scope => 'beta');

    is(verdict($_, $alpha, 'long'), '200', 'a token that is known') for @tokens;

    my @pids = $keystone->pids;
    kill STOP => @pids;
    my $start = time;
    is(verdict($new, $beta, 'long'), '500 iam_unavailable',
       'Keystone is stopped by a signal');
    cmp_ok(time - $start, '<', 10, 'which is a time-out');
    is(verdict($tokens[0], $alpha, 'long'), '200', 'one that is known');
    kill CONT => @pids;
    is(verdict($new, $beta, 'long'), '200', 'Keystone goes on');

    for my $cut (0, 10, 100, 500, 900) {
        spew("$dir/cut", $cut);

        is(verdict($new, $beta, 'cut'), '500 iam_unavailable',
           "an answer of $cut bytes");
    }

    spew("$dir/cut", 100_000);
    is(verdict($new, $beta, 'cut'), '200', 'and all of it');

    Wafcert::Keystone::stop();

    $new = $tokens[5] =~ s/.{10}$//r;
    is(verdict($new, $alpha, 'long'), '500 iam_unavailable',
       'Keystone is gone');
    is(verdict($new, $alpha), '500 iam_unavailable', 'for all that ask it');
    is(verdict($tokens[0], $alpha, 'long'), '200', 'but who is known');

    my (%status, $sent);
    my $n = 6000;
    $start = time;

    $server->load(16, sub {
        return if $sent++ == $n;
        return [ GET => url('wrong', $alpha), undef,
                 "X-Auth-Token: wrong-$sent" ];
    }, sub {
        my ($request, $answer) = @_;
        $status{$answer ? $answer->verdict : 'none'}++;
    });

    is_deeply(\%status, { '401 token_invalid' => $n }, "$n wrong tokens");
    diag(sprintf '%d wrong tokens a second, and room for 52',
         $n / (time - $start));

    is(verdict($_, $alpha, 'long'), '200', 'one that is still known')
        for @tokens;

    # for the tokens of the next part

    open my $conf, '>>', "$dir/keystone.conf" or die;
    print $conf "[token]\nexpiration = 8\n";
    close $conf;

    Wafcert::Keystone::start();
    is(verdict(login('alice', scope => 'alpha'), $alpha, 'long'), '200',
       'Keystone is back');
}


# A token expires on a kept connection.

{
    my $token = login('alice', scope => 'alpha');
    my $end = time + 8;
    my $socket = $server->socket;

    my $wire = Wafcert::Server::wire(GET => url('long', $alpha), undef,
                                     "X-Auth-Token: $token");
    my %verdict;

    while (time < $end + 2) {
        my $time = time;
        Wafcert::Server::write_all($socket, $wire);
        my $verdict = Wafcert::Server::read_answer($socket)->verdict;

        $verdict{$time < $end - 2 ? 'before' : $time > $end + 1 ? 'after'
                                                    : 'about'}{$verdict}++;
        sleep 0.1;
    }

    is_deeply([ map { keys %{$verdict{$_}} } qw(before after) ],
              [ '200', '401 token_invalid' ],
              'a token expires in the middle of a connection');

    is(verdict($token, $alpha), '401 token_invalid', 'Keystone says the same');
    is(raw($token), 401, 'and by itself');
}


# The example, with TLS; and the client that people have.

{
    system('tools/keystone', 'stop', $dir);
    my $conf = slurp("$dir/keystone.conf") =~ s/\[token\].*//sr;
    spew("$dir/keystone.conf", $conf);
    Wafcert::Keystone::start();

    my $example = "$dir/example";
    my ($port, $tls) = map { Wafcert::Server::free_port() } 1, 2;

    system('sh', '-c', '. tools/lib.sh; example "$@"', 'sh',
           'conf-examples/keystone.conf', $example, $port) == 0 or die;

    certificates("$example/conf");

    $conf = slurp("$example/conf/nginx.conf");
    $conf =~ s/127\.0\.0\.1:5000/127.0.0.1:$tls/g;
    $conf =~ s/\}\s*\z/<<"END"/e;
    server {
        listen 127.0.0.1:$tls ssl;
        ssl_certificate iam.pem;
        ssl_certificate_key iam.key;
        large_client_header_buffers 4 32k;

        location \/ {
            proxy_pass http:\/\/127.0.0.1:$ENV{WAFCERT_KEYSTONE};
            proxy_buffer_size 32k;
            proxy_buffers 4 32k;
        }
    }
}
END
    spew("$example/conf/nginx.conf", $conf);

    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
    my $nginx = "nginx -p $example/ -c conf/nginx.conf -e logs/error.log";
    is(system($nginx), 0, 'the example starts');

    my %os = (AUTH_URL => $keystone->{url}, USERNAME => 'alice',
              PASSWORD => 'alice', PROJECT_NAME => 'alpha',
              USER_DOMAIN_NAME => 'Default', PROJECT_DOMAIN_NAME => 'Default',
              IDENTITY_API_VERSION => 3);
    local @ENV{map { "OS_$_" } keys %os} = values %os;
    local $ENV{no_proxy} = '*';

    chomp(my $token = `openstack token issue -f value -c id`);
    like($token, qr/^gAAAA/, 'openstack logs in');
    $token{openstack} = $token;

    spew("$dir/upload.json", upload('by-curl'));
    spew("$dir/header", "X-Auth-Token: $token\n");

    my $url = "http://127.0.0.1:$port/v1/$alpha/waf/certificate";
    my $curl = "curl -s --noproxy '*' -H \@$dir/header";

    my $answer = `$curl --data-binary \@$dir/upload.json -H 'Content-Type: application/json' $url`;
    my ($id) = $answer =~ /"id":"([0-9a-f]{32})"/;
    ok($id, 'an upload') or diag $answer;
    like(`$curl $url`, qr/"total":1.*"by-curl"/s, 'a list');
    like(`$curl -X DELETE $url/$id`, qr/"$id"/, 'a delete');
    like(`$curl $url`, qr/"total":0/, 'and nothing is left');
    like(slurp("$example/logs/error.log"),
         qr/wafcert delete: .* token "alice"/, 'the log has the user');

    # another CA: what the service says is not to be trusted

    certificates("$dir/other");
    spew("$example/conf/iam-ca.pem", slurp("$dir/other/iam-ca.pem"));
    system("$nginx -s reload");
    sleep 1;

    spew("$dir/header", 'X-Auth-Token: ' . login('bob', scope => 'beta')
                        . "\n");
    $server->wait_for('the other CA', sub {
        return `$curl $url` =~ /"iam_unavailable"/;
    });
    like(slurp("$example/logs/error.log"), qr/certificate verify error/,
         'the log has the cause');

    system("$nginx -s stop");
}

sub slurp {
    open my $in, '<', $_[0] or die "$_[0]: $!\n";
    local $/;
    return scalar <$in>;
}

sub spew {
    my ($file, $text) = @_;

    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}

# a CA and the service's certificate
sub certificates {
    my ($to) = @_;

    File::Path::make_path($to);
    spew("$to/ext", "subjectAltName = DNS:iam.example.com\n");

    system('sh', '-c', <<'END', 'sh', $to) == 0 or die "openssl\n";
cd "$1" && exec 2>openssl.log &&
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=CA -days 2 \
    -keyout ca.key -out iam-ca.pem &&
openssl req -newkey rsa:2048 -nodes -subj /CN=iam -keyout iam.key \
    -out iam.csr &&
openssl x509 -req -in iam.csr -CA iam-ca.pem -CAkey ca.key -CAcreateserial \
    -days 2 -extfile ext -out iam.pem
END
}


# No token in any log, at the level "debug".

{
    my %span;

    for my $token (values %token, $keystone->{admin}) {
        $span{substr $token, $_, 24} = 1 for 0 .. length($token) - 24;
    }

    cmp_ok(keys %span, '>', 1000, 'there are tokens to look for');

    my @logs = ($server->{prefix} . '/logs/error.log',
                glob "$dir/example/logs/*.log");
    my @leaks;

    for my $file (@logs) {
        my $log = slurp($file);

        while ($log =~ /([A-Za-z0-9_-]{24,})/g) {
            my $run = $1;
            push @leaks, "$file:" . (substr($log, 0, pos $log) =~ tr/\n// + 1)
                if grep { $span{substr $run, $_, 24} } 0 .. length($run) - 24;
        }
    }

    is("@leaks", '', 'no token is in a log');
}

$server->ends_well;

done_testing();
