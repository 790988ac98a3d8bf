package Wafcert::Ledger;

# What clients have asked for and what they were told, and whether that is what
# a server shows.  They write it down line by line, an answer once it has come:
#
#     begin <request> create|modify|renew|delete <id> <name> <pair>
#     end <request> <status> <reason> <id> <revision> <name> <pair>
#
# "-" is none.  A modify may change the name, the pair (see Fixtures) or both;
# a renew changes the certificate, under its key.  A request without an answer
# was carried out, or not, and may be at any time before the next "settle".
# What a server shows is a hash of ids, each with revision, name and pair.

use strict;
use warnings;

# certificates under the same key
our %renewal = (rsa => 'renewed', renewed => 'rsa', ec => 'soon', soon => 'ec');


sub new {
    my ($class) = @_;

    return bless { base => {}, requests => {} }, $class;
}


sub read {
    my ($self, @lines) = @_;

    for (@lines) {
        my ($word, $request, @rest) = map { $_ eq '-' ? undef : $_ } split;

        if ($word eq 'begin') {
            my %request = (request => $request);
            @request{qw(kind id name pair)} = @rest;
            $self->{requests}{$request} = \%request;
            $self->{named}{$request{name}}++ if defined $request{name};
            $self->count(\%request, $request{id}) if defined $request{id};

        } elsif ($word eq 'end') {
            my %answer;
            @answer{qw(status reason id revision name pair)} = @rest;
            $request = $self->{requests}{$request};
            $request->{answer} = \%answer;
            $self->count($request, $answer{id})
                if defined $answer{id} && $request->{kind} eq 'create';
        }
    }
}


# How often something was asked for, ever.
sub count {
    my ($self, $request, $id) = @_;

    my $count = $self->{count}{$id} //= { any => 0, pair => 0, delete => 0 };

    $count->{any}++;
    $count->{pair}++ if defined $request->{pair};
    $count->{delete}++ if $request->{kind} eq 'delete';
}


sub requests {
    my ($self) = @_;

    return map { $self->{requests}{$_} } sort keys %{$self->{requests}};
}


# From here on, what is shown is what there was.
sub settle {
    my ($self, $shown) = @_;

    $self->{base} = { %$shown };
    $self->{requests} = {};
}


sub done {
    my ($request) = @_;

    my $answer = $request->{answer};

    return $answer && $answer->{status} == 200;
}


sub id_of {
    my ($request) = @_;

    return $request->{id} // (done($request) ? $request->{answer}{id} : undef);
}


# What is wrong with what is shown.
sub faults {
    my ($self, $shown) = @_;

    my (%of, @created, %names);

    for my $request ($self->requests) {
        my $id = id_of($request);

        push @{$of{$id}}, $request if defined $id;
        push @created, [ 1, @$request{qw(name pair)} ]
            if $request->{kind} eq 'create' && !$request->{answer};
    }

    push @{$names{$shown->{$_}[1]}}, $_ for sort keys %$shown;

    my %ids = (%{$self->{base}}, %of, %$shown);

    return (map { fault($_, $self->{base}{$_}, $shown->{$_}, \@created,
                        @{$of{$_} // []}) } sort keys %ids),
           map { "$_ is the name of @{$names{$_}}" }
               grep { @{$names{$_}} > 1 } sort keys %names;
}


sub fault {
    my ($id, $base, $is, $created, @requests) = @_;

    my @open = grep { !$_->{answer} } @requests;
    my $last = $base;

    for my $request (grep { done($_) } @requests) {

        if ($request->{kind} eq 'delete') {
            return $is ? "$id is back: @$is" : ();
        }

        my $told = [ @{$request->{answer}}{qw(revision name pair)} ];

        return "$id was told twice: @$last, and @$told"
            if $last && $last->[0] == $told->[0] && "@$last" ne "@$told";

        $last = $told if !$last || $last->[0] < $told->[0];
    }

    if (!$is) {
        return if !$last || grep { $_->{kind} eq 'delete' } @open;
        return "$id is missing: @$last";
    }

    my %can = map { possible($_, grep { $_->{kind} ne 'delete' } @open) }
                  $last ? $last : @$created;

    return if $can{"@$is"};

    return "$id was not asked for: @$is" unless %can;
    return "$id is older: @$is, not " . join ' or ', sort keys %can
        if $last && $is->[0] < $last->[0];
    return "$id is wrong: @$is, not " . join ' or ', sort keys %can;
}


# All that may come of it, as a hash, by requests in any order, or without
# some of them.
sub possible {
    my ($state, @open) = @_;

    my %can = ("@$state" => 1);

    for my $i (0 .. $#open) {
        my $next = apply($state, $open[$i]);

        %can = (%can, possible($next, @open[grep { $_ != $i } 0 .. $#open]))
            if "@$next" ne "@$state";
    }

    return %can;
}


sub apply {
    my ($state, $request) = @_;

    my ($revision, @is) = @$state;
    my @new = ($request->{name} // $is[0], $request->{pair} // $is[1]);

    return $state if "@is" eq "@new"
                     || $request->{kind} eq 'renew'
                        && ($renewal{$is[1]} // '') ne $new[1];

    return [ $revision + 1, @new ];
}


# Refusals that no other request explains.
sub refusals {
    my ($self) = @_;

    my @refused = grep { $_->{answer} && !done($_) } $self->requests;

    return map { "$_->{request}, $_->{kind} of " . ($_->{id} // $_->{name})
                 . ", was refused: $_->{answer}{status} "
                 . ($_->{answer}{reason} // '') }
               grep { !$self->explained($_) } @refused;
}


sub explained {
    my ($self, $request) = @_;

    my ($kind, $reason) = ($request->{kind}, $request->{answer}{reason} // '');
    my $count = $self->{count}{$request->{id} // ''};

    return $self->{named}{$request->{name} // ''} > 1
        if $reason eq 'name_duplicate' && defined $request->{name};

    return 0 unless $count;
    return $count->{delete} > ($kind eq 'delete') if $reason eq 'not_found';
    return $count->{any} > 1 if $reason eq 'revision_mismatch';
    return $count->{pair} > 1 if $reason eq 'key_mismatch' && $kind eq 'renew';

    return 0;
}

1;
