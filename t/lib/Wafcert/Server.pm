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

use strict;
use warnings;

use Cwd ();
use Exporter qw(import);
use File::Basename ();
use File::Path ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More ();
use Time::HiRes qw(sleep time);

use Wafcert::Fixtures ();

our @EXPORT = qw(upload under_valgrind seeded);

use constant API     => '/v1/project/waf/certificate';
use constant TIMEOUT => 60;

my $json = JSON::PP->new->utf8->allow_nonref;


sub under_valgrind {
    return $ENV{TEST_NGINX_USE_VALGRIND} ? 1 : 0;
}


# The same choices in each run, unless WAFCERT_SEED says otherwise.
sub seeded {
    my $seed = $ENV{WAFCERT_SEED} // 1;

    srand $seed;
    Test::More::diag("WAFCERT_SEED=$seed");
}


# certificates with the key of another
my %key_of = (soon => 'ec', renewed => 'rsa');
my %pair;

# The body of an upload.  One pair under many names is many certificates.
sub upload {
    my ($name, $pair) = @_;

    $pair //= 'ec';

    $pair{$pair} //= join ', ',
        '"content": ' . $json->encode(Wafcert::Fixtures::text("$pair.chain")),
        '"key": ' . $json->encode(Wafcert::Fixtures::text(
                                   ($key_of{$pair} // $pair) . '.key'));

    return qq({"name": "$name", $pair{$pair}});
}


# size      of the zone; default 1m
# workers   default 4
# listen    more parameters of "listen"
# server    more directives for the server
# level     of the error log; default "notice"
sub new {
    my ($class, %arg) = @_;

    my $self = bless {
        size => '1m', workers => 4, listen => '', server => '',
        level => 'notice', owner => $$, %arg
    }, $class;

    my $name = Cwd::getcwd() . '/build/scenarios/'
               . File::Basename::basename($0, '.t');

    # somebody else may run the same test; what was left by runs before goes
    for my $dir (glob "$name-[0-9]*") {
        File::Path::remove_tree($dir) unless kill 0 => $dir =~ /(\d+)$/;
    }

    $self->{prefix} = "$name-$$";
    $self->{port} = free_port();

    # nginx ends with the test, whatever ends it
    $SIG{$_} = sub { exit 1 } for qw(HUP INT TERM);
    $SIG{PIPE} = 'IGNORE';

    File::Path::make_path("$self->{prefix}/logs", "$self->{prefix}/temp");

    $self->configure;
    $self->start;

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

    my $temp = join '', map { "    ${_}_temp_path temp/$_;\n" }
                            qw(client_body proxy fastcgi uwsgi scgi);

    $self->write_file('nginx.conf', <<"END");
load_module $module;
daemon off;
worker_processes $self->{workers};
pid logs/nginx.pid;
error_log logs/error.log $self->{level};
worker_shutdown_timeout 30s;

events {
    worker_connections 1024;
}

http {
    access_log off;
    keepalive_requests 1000000;
    add_header X-Worker \$pid always;
$temp
    wafcert_zone zone=certs:$self->{size};

    server {
        listen 127.0.0.1:$self->{port} backlog=1024 $self->{listen};
        $self->{server}

        location /v1/ {
            wafcert_api zone=certs;
            wafcert_auth off;
        }

        location = /empty {
            return 204;
        }
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


sub start {
    my ($self) = @_;

    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";

    my @command = ($ENV{TEST_NGINX_BINARY} // 'nginx', '-p',
                   "$self->{prefix}/", '-c', 'nginx.conf',
                   '-e', 'logs/error.log');

    unshift @command, 'valgrind', split ' ', $ENV{TEST_NGINX_USE_VALGRIND}
        if under_valgrind();

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$self->{prefix}/logs/out";
        open STDERR, '>&', \*STDOUT;
        { exec @command };
        POSIX::_exit(127);
    }

    $self->{master} = $pid;

    $self->wait_for('nginx starts', sub {
        die "nginx did not start:\n" . $self->log
            if waitpid($pid, POSIX::WNOHANG()) == $pid;

        return $self->workers == $self->{workers} && $self->socket(quiet => 1);
    });
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{master} or return;

    kill QUIT => $pid;

    for (1 .. TIMEOUT * 50) {
        return 1 if waitpid($pid, POSIX::WNOHANG()) == $pid;
        sleep 0.02;
    }

    kill KILL => $self->workers($pid), $pid;
    waitpid $pid, 0;

    return 0;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$ && $self->{master};

    local ($?, $@);
    kill TERM => $self->{master};
    waitpid $self->{master}, 0;
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

    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my $stat = <$in> // next;

        my ($pid, $state, $parent) = $stat =~ /^(\d+) \(.*\) (\S) (\d+)/s;
        push @pids, $pid if $parent == $master && $state ne 'Z';
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
