package Wafcert::Iam;

# An IAM service that answers as the subject token tells it to, which is
# something that no Keystone can be made to do.
#
#     my $iam = Wafcert::Iam->new;
#     $iam->token('chunked', project => 'p', roles => ['member'])
#
# makes a token for which the answer comes in chunks.  What was asked stands
# in $iam->asked, a hash of headers for each time.

use strict;
use warnings;

use Cwd ();
use File::Path ();
use IO::Socket::INET ();
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Time::HiRes qw(sleep time);

use constant PROCESSES => 32;

my $json = JSON::PP->new->canonical;
my $made = 0;


sub new {
    my ($class) = @_;

    my $dir = Cwd::getcwd() . '/build/scenarios';
    File::Path::make_path($dir);

    my $self = bless {
        log => "$dir/asked-$$.log", owner => $$, seen => 0,
        socket => IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                        Listen => 1024, ReuseAddr => 1)
                  // die "listen: $!\n"
    }, $class;

    $self->{port} = $self->{socket}->sockport;
    $self->start;

    return $self;
}


sub start {
    my ($self) = @_;

    $self->{pid} = fork // die "fork: $!\n";
    return if $self->{pid};

    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM);
    setpgrp;

    # each serves one connection at a time

    for (2 .. PROCESSES) {
        last unless fork // die "fork: $!\n";
    }

    for ( ;; ) {
        my $client = $self->{socket}->accept or next;
        eval { serve($self, $client) };
    }
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$;

    local ($?, $@);
    kill KILL => -$self->{pid};
    waitpid $self->{pid}, 0;
    unlink $self->{log};
}


# Members: project, roles, user, expires (in seconds from now, or text),
# gated (how many more roles), catalog (its size), delay (of the answer, in
# seconds), pad (length of the token), status and body.
sub token {
    my ($self, $kind, %arg) = @_;

    $arg{expires} = POSIX::strftime('%Y-%m-%dT%H:%M:%S.000000Z',
                                    gmtime time + ($arg{expires} // 3600))
        unless ($arg{expires} // 0) =~ /[^0-9]/;

    my $token = MIME::Base64::encode_base64url(
        $json->encode({ kind => $kind, n => ++$made, project => 'p',
                        roles => ['member'], user => 'alice', %arg,
                        run => "$$." . time }));

    $token .= '.' . 'x' x ($arg{pad} - length($token) - 1) if $arg{pad};

    return $token;
}


# What was asked since the last call.
sub asked {
    my ($self) = @_;

    open my $in, '<', $self->{log} or return;
    seek $in, $self->{seen}, 0;
    my @asked = map { $json->decode($_) } <$in>;
    $self->{seen} = tell $in;

    return @asked;
}


sub serve {
    my ($self, $client) = @_;

    my $data = '';

    for ( ;; ) {
        my $end;

        while (($end = index $data, "\r\n\r\n") < 0) {
            sysread $client, $data, 65536, length $data or return;
        }

        my ($line, @headers) = split /\r\n/, substr $data, 0, $end + 4, '';
        my %header = (':line' => $line,
                      map { /^([^:]+): *(.*)/ ? (lc $1, $2) : () } @headers);

        open my $log, '>>', $self->{log} or die;
        syswrite $log, $json->encode(\%header) . "\n";
        close $log;

        my $subject = $header{'x-subject-token'} // '';
        my $how = eval { $json->decode(MIME::Base64::decode_base64url(
                                       $subject =~ s/\..*//r)) }
                  // { kind => 'status', status => 401 };

        sleep $how->{delay} if $how->{delay};
        answer($client, $how, \%header) or return;
    }
}


sub body {
    my ($how) = @_;

    my %token = (
        expires_at => $how->{expires}, methods => ['password'],
        roles => [ map { { id => "id-$_", name => $_ } }
                       (map { "op_gated_$_" } 1 .. $how->{gated} // 0),
                       @{$how->{roles}} ],
        user => { id => 'u', name => $how->{user} },
        $how->{catalog} ? (catalog => 'x' x $how->{catalog}) : (),
        $how->{project} ? (project => { id => $how->{project},
                                        name => 'name' })
                        : (system => { all => JSON::PP::true }),
    );

    return $json->encode({ token => \%token });
}


# How the service answers; true: the connection is kept.
my %answer = (
    # with a length
    ok => sub {
        my ($client, $how) = @_;
        my $body = body($how);
        put($client, head(200, 'Content-Length: ' . length $body), $body);
    },

    chunked => sub {
        my ($client, $how) = @_;
        my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                              body($how) =~ /.{1,777}/gs;
        put($client, head(200, 'Transfer-Encoding: chunked'), $chunks,
            "0\r\n\r\n");
    },

    # its end is the connection's
    closed => sub {
        my ($client, $how) = @_;
        put($client, head(200, 'Connection: close'), body($how));
        return 0;
    },

    # a few bytes at a time
    dribble => sub {
        my ($client, $how) = @_;
        my $body = body($how);
        put($client, head(200, 'Content-Length: ' . length $body));
        for ($body =~ /.{1,100}/gs) {
            put($client, $_);
            sleep 0.01;
        }
        return 1;
    },

    cut => sub {
        my ($client, $how) = @_;
        my $body = body($how);
        put($client, head(200, 'Content-Length: ' . length $body),
            substr $body, 0, length($body) / 2);
        return 0;
    },

    cut_chunk => sub {
        my ($client, $how) = @_;
        my $body = body($how);
        put($client, head(200, 'Transfer-Encoding: chunked'),
            sprintf("%x\r\n", length $body),
            substr $body, 0, length($body) / 2);
        return 0;
    },

    cut_close => sub {
        my ($client, $how) = @_;
        my $body = body($how);
        put($client, head(200, 'Connection: close'),
            substr $body, 0, length($body) / 2);
        return 0;
    },

    bad_chunk => sub {
        my ($client, $how) = @_;
        put($client, head(200, 'Transfer-Encoding: chunked'),
            sprintf("%x\r\n", 10), substr(body($how), 0, 10), "\r\nxyz\r\n");
        return 0;
    },

    nothing => sub { return 0 },

    # until the client has had enough
    hang => sub {
        my ($client) = @_;
        sysread $client, my $data, 1;
        return 0;
    },

    status => sub {
        my ($client, $how) = @_;
        my $body = $how->{body} // '{"error": {"code": ' . $how->{status}
                                   . ', "message": "x", "title": "y"}}';
        put($client, head($how->{status}, 'Content-Length: ' . length $body),
            $body);
    },

    # a header of the answer that is too long for any buffer
    header => sub {
        my ($client, $how) = @_;
        put($client, head(200, 'X-Padding: ' . 'x' x 100000,
                          'Content-Length: 2'), '{}');
        return 0;
    },
);


sub answer {
    my ($client, $how, $header) = @_;

    return $answer{$how->{kind}}->($client, $how, $header);
}


sub head {
    my ($status, @headers) = @_;

    return join "\r\n", "HTTP/1.1 $status X", 'Content-Type: application/json',
                @headers, '', '';
}


sub put {
    my ($client, @parts) = @_;

    my $data = join '', @parts;

    while (length $data) {
        my $n = syswrite $client, $data;
        return 0 unless $n;
        substr $data, 0, $n, '';
    }

    return 1;
}

1;
