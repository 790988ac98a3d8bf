#!/usr/bin/perl

# The verdict on a chain: what is accepted, warned of or refused, and that no
# client is worse off with what is stored than with what was sent.  The judge of
# that is openssl, with each client's roots; t/lib/chains.py makes the uploads.

use strict;
use warnings;

use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;

use lib 't/lib';
use Wafcert::Fixtures ();
use Wafcert::Server;

# a bit of so many in each certificate, and of some under valgrind
my $flips = $ENV{WAFCERT_FLIPS} // (under_valgrind() ? 4 : 60);

# the same where the root is trusted, and none may be accepted
my $trusted_flips = $ENV{WAFCERT_FLIPS} // (under_valgrind() ? 4 : 300);

# of repair itself, and no fault of what was sent
my %mended = map { $_ => 1 } qw(chain_repaired root_dropped);

my $dir = File::Temp->newdir;

system('/usr/bin/python3', 't/lib/chains.py', $dir) == 0
    or die "t/lib/chains.py failed\n";

my $made = JSON::PP::decode_json(
               Wafcert::Fixtures::read_file("$dir/cases.json"));

write_file('flips', join '', map { $_->{blocks}[2] } @{$made->{flips}});

my $server = Wafcert::Server->new(
    size => '8m', workers => 1,
    server => join '', <<"END", map { <<"END2" } qw(keep strict));
        location /trusted/v1/ {
            wafcert_api zone=certs;
            wafcert_auth off;
            wafcert_trusted_certificate $dir/flips;
            wafcert_untrusted reject;
        }
END
        location /$_/v1/ {
            wafcert_api zone=certs;
            wafcert_auth off;
            wafcert_chain $_;
        }
END2

my $json = JSON::PP->new->utf8;


# Returns what was stored, as a GET has it, or the reason of the refusal; and
# what was warned of.
sub stored {
    my ($policy, $case) = @_;

    my $path = $policy eq 'repair' ? '' : "//$policy" . Wafcert::Server::API;

    my $answer = $server->request(POST => $path, $json->encode({
        name => "$case->{title}.$policy", content => $case->{content},
        key => $case->{key} }))->json;

    return { reason => $answer->{reason}, says => $answer->{error_msg} }
        unless $answer->{id};

    my $got = $server->request(GET => "/$answer->{id}")->json;

    return { content => $got->{content},
             warnings => [ map { $_->{reason} } @{$answer->{warnings}} ],
             says => { map { $_->{reason} => $_->{message} }
                           @{$answer->{warnings}} },
             shown => { map { $_->{reason} => $_->{message} }
                            @{$got->{warnings}} } };
}


sub blocks {
    my ($content) = @_;

    return map { s/\s//gr }
               $content =~ /(-----BEGIN.*?-----END CERTIFICATE-----)/gs;
}


sub same {
    return join("\n", blocks($_[0])) eq join("\n", blocks($_[1]));
}


# Whether openssl, as a client with these roots, is content.
sub content {
    my ($chain, $roots, $host) = @_;

    my ($leaf, $issuers) =
        $chain =~ /\A(.*?-----END CERTIFICATE-----\n?)(.*)\z/s;

    my @given = map { my ($name, $text) = @$_;
                      write_file($name, $text);
                      length $text ? ("-$name", "$dir/$name") : () }
                    [ trusted => $roots ], [ untrusted => $issuers ];

    write_file('leaf', $leaf);

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec qw(openssl verify -purpose sslserver -auth_level 2 -no-CAfile
                -no-CApath -no-CAstore -verify_hostname), $host, @given,
             "$dir/leaf";
        die "openssl: $!";
    }

    waitpid $pid, 0;
    return $? == 0;
}


sub write_file {
    my ($name, $text) = @_;

    open my $out, '>', "$dir/$name" or die "$name: $!\n";
    print $out $text;
    close $out or die "$name: $!\n";
}


# What is wrong with what came of a case.

sub refused {
    my ($case, $is) = @_;

    return "not refused" unless $is->{reason};
    return "refused by $is->{reason}" if $is->{reason} ne $case->{reason};
    return "says \"$is->{says}\"" if $is->{says} !~ $case->{says};

    # what is refused is of no use for anybody
    return map { content($case->{content}, $_->{roots}, $case->{host})
                 ? 'a client was content' : () } @{$case->{clients}};
}


sub accepted {
    my ($case, $is) = @_;

    return "refused by $is->{reason}" if $is->{reason};

    my @warnings = @{$is->{warnings}};

    return "warned of @warnings"
        if $case->{expect} eq 'warn'
           && !grep { $_ eq $case->{reason} } @warnings;

    return "warned of @warnings"
        if $case->{expect} eq 'accept' && grep { !$mended{$_} } @warnings;

    return (lost($case, $is), worse($case, $is), terse($case, $is));
}


# The block, its subject and the value, when it is stored and when it is shown,
# which is when it has the numbers of what is shown.
sub terse {
    my ($case, $is) = @_;

    my $same = same($case->{content}, $is->{content});
    my @terse;

    for my $reason (@{$is->{warnings}}) {
        my ($says, $shown) = ($is->{says}{$reason}, $is->{shown}{$reason});

        push @terse, "$reason: says \"$says\""
            if !$mended{$reason} && $says !~ /block \d+ of content/
               || $reason eq $case->{reason} && $says !~ $case->{says};

        push @terse, "$reason: shows \"$shown\", said \"$says\""
            if $same && $says ne $shown && $reason ne 'chain_incomplete';
    }

    return @terse;
}


sub lost {
    my ($case, $is) = @_;

    my @sent = blocks($case->{content});
    my %has = map { $_ => 1 } blocks($is->{content});

    return map { $has{$sent[$_ - 1]} ? () : "lost block $_" }
               @{$case->{kept}};
}


sub worse {
    my ($case, $is) = @_;

    my $changed = !same($case->{content}, $is->{content});
    my (@worse, $n);

    for my $client (@{$case->{clients}}) {
        $n++;

        # what did not change is as good as it was
        push @worse, "client $n is not content"
            if ($client->{content}
                || $changed && content($case->{content}, $client->{roots},
                                       $case->{host}))
               && !content($is->{content}, $client->{roots}, $case->{host});
    }

    return @worse;
}


# Without repair the first block is the leaf, and what is stored is what was
# sent.

sub is_refused {
    my ($is, $reason) = @_;

    my $by = $is->{reason} // '';

    return $by eq $reason ? () : "refused by \"$by\", not \"$reason\"";
}


sub kept {
    my ($case, $is) = @_;

    return is_refused($is, 'key_mismatch') if $case->{leaf} != 1;
    return is_refused($is, $case->{reason}) if $case->{expect} eq 'refuse';

    return is_refused($is, '') if $is->{reason};
    return same($case->{content}, $is->{content}) ? () : 'changed';
}


# and what repair would have changed is refused, or if it had not enough
sub strict {
    my ($case, $is, $repaired) = @_;

    return is_refused($is, 'key_mismatch') if $case->{leaf} != 1;
    return is_refused($is, $repaired->{reason}) if $repaired->{reason};

    my $short = grep { $_ eq 'chain_incomplete' } @{$repaired->{warnings}};

    return is_refused($is, $short || !same($case->{content},
                                           $repaired->{content})
                           ? 'chain_broken' : '');
}


for my $case (@{$made->{cases}}) {
    my $repaired = stored('repair', $case);

    my @wrong = $case->{expect} eq 'refuse' ? refused($case, $repaired)
                                            : accepted($case, $repaired);

    push @wrong, map { "keep: $_" } kept($case, stored('keep', $case));
    push @wrong, map { "strict: $_" }
                     strict($case, stored('strict', $case), $repaired);

    is(join("\n", @wrong), '', $case->{title});
}


# What is kept is sent, and a Go client breaks off at what it cannot read.

for my $title (qw(stranger-unreadable stranger-names-unreadable)) {
    my ($case) = grep { $_->{title} eq $title } @{$made->{cases}};

    $case = { %$case, title => "$title.kept" };

    like(stored('keep', $case)->{says}{issuer_malformed_extension} // '',
         qr/: block 3 of content, CN=Stowaway,C=NL: .* cannot be read/,
         "$title, where it is kept");
}


# A single bit is another one.  Nobody accepts such a certificate, and what is
# no more signed by an issuer that was sent is told from what never was by the
# names and key identifiers alone: where these were hit, the issuer is another
# one, and a warning says so.  An issuer's own signature can be judged only
# if its issuer was sent, too.  Without that it is the leaf's link to it that is
# left: its name (in which capitals and small letters are the same), its key
# identifier and its key.

my %told = (
    'a leaf'
        => { issuer => 'chain_incomplete', authority_id => 'chain_incomplete' },
    'an issuer under its root'
        => { issuer => 'chain_repaired', authority_id => 'chain_repaired',
             subject => 'chain_incomplete' },
    'an issuer'
        => { subject => 'chain_incomplete|issuer_name_encoding',
             own_id => 'key_id_mismatch', public => 'issuer_key_type',
             issuer => '', authority_id => '', '' => '' },
);

sub flipped {
    my ($pem) = @_;

    my ($begin, $base64, $end) = $pem =~ /\A(-.*?\n)(.*?)(-.*)\z/s;
    my $der = decode_base64($base64);
    my $bit = int rand 8 * length $der;

    vec($der, $bit, 1) ^= 1;

    return ($begin . encode_base64($der) . $end, int $bit / 8, $bit % 8);
}


# the part of the certificate that a byte is in
sub part {
    my ($links, $at) = @_;

    return (grep { $links->{$_}[0] <= $at && $at <= $links->{$_}[1] }
                 sort keys %$links)[0] // '';
}


sub try_flip {
    my ($what, $case, $which, $blocks) = @_;

    my @blocks = @{$case->{blocks}}[0 .. $blocks - 1];
    my ($pem, $at, $bit) = flipped($blocks[$which]);
    my $part = part($case->{links}[$which], $at);
    my $told = $told{$what}{$part};

    $blocks[$which] = $pem;

    my $answer = $server->request(POST => '?dry_run=true', $json->encode({
        name => 'flip', content => join('', @blocks),
        key => $case->{key} }));

    return if $answer->{status} == 400;

    return "byte $at, bit $bit: answered $answer->{status}"
        if $answer->{status} != 200;

    my @warnings = map { $_->{reason} } @{$answer->json->{warnings}};

    return if defined $told && (!$told || grep { /^(?:$told)$/ } @warnings);
    return "byte $at, bit $bit, $part: accepted, warned of @warnings\n$pem";
}


seeded();

for my $case (@{$made->{flips}}) {
    for my $try ([ 'a leaf', 0, 2 ], [ 'an issuer under its root', 1, 3 ],
                 [ 'an issuer', 1, 2 ])
    {
        my ($what, @which) = @$try;
        my @wrong = map { try_flip($what, $case, @which) } 1 .. $flips;

        is(join("\n", splice @wrong, 0, 3), '',
           "a bit of $what, $case->{kind}");
    }
}

# Where the root is trusted, all of that is refused, but for another spelling of
# the same key.

sub public_key {
    my ($pem) = @_;

    write_file('key', $pem);
    return `openssl pkey -in $dir/key -pubout 2>/dev/null`;
}


sub try_trusted_flip {
    my ($case, $which) = @_;

    my @sent = (@{$case->{blocks}}[0, 1], $case->{key});
    my ($at, $bit);

    ($sent[$which], $at, $bit) = flipped($sent[$which]) if defined $which;

    my $answer = $server->request(
        POST => "//trusted@{[Wafcert::Server::API]}?dry_run=true",
        $json->encode({ name => 'flip', content => "$sent[0]$sent[1]",
                        key => $sent[2] }));

    return $answer->{status} if !defined $which;

    return if $answer->{status} == 400;

    return if $answer->{status} == 200 && $which == 2
              && public_key($sent[2]) eq public_key($case->{key});

    return "byte $at, bit $bit: answered $answer->{status}\n$sent[$which]";
}


for my $case (@{$made->{flips}}) {
    is(try_trusted_flip($case), 200, "a chain as it was made, $case->{kind}");

    for my $which (0 .. 2) {
        my @wrong = map { try_trusted_flip($case, $which) } 1 .. $trusted_flips;

        is(join("\n", splice @wrong, 0, 3), '', join ' ',
           'a bit of', (qw(a-leaf an-issuer a-key))[$which] =~ s/-/ /r,
           "under a trusted root, $case->{kind}");
    }
}

$server->ends_well;

done_testing;
