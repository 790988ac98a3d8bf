package Wafcert::Upstream;

# What stands behind an edge, and does what a test wants it to:
#
#   my $waf = Wafcert::Upstream->new(
#       answer => sub { my ($socket, $request) = @_; ... });
#
# A process for each connection.  Each request is kept as it came, and the sub
# of its X-Waf header (or "default") writes the answer to the socket; what it
# returns is whether the connection is to be kept.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use IO::Socket::INET ();
use POSIX ();

use Exporter qw(import);

our @EXPORT_OK = qw(http);


sub new {
    my ($class, %behaviour) = @_;

    my $self = bless { behaviour => \%behaviour, owner => $$ }, $class;

    $self->{socket} = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                            Listen => 64)
        or die "listen: $!\n";
    $self->{port} = $self->{socket}->sockport;

    $self->{dir} = Cwd::getcwd() . '/build/scenarios/'
                   . File::Basename::basename($0, '.t') . "-upstream-$self->{port}";
    File::Path::make_path($self->{dir});

    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        setpgrp;
        $self->serve;
        POSIX::_exit(0);
    }

    return $self;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$;

    local ($?, $@);
    kill TERM => -$self->{pid};
    waitpid $self->{pid}, 0;
    File::Path::remove_tree($self->{dir});
}


# What has come since it was asked last, in that order.
sub requests {
    my ($self) = @_;

    my @requests;

    for my $file (sort glob "$self->{dir}/*.request") {
        open my $in, '<:raw', $file or next;
        local $/;
        push @requests, scalar <$in>;
        unlink $file;
    }

    return @requests;
}


# An answer on the wire.
sub http {
    my ($status, $body, @headers) = @_;

    push @headers, 'Content-Length: ' . length $body
        unless grep { /^(?:Content-Length|Transfer-Encoding)/i } @headers;

    return join "\r\n", "HTTP/1.1 $status X", 'Content-Type: application/json',
                @headers, '', $body;
}


sub serve {
    my ($self) = @_;

    local $SIG{CHLD} = 'IGNORE';
    local $SIG{TERM} = 'DEFAULT';
    local $SIG{PIPE} = 'IGNORE';

    my $n = 0;

    while (my $socket = $self->{socket}->accept) {
        $n++;

        my $pid = fork;
        next if $pid;

        $self->connection($socket, $n);
        POSIX::_exit(0);
    }
}


sub connection {
    my ($self, $socket, $n) = @_;

    my $data = '';

    for (my $i = 0; ; $i++) {
        my $request = head($socket, \$data) // return;

        my ($name) = $request =~ /^X-Waf: *(\S+)/mi;
        my $early = ($name // '') =~ /^early/;

        $request .= body($socket, \$data, $request) unless $early;

        my $file = sprintf '%s/%06d-%03d', $self->{dir}, $n, $i;
        open my $out, '>:raw', "$file.new";
        print $out $request;
        close $out;
        rename "$file.new", "$file.request";

        my $sub = $self->{behaviour}{$name // 'default'} or return;

        $sub->($socket, $request) or return;
    }
}


sub more {
    my ($socket, $data) = @_;

    return sysread $socket, $$data, 65536, length $$data;
}


sub head {
    my ($socket, $data) = @_;

    until ($$data =~ /\r\n\r\n/) {
        more($socket, $data) or return;
    }

    return substr $$data, 0, index($$data, "\r\n\r\n") + 4, '';
}


sub body {
    my ($socket, $data, $head) = @_;

    if (my ($length) = $head =~ /^Content-Length: *(\d+)/mi) {
        while (length $$data < $length) {
            more($socket, $data) or last;
        }

        return substr $$data, 0, $length, '';
    }

    return '' unless $head =~ /^Transfer-Encoding: *chunked/mi;

    until ($$data =~ /(?:^|\r\n)0\r\n\r\n/) {
        more($socket, $data) or last;
    }

    $$data =~ s/\A(.*?0\r\n\r\n)//s;

    return $1;
}

1;
