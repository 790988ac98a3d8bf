package Wafcert::Client;

# A client that makes changes, one after the other, and writes into a journal
# what Wafcert::Ledger reads.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes ();

use Wafcert::Fixtures ();
use Wafcert::Ledger ();
use Wafcert::Server;

our @pairs = qw(rsa renewed ec soon p384 ed);

my $json = JSON::PP->new->allow_nonref;


# server    a Wafcert::Server
# journal   a file
# name      of the client, for its names of certificates and requests
# known     certificates: id => [ revision, name, pair ]
sub new {
    my ($class, %arg) = @_;

    open my $journal, '>>', $arg{journal} or die "$arg{journal}: $!\n";

    # nothing but the one write stands between an answer and its line
    return bless { etag => {}, number => 0, %arg, journal => $journal,
                   known => { %{$arg{known} // {}} } }, $class;
}


sub connect {
    my ($self) = @_;

    return $self->{socket} //= $self->{server}->socket(quiet => 1);
}


sub note {
    my ($self, @words) = @_;

    my $line = join(' ', map { $_ // '-' } @words) . "\n";

    syswrite($self->{journal}, $line) == length $line or die "journal: $!\n";
}


sub body {
    my ($kind, $name, $pair) = @_;

    return upload($name, $pair) if defined $name && defined $pair;
    return qq({"name": "$name"}) if defined $name;

    # an upload without its name, and a renewal without its key
    my $body = upload('', $pair) =~ s/"name": "", //r;
    $body =~ s/, "key": .*/}/s if $kind eq 'renew';

    return $body;
}


# Makes a change.  Returns the answer, or undef: there was none.
sub ask {
    my ($self, $kind, $id, $name, $pair, @headers) = @_;

    my $request = "$self->{name}." . ++$self->{number};
    my $wire = Wafcert::Server::wire(
        $kind eq 'create' ? (POST => '', body($kind, $name, $pair), @headers)
        : $kind eq 'delete' ? (DELETE => "/$id", undef, @headers)
        : (PUT => "/$id", body($kind, $name, $pair), @headers));

    my $socket = $self->connect // return;

    $self->note('begin', $request, $kind, $id, $name, $pair);

    Wafcert::Server::write_all($socket, $wire);
    my $answer = Wafcert::Server::read_answer($socket);

    if (!$answer || ($answer->{headers}{connection} // '') eq 'close') {
        delete $self->{socket};
    }

    $self->answered($request, $kind, $id, $answer) if $answer;

    return $answer;
}


sub answered {
    my ($self, $request, $kind, $id, $answer) = @_;

    my %is = members($answer);

    $self->note('end', $request, $answer->{status},
                $answer->{status} == 200
                ? (undef, @is{qw(id revision name)},
                   pair_of($is{fingerprint}))
                : $is{reason});

    $id //= $is{id} // return;

    if ($answer->{status} == 404
        || $answer->{status} == 200 && $kind eq 'delete')
    {
        delete $self->{known}{$id};

    } elsif ($answer->{status} == 200) {
        $self->{known}{$id} = [ @is{qw(revision name)},
                                pair_of($is{fingerprint}) ];
        $self->{etag}{$id} = $answer->{headers}{etag};
    }
}


# The members that are no objects and no arrays: to decode an answer is slow.
sub members {
    my ($answer) = @_;

    my %is;
    $is{$1} //= $2 while $answer->{body} =~ /"(\w+)": *"?([^",}]*)/g;

    return %is;
}


my %pair_of;

sub pair_of {
    my ($fingerprint) = @_;

    if (!%pair_of) {
        require Digest::SHA;
        require MIME::Base64;

        for my $pair (@pairs) {
            my ($base64) = Wafcert::Fixtures::text("$pair.crt")
                           =~ /-----BEGIN[^\n]*\n(.*?)-----END/s;
            $pair_of{Digest::SHA::sha256_hex(
                MIME::Base64::decode($base64))} = $pair;
        }
    }

    return $pair_of{$fingerprint // ''} // 'unknown';
}


# Makes changes at random until "stop" is true or nginx is gone.
sub run {
    my ($self, $stop) = @_;

    my @again;

    until ($stop->()) {
        my @change = @again && rand() < 0.5 ? @again : $self->change;
        my $answer = $self->ask(@change);

        # what was not answered may be asked for again
        @again = $answer ? () : @change;

        last unless $answer || $self->connect;
    }
}


sub change {
    my ($self) = @_;

    my $known = $self->{known};
    my @ids = sort keys %$known;
    my $name = rand() < 0.1 ? 'shared-' . int rand 4
                            : "$self->{name}-$self->{number}";
    my $pair = $pairs[rand @pairs];

    return (create => undef, $name, $pair)
        if !@ids || rand() < ($#ids < 30 ? 0.6 : 0.15);

    # rarely one that is another client's
    my @own = grep { $self->owns($_) } @ids;
    @own = @ids if !@own || rand() < 0.15;

    my $id = $own[rand @own];
    my $etag = $self->{etag}{$id};
    my @headers = $etag && rand() < 0.3 ? "If-Match: $etag" : ();
    my $what = rand;

    return (delete => $id, undef, undef, @headers)
        if $what < ($#ids < 60 ? 0.2 : 0.6);

    return (renew => $id, undef, $Wafcert::Ledger::renewal{$known->{$id}[2]}, @headers)
        if $what < 0.7 && $Wafcert::Ledger::renewal{$known->{$id}[2]};

    return (modify => $id, $what < 0.9 ? $name : undef,
            $what < 0.8 ? undef : $pair, @headers);
}


sub owns {
    my ($self, $id) = @_;

    my ($own, $all) = split m{/}, $self->{share} // '0/1';

    return hex(substr $id, -4) % $all == $own;
}

1;
