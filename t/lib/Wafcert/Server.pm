package Wafcert::Server;

# A real nginx with several workers, in a directory of its own below
# build/scenarios, and a small HTTP client, for tests that try a whole story:
#
#   my $server = Wafcert::Server->new(size => '4m', workers => 4);
#   my $answer = $server->request(POST => '', upload('name'));
#
# Paths are below the API of a project, an answer is a hash of status,
# headers, body and json, or undef where the connection was closed first.
# Nothing is ever sent twice, except where a kept connection is closed before
# the first byte of an answer: that is what nginx does to idle connections of
# an old worker, and all clients send again.
#
# With WAFCERT_EDGE in the environment, clients talk to an edge that records in
# front of that.

use strict;
use warnings;

use Cwd ();
use Digest::SHA ();
use Exporter qw(import);
use File::Basename ();
use File::Find ();
use File::Path ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More ();
use Time::HiRes qw(sleep time);

use Wafcert::Fixtures ();

our @EXPORT = qw(upload under_valgrind under_asan seeded);

use constant API     => '/v1/project/waf/certificate';
use constant TIMEOUT => $ENV{TEST_NGINX_USE_VALGRIND} ? 240 : 60;

my $json = JSON::PP->new->utf8->allow_nonref;


sub under_valgrind {
    return $ENV{TEST_NGINX_USE_VALGRIND} ? 1 : 0;
}


# It keeps what is freed; the module is built in.
sub under_asan {
    return $ENV{WAFCERT_ASAN} ? 1 : 0;
}


# The same choices in each run, unless WAFCERT_SEED says otherwise.
sub seeded {
    my $seed = $ENV{WAFCERT_SEED} // 1;

    srand $seed;
    Test::More::diag("WAFCERT_SEED=$seed");

    return $seed;
}


# the fixtures of a pair, where they are not its own .chain and .key
my %files = (
    soon    => [ qw(soon.chain ec.key) ],
    renewed => [ qw(renewed.chain rsa.key) ],
    pkcs1   => [ qw(rsa.chain rsa.pkcs1) ],
    sec1    => [ qw(ec.chain ec.sec1) ],
    full    => [ qw(rsa.full rsa.key) ],
    alone   => [ qw(rsa.crt rsa.key) ],
    example => [ qw(request.sent request.key) ],
);
my %pair;

# The body of an upload.  One pair under many names is many certificates.
sub upload {
    my ($name, $pair) = @_;

    $pair //= 'ec';

    $pair{$pair} //= do {
        my ($content, $key) = map { $json->encode(Wafcert::Fixtures::text($_)) }
                                  @{$files{$pair} // [ "$pair.chain",
                                                       "$pair.key" ]};
        qq("content": $content, "key": $key);
    };

    return qq({"name": "$name", $pair{$pair}});
}


# name      of its directory; default the test's
# size      of the zone; default 1m
# state     directory, below that of the server; default none
# seal_key  file, made where it is missing; default "seal.key"
# zone      more parameters of "wafcert_zone"
# workers   default 4
# listen    more parameters of "listen"
# server    more directives for the server
# api       what is there besides "wafcert_api zone=certs" in "location /v1/"
# main      more directives for nginx itself
# events    and for events
# http      and for http
# level     of the error log; default "notice"
# daemon    1: as for a binary upgrade
# env       what nginx is to find in its environment, by name
# start     0: not yet
# prefix    its directory; default one of its own
sub new {
    my ($class, %arg) = @_;

    my $self = bless {
        name => File::Basename::basename($0, '.t'), size => '1m',
        workers => 4, listen => '', server => '', main => '', events => '', http => '',
        api => 'wafcert_auth off;', state => '', seal_key => 'seal.key',
        zone => '', level => 'notice', daemon => 0, env => {}, start => 1,
        owner => $$, %arg
    }, $class;

    my $name = Cwd::getcwd() . "/build/scenarios/$self->{name}";

    # somebody else may run the same test; what was left by runs before goes
    for my $dir (glob "$name-[0-9]*") {
        File::Path::remove_tree($dir) unless kill 0 => $dir =~ /(\d+)$/;
    }

    $self->{prefix} //= "$name-$$";
    $self->{port} = free_port();

    # nginx ends with the test, whatever ends it
    $SIG{$_} = sub { exit 1 } for qw(HUP INT TERM);
    $SIG{PIPE} = 'IGNORE';

    File::Path::make_path("$self->{prefix}/logs", "$self->{prefix}/temp");

    $self->configure;
    $self->start if $self->{start};

    return $self;
}


sub free_port {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
           ->sockport;
}


sub configure {
    my ($self, %arg) = @_;

    @$self{keys %arg} = values %arg;

    my $module = $ENV{TEST_NGINX_LOAD_MODULES}
                 // Cwd::getcwd() . '/build/ngx_http_wafcert_module.so';
    my $load = $module eq '' ? '' : "load_module $module;";

    my $temp = join '', map { "    ${_}_temp_path temp/$_;\n" }
                            qw(client_body proxy fastcgi uwsgi scgi);

    my $daemon = $self->{daemon} ? 'on' : 'off';
    my $zone = "zone=certs:$self->{size} $self->{zone}";
    my $user = reachable($self->{prefix}) ? '' : 'user root;';

    if ($self->{state}) {
        $zone .= " state=$self->{state} seal_key=$self->{seal_key}";
        $self->seal_key($self->{seal_key});
    }

    my $location = "wafcert_api zone=certs; $self->{api}";
    my $server = $self->{server};
    my $waf = '';

    $waf = $self->edge(\$location, \$server) if $ENV{WAFCERT_EDGE};

    $self->write_file('nginx.conf', <<"END");
$load
daemon $daemon;
worker_processes $self->{workers};
pid logs/nginx.pid;
error_log logs/error.log $self->{level};
worker_shutdown_timeout 30s;
$user
$self->{main}

events {
    worker_connections 1024;
    $self->{events}
}

http {
    access_log off;
    keepalive_requests 1000000;
    add_header X-Worker \$pid always;
$temp
    wafcert_zone $zone;
    $self->{http}
    $waf

    server {
        listen 127.0.0.1:$self->{port} backlog=1024 $self->{listen};
        $server

        location /v1/ {
            $location
        }

        location = /empty {
            return 204;
        }
    }
}
END
}


# Whether workers that are not root could get at a directory.
sub reachable {
    my ($dir) = @_;

    for ( ; $dir; $dir =~ s{/[^/]*\z}{}) {
        return 0 if $> == 0 && !((stat $dir)[2] & 1);
    }

    return 1;
}


# Puts an edge where the API would be, and returns the server that has the API.
# Tokens that an IAM service judges are the edge's to judge, in each location.
sub edge {
    my ($self, $location, $server) = @_;

    my $iam = $$location =~ /request=/;
    my $api = $iam ? 'wafcert_api zone=certs; wafcert_auth off;' : $$location;
    my @return_key = $$server =~ /\A[^{]*?(wafcert_return_key \w+;)/;

    my $edge = <<'END';
wafcert_validate zone=edge record=on;
            proxy_pass http://waf;
            proxy_http_version 1.1;
            client_max_body_size 0;
            proxy_next_upstream error timeout non_idempotent;
            proxy_set_header Host localhost;
            proxy_set_header Connection "";
END

    $$location =~ s/wafcert_api zone=certs;/$edge/;
    $$server =~ s{(location /\S*v1/\S* \{\s*)wafcert_api zone=certs;}
                 {$1$edge}g if $iam;

    $self->{waf_port} //= free_port();

    return <<"END";
    wafcert_zone zone=edge:$self->{size};

    upstream waf {
        server 127.0.0.1:$self->{waf_port};
        keepalive 64;
        keepalive_requests 1000000;
    }

    server {
        listen 127.0.0.1:$self->{waf_port} backlog=1024;
        large_client_header_buffers 4 32k;
        @return_key

        location / {
            $api
        }
    }
END
}


sub write_file {
    my ($self, $name, $text) = @_;

    open my $out, '>', "$self->{prefix}/$name" or die "$name: $!\n";
    print $out $text;
    close $out or die "$name: $!\n";
}


# nginx takes what is not absolute to be below the prefix
sub path {
    my ($self, $name) = @_;

    return $name =~ m{^/} ? $name : "$self->{prefix}/$name";
}


# Makes a seal key, unless there is one.
sub seal_key {
    my ($self, $name) = @_;

    my $file = $self->path($name);

    return if -e $file;
    system('tools/seal-key', $file) == 0 or die "tools/seal-key failed\n";
}


sub command {
    my ($self) = @_;

    # a binary upgrade looks for no file in $PATH

    my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';

    $nginx = (grep { -x } map { "$_/$nginx" }
                  split(/:/, $ENV{PATH}), '/usr/sbin')[0] // $nginx
        unless $nginx =~ m{/};

    return ($nginx, '-p', "$self->{prefix}/", '-c', 'nginx.conf',
            '-e', 'logs/error.log');
}


sub run {
    my ($self, $out, @command) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$self->{prefix}/$out";
        open STDERR, '>&', \*STDOUT;
        @ENV{keys %{$self->{env}}} = values %{$self->{env}};
        { exec @command };
        POSIX::_exit(127);
    }

    return $pid;
}


# Whether "nginx -t" takes the configuration, and what it says.
sub test {
    my ($self) = @_;

    waitpid $self->run('logs/test', $self->command, '-t'), 0;

    return ($? == 0, Wafcert::Fixtures::read_file("$self->{prefix}/logs/test"));
}


sub start {
    my ($self) = @_;

    my @command = $self->command;

    unshift @command, 'valgrind', split ' ', $ENV{TEST_NGINX_USE_VALGRIND}
        if under_valgrind();

    my $from = length $self->log;

    # one that was killed has left its file
    unlink "$self->{prefix}/logs/nginx.pid" if $self->{daemon};

    my $pid = $self->run('logs/out', @command);

    if ($self->{daemon}) {
        waitpid $pid, 0;

        # it ends before its child has written the file
        $self->wait_for('a pid', sub { $pid = $self->pid('nginx.pid') })
            unless $?;
    }

    $self->{master} = $pid;

    $self->wait_for('nginx starts', sub {
        if ($? && $self->{daemon} || gone($pid)) {
            delete $self->{master};
            die "nginx did not start:\n" . substr $self->log, $from;
        }

        return $self->workers == $self->{workers} && $self->socket(quiet => 1);
    });
}


# What nginx says where it does not start.
sub refuses_to_start {
    my ($self) = @_;

    return if eval { $self->start; 1 };
    return $@;
}


sub pid {
    my ($self, $file) = @_;

    open my $in, '<', "$self->{prefix}/logs/$file" or return;
    my ($pid) = (<$in> // '') =~ /^(\d+)$/;

    return $pid;
}


# a process that may be ours, or a daemon
sub gone {
    my ($pid) = @_;

    local $?;
    my $waited = waitpid $pid, POSIX::WNOHANG();

    return $waited == $pid || $waited == -1 && !kill 0 => $pid;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{master} or return;

    kill QUIT => $pid;

    for (1 .. TIMEOUT * 50) {
        return 1 if gone($pid);
        sleep 0.02;
    }

    $self->{master} = $pid;
    $self->kill_all;

    return 0;
}


# Nobody is told to stop.
sub kill_all {
    my ($self) = @_;

    my $pid = delete $self->{master} or return;

    # no new worker, not even one that is being forked, while the old ones are
    # counted
    kill STOP => $pid;
    $self->wait_for('the master stops', sub {
        open my $stat, '<', "/proc/$pid/stat" or return 1;
        return <$stat> =~ /\) [TZ] /;
    });

    my @pids = ($pid, $self->workers($pid));

    kill KILL => @pids;
    $self->wait_for('all end', sub { !grep { !gone($_) } @pids });
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$ && $self->{master};

    local ($?, $@);
    my $old = $self->pid('nginx.pid.oldbin');

    for my $pid ($self->{master}, $self->{daemon} && $old ? $old : ()) {
        kill TERM => $pid;
        sleep 0.02 until gone($pid);
    }
}


# Calls "ready" until it is true.
sub wait_for {
    my ($self, $what, $ready, $timeout) = @_;

    my $end = time + ($timeout // TIMEOUT);

    until ($ready->()) {
        die "$what: not within time\n" if time > $end;
        sleep 0.01;
    }

    return 1;
}


# Reloads, and tells whether nginx took the new configuration.
sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers;
    my $from = length $self->log;
    my $taken;

    kill HUP => $self->{master};

    $self->wait_for('reload', sub {
        my $news = substr $self->log, $from;

        return defined($taken = 0) if $news =~ /\[emerg\]/;

        return $taken = $news =~ /reconfiguring/
                        && $self->{workers}
                           == grep { !$old{$_} } $self->workers;
    });

    return $taken;
}


# Starts another master beside this one, as for a new binary, and returns the
# old one.
sub upgrade {
    my ($self) = @_;

    my $old = $self->{master};
    my $new;

    kill USR2 => $old;

    $self->wait_for('a new master', sub {
        $new = $self->pid('nginx.pid');
        return $new && $new != $old && $self->pid('nginx.pid.oldbin')
               && $self->workers($new) == $self->{workers};
    });

    $self->{master} = $new;

    return $old;
}


# Ends when the workers of the configuration before are gone.
sub settle {
    my ($self) = @_;

    $self->wait_for('old workers end',
                    sub { $self->workers == $self->{workers} });
}


sub workers {
    my ($self, $master) = @_;

    my @pids;
    $master //= $self->{master};

    # a new binary is a child of the old one
    my $other = $self->pid('nginx.pid') // 0;

    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my $stat = <$in> // next;

        my ($pid, $state, $parent) = $stat =~ /^(\d+) \(.*\) (\S) (\d+)/s;
        push @pids, $pid
            if $parent == $master && $state ne 'Z' && $pid != $other;
    }

    return @pids;
}


# Private memory of a process, in kB.
sub memory {
    my ($self, $pid) = @_;

    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$in>) =~ /^RssAnon:\s+(\d+)/m;

    return $kb;
}


sub memory_of_all {
    my ($self) = @_;

    return (sort { $b <=> $a } map { $self->memory($_) } $self->workers)[0];
}


sub log {
    my ($self) = @_;

    open my $in, '<', "$self->{prefix}/logs/error.log" or return '';
    local $/;

    return scalar(<$in>) // '';
}


# What the log has since it was asked for last.
sub news {
    my ($self) = @_;

    my $log = $self->log;
    my $from = $self->{read} // 0;

    $self->{read} = length $log;
    return substr $log, $from;
}


# How it tells that a directory was loaded.
sub loaded {
    my ($self, $n, $refused) = @_;

    my $dir = quotemeta $self->path($self->{state});

    return qr/\[notice\] .*zone "certs": loaded $n certificates from "$dir" (?#
             )in \d+ ms, ${\($refused \/\/ 0)} files were refused$/m;
}


# The lines of it that are like a pattern.
sub news_like {
    my ($self, $pattern) = @_;

    return grep { /$pattern/ } split /^/, $self->news;
}


# Stops, and tests that the log has nothing that it should not have.
sub ends_well {
    my ($self, @allowed) = @_;

    Test::More::ok($self->stop, 'nginx stops when it is told to');

    my @bad = grep {
        my $line = $_;
        $line =~ /\[(?:alert|emerg|crit)\]|zero size buf|was locked by
                  |exited\ on\ signal|header\ already\ sent/x
            && !grep { $line =~ $_ } @allowed
    } split /^/, $self->log;

    Test::More::is(join('', @bad[0 .. ($#bad > 9 ? 9 : $#bad)]), '',
                   'error.log is clean');
}


# The client.

# receive   size of the receive buffer
sub socket {
    my ($self, %arg) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!\n";

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $arg{receive}
        if $arg{receive};

    return $socket if connect $socket, $self->address;
    return if $arg{quiet};

    die "connect: $!\n";
}


sub address {
    my ($self) = @_;

    return Socket::pack_sockaddr_in($self->{port},
                                    Socket::inet_aton('127.0.0.1'));
}


# What stands on the wire.  "path" starts below the API, or with "//".
sub wire {
    my ($method, $path, $body, @headers) = @_;

    my $target = $path =~ m{^/(/.*)}s ? $1 : API . $path;

    push @headers, 'Content-Length: ' . length $body
        if defined $body && !grep { /^(?:Content-Length|Transfer-Enc)/i }
                                  @headers;

    return join "\r\n", "$method $target HTTP/1.1", 'Host: localhost',
                @headers, '', $body // '';
}


sub request {
    my ($self, @request) = @_;

    my ($answer) = $self->at_once(\@request);

    return $answer;
}


# Sends a request, and does not wait for its answer.
sub send {
    my ($self, @request) = @_;

    my $socket = $self->socket;
    write_all($socket, wire(@request[0 .. 2], 'Connection: close',
                            @request[3 .. $#request]));

    return $socket;
}


# Sends requests, each an array, over as many connections: all but the last
# byte first, and then all of the last bytes.
sub at_once {
    my ($self, @requests) = @_;

    my @wires = map { wire(@$_[0 .. 2], 'Connection: close',
                           @$_[3 .. $#$_]) }
                    @requests;
    my @sockets = map { $self->socket } @requests;

    write_all($sockets[$_], substr $wires[$_], 0, -1) for 0 .. $#wires;
    write_all($sockets[$_], substr $wires[$_], -1) for 0 .. $#wires;

    return map { read_answer($_) } @sockets;
}


sub write_all {
    my ($socket, $data) = @_;

    while (length $data) {
        my $n = syswrite $socket, $data;
        return 0 unless defined $n;
        substr $data, 0, $n, '';
    }

    return 1;
}


sub read_answer {
    my ($socket, $timeout) = @_;

    my $select = IO::Select->new($socket);
    my $data = '';

    for ( ;; ) {
        die "no answer within time\n"
            unless $select->can_read($timeout // TIMEOUT);

        my $n = sysread $socket, $data, 65536, length $data;
        my $answer = parse(\$data);

        return $answer if $answer;
        return unless $n;
    }
}


# Takes an answer, if it is all there, from the start of the data.
sub parse {
    my ($data) = @_;

    for ( ;; ) {
        my $end = index $$data, "\r\n\r\n";
        return if $end < 0;

        my ($line, @lines) = split /\r\n/, substr $$data, 0, $end;
        my ($status) = $line =~ /^HTTP\/1\.1 (\d{3})/ or die "$line\n";
        my %headers = map { /^([^:]+):\s*(.*)/ ? (lc $1, $2) : () } @lines;

        if ($status == 100) {
            substr $$data, 0, $end + 4, '';
            next;
        }

        my ($body, $size) = parse_body($data, $end + 4, $status, \%headers);
        return unless defined $size;

        substr $$data, 0, $size, '';

        return bless { status => $status, headers => \%headers,
                       body => $body }, 'Wafcert::Server::Answer';
    }
}


sub parse_body {
    my ($data, $at, $status, $headers) = @_;

    if (defined(my $length = $headers->{'content-length'})) {
        return if length($$data) < $at + $length;
        return (substr($$data, $at, $length), $at + $length);
    }

    return ('', $at) unless $headers->{'transfer-encoding'};

    # a chunk is looked at when there is a chance that it is the last

    return if index($$data, "\r\n0\r\n\r\n", $at - 2) < 0;

    my $body = '';

    for ( ;; ) {
        pos($$data) = $at;
        $$data =~ /\G([0-9a-f]+)\r\n/gc or return;

        my $length = hex $1;
        $at = pos($$data) + $length + 2;

        return if length $$data < $at;
        return ($body, $at) unless $length;

        $body .= substr $$data, pos $$data, $length;
    }
}


# Requests from "next" (an array, or undef: no more), over a number of kept
# connections, and each with its answer to "done".  With "once", nothing is
# sent again.
sub load {
    my ($self, $connections, $next, $done, %arg) = @_;

    my ($read, $write) = (IO::Select->new, IO::Select->new);
    my (%busy, @idle);

    my $send = sub {
        my ($c) = @_;

        @$c{qw(in out)} = ('', wire(@{$c->{request}}));
        $busy{fileno $c->{socket}} = $c;
        $read->add($c->{socket});
        $write->add($c->{socket});
    };

    my $connect = sub {
        my ($c) = @_;

        $c->{socket} = $self->socket;
        $c->{socket}->blocking(0);
        $c->{used} = 0;
    };

    my $finish = sub {
        my ($c, $answer) = @_;

        $read->remove($c->{socket});
        $write->remove($c->{socket});
        delete $busy{fileno $c->{socket}};

        if (!$answer && $c->{used} && $c->{in} eq '' && !$arg{once}) {
            $connect->($c);
            $send->($c);
            return;
        }

        my $close = !$answer
                    || ($answer->{headers}{connection} // '') eq 'close';

        $c->{used} = 1;
        push @idle, $c unless $close;
        $done->($c->{request}, $answer);
    };

    my $more = 1;

    for ( ;; ) {
        while ($more && keys %busy < $connections) {
            my $request = $next->();

            if (!$request) {
                $more = 0;
                last;
            }

            my $c = pop @idle // {};
            $c->{request} = $request;
            $connect->($c) unless $c->{socket};
            $send->($c);
        }

        last unless %busy;

        my ($readable, $writable) =
            IO::Select->select($read, $write, undef, TIMEOUT)
            or die "no answer within time\n";

        for my $socket (@$writable) {
            my $c = $busy{fileno $socket} or next;
            my $n = syswrite $socket, $c->{out};

            substr $c->{out}, 0, $n, '' if $n;
            $write->remove($socket)
                if $c->{out} eq '' || !defined $n && !$!{EAGAIN};
        }

        for my $socket (@$readable) {
            my $c = $busy{fileno $socket} or next;
            my $n = sysread $socket, $c->{in}, 65536, length $c->{in};

            next if !defined $n && $!{EAGAIN};

            my $answer = parse(\$c->{in});
            $finish->($c, $answer) if $answer || !$n;
        }
    }
}


# Creates "n" certificates, and returns their answers in that order.
sub create {
    my ($self, $n, $name, $pair) = @_;

    my (@answers, %number);
    my $i = 0;

    $self->load(8, sub {
        return if $i == $n;
        my $request = [ POST => '', upload($name . $i, $pair) ];
        $number{$request} = $i++;
        return $request;
    }, sub {
        my ($request, $answer) = @_;
        $answers[$number{$request}] = $answer;
    });

    return @answers;
}


# All that clients can see of a project, as text: the list, and each of it.
sub snapshot {
    my ($self, $project) = @_;

    my $path = $project ? "//v1/$project/waf/certificate" : '';
    my $list = $self->request(GET => $path);
    my @ids = map { $_->{id} } @{$list->json->{items}};
    my %shown;

    $self->load(8, do { my @todo = @ids; sub {
        @todo ? [ GET => "$path/" . shift @todo ] : undef
    } }, sub {
        my ($request, $answer) = @_;
        my ($id) = $request->[1] =~ /(\w+)$/;

        $shown{$id} = join ' ', $answer->{status},
                      $answer->{headers}{etag} // '-', $answer->{body};
    });

    return join '', "$list->{body}\n", map { "$_ $shown{$_}" } @ids;
}


# Tests that it still is as it was.  What differs is told in a few words.
sub shows {
    my ($self, $was, $name, $project) = @_;

    my $is = $self->snapshot($project);

    return Test::More::pass($name) if $is eq $was;

    my @lines = map { [ split /\n/ ] } $is, $was;
    my ($first) = grep { ($lines[0][$_] // '') ne ($lines[1][$_] // '') }
                       0 .. 1e6;

    Test::More::fail($name);
    Test::More::diag(map { my $line = $_->[$first] // 'nothing';
                           $line =~ s/"(?:content|key)":"[^"]*",//g;
                           '... ' . substr($line, 0, 400) . "\n" } @lines);
    return 0;
}


# The file of a record.
sub record {
    my ($self, $id) = @_;

    return $self->path($self->{state}) . '/' . substr($id, 0, 2) . "/$id.json";
}


# What there is below the state directory: type, mode, path and content of
# each, but for directories as nginx makes them, and for what is only between
# several nginx.
sub files {
    my ($self, $state) = @_;

    my $dir = $self->path($state // $self->{state});
    my @files;

    File::Find::find({ no_chdir => 1, wanted => sub {
        my $name = substr $_, length $dir;
        return if $name eq '' || $name eq '/changes';

        my @stat = lstat or return;
        my $type = -d _ ? 'd' : -f _ ? 'f' : '?';

        return if $type eq 'd' && ($stat[2] & 07777) == 0700;

        my $digest = $type eq 'f' && -s _ < 1e6
                     ? Digest::SHA::sha256_hex(Wafcert::Fixtures::read_file($_))
                     : '';

        push @files, sprintf "%s %04o %s %s", $type, $stat[2] & 07777, $name,
                             $digest;
    } }, $dir) if -d $dir;

    return join "\n", sort @files;
}


# Tests that they still are as they were.
sub keeps {
    my ($self, $was, $name, $state) = @_;

    my %was = map { $_ => 1 } split /\n/, $was;
    my %is = map { $_ => 1 } split /\n/, $self->files($state);
    my @differ = ((map { "+ $_" } grep { !$was{$_} } sort keys %is),
                  (map { "- $_" } grep { !$is{$_} } sort keys %was));

    return Test::More::is(join("\n", grep { defined } @differ[0 .. 9]), '',
                          $name);
}


# The names and ids that a list has.
sub stored {
    my ($self) = @_;

    return map { $_->{name} => $_->{id} }
               @{$self->request(GET => '')->json->{items}};
}


package Wafcert::Server::Answer;

sub json {
    my ($self) = @_;

    return $self->{json} //= $json->decode($self->{body});
}

sub reason {
    my ($self) = @_;

    return $self->{status} == 200 ? '' : $self->json->{reason} // '';
}

# As it is told in a test: "200", "403 zone_full".
sub verdict {
    my ($self) = @_;

    return join ' ', grep { length } $self->{status}, $self->reason;
}

1;
