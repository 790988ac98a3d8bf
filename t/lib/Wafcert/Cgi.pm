package Wafcert::Cgi;

# Takes requests by FastCGI, SCGI or uwsgi, asks an HTTP server on a port of its
# own machine, and gives back the answer:
#
#   my $fastcgi = Wafcert::Cgi->new(fastcgi => $waf->{port});
#   ... "fastcgi_pass 127.0.0.1:$fastcgi->{port}" ...
#
# The parameters REQUEST_METHOD, REQUEST_URI and CONTENT_LENGTH must be there.

use strict;
use warnings;

use IO::Socket::INET ();
use POSIX ();

my %protocols = (
    fastcgi => [ \&read_fastcgi, \&fastcgi ],
    scgi => [ \&read_scgi, sub { $_[0] } ],
    uwsgi => [ \&read_uwsgi, sub { $_[0] } ],
);


sub new {
    my ($class, $protocol, $port) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
        or die "listen: $!\n";
    my $self = bless { port => $socket->sockport, owner => $$ }, $class;

    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        local $SIG{PIPE} = 'IGNORE';

        while (my $client = $socket->accept) {
            eval { answer($client, $port, @{$protocols{$protocol}}) };
            warn $@ if $@;
        }

        POSIX::_exit(0);
    }

    return $self;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$;

    local ($?, $@);
    kill TERM => $self->{pid};
    waitpid $self->{pid}, 0;
}


sub answer {
    my ($client, $port, $read, $wrap) = @_;

    my ($params, $body) = $read->($client);

    my $http = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "connect: $!\n";

    print $http join "\r\n",
        "$params->{REQUEST_METHOD} $params->{REQUEST_URI} HTTP/1.1",
        'Host: waf', 'Connection: close', 'Content-Length: ' . length $body,
        '', $body;
    $http->flush;
    shutdown $http, 1;

    my $answer = do { local $/; <$http> };
    $answer =~ s{^HTTP/1\.1 }{Status: };

    print $client $wrap->($answer);
    $client->flush;
}


sub bytes {
    my ($socket, $len) = @_;

    my $data = '';

    while (length $data < $len) {
        read $socket, $data, $len - length $data, length $data
            or die "the request ends early\n";
    }

    return $data;
}


sub read_scgi {
    my ($socket) = @_;

    my $len = '';

    until ($len =~ s/:$//) {
        $len .= bytes($socket, 1);
    }

    my %params = split /\0/, bytes($socket, $len) =~ s/\0\z//r, -1;
    bytes($socket, 1);

    return (\%params, bytes($socket, $params{CONTENT_LENGTH} || 0));
}


sub read_uwsgi {
    my ($socket) = @_;

    my (undef, $len) = unpack 'C v', bytes($socket, 4);
    my %params = unpack '(v/a)*', bytes($socket, $len);

    return (\%params, bytes($socket, $params{CONTENT_LENGTH} || 0));
}


# Records: 4 are parameters, 5 is the body.  An empty one ends either.
sub read_fastcgi {
    my ($socket) = @_;

    my %data = (4 => '', 5 => '');

    while () {
        my (undef, $type, undef, $len, $padding)
            = unpack 'C C n n C', bytes($socket, 8);
        my $record = bytes($socket, $len);

        bytes($socket, $padding);
        $data{$type} .= $record;

        last if $type == 5 && $len == 0;
    }

    my %params;

    while (length $data{4}) {
        my @lens = map {
            my $len = unpack 'C', $data{4};
            $len < 128 ? unpack 'C', substr $data{4}, 0, 1, ''
                       : 0x7fffffff & unpack 'N', substr $data{4}, 0, 4, ''
        } 1 .. 2;

        my ($name, $value) = map { substr $data{4}, 0, $_, '' } @lens;
        $params{$name} = $value;
    }

    return (\%params, $data{5});
}


# Records: 6 is the answer, 3 its end.
sub fastcgi {
    my ($answer) = @_;

    return join '', map { pack 'C C n n C C a*', 1, $_->[0], 1,
                               length $_->[1], 0, 0, $_->[1] }
           [ 6, $answer ], [ 6, '' ], [ 3, "\0" x 8 ];
}


1;
