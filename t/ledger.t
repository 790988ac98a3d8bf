#!/usr/bin/perl

# The judge of t/crash.t and t/power_cut.t: what it accepts, and what not.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::Ledger;

# certificate "a" was there; "b" and a new one may be asked for
my %base = (a => [ 3, 'x', 'rsa' ]);


# Requests as in a journal, without their numbers: "|" is before an answer.
sub judge {
    my ($title, $requests, $shown, $pattern) = @_;

    my $ledger = Wafcert::Ledger->new;
    my $number = 0;

    $ledger->settle(\%base);

    for (@$requests) {
        my ($asked, $told) = split /\s*\|\s*/;

        $ledger->read('begin ' . ++$number . " $asked");
        $ledger->read("end $number $told") if $told;
    }

    my %shown = map { my ($id, @is) = split; $id => \@is } @$shown;

    like(join("\n", $ledger->faults(\%shown), $ledger->refusals),
         $pattern // qr/^$/, $title);
}

my @x = 'a 3 x rsa';

judge('nothing was asked for', [], \@x);
judge('and it is gone', [], [], qr/^a is missing: 3 x rsa$/);
judge('and there is another', [], [ @x, 'b 1 y ec' ],
      qr/^b was not asked for: 1 y ec$/);
judge('and it has changed', [], [ 'a 3 x ec' ], qr/^a is wrong: 3 x ec/);

my $renamed = 'modify a y - | 200 - a 4 y rsa';

judge('renamed', [ $renamed ], [ 'a 4 y rsa' ]);
judge('and it is older', [ $renamed ], \@x,
      qr/^a is older: 3 x rsa, not 4 y rsa$/);
judge('renamed twice', [ $renamed, 'modify a z - | 200 - a 5 z rsa' ],
      [ 'a 5 z rsa' ]);
judge('and one is lost', [ $renamed, 'modify a z - | 200 - a 5 z rsa' ],
      [ 'a 4 y rsa' ], qr/^a is older/);
judge('two are the same revision',
      [ $renamed, 'modify a z - | 200 - a 4 z rsa' ], [ 'a 4 z rsa' ],
      qr/^a was told twice: 4 y rsa, and 4 z rsa$/);

judge('not answered, not done', [ 'modify a y ec' ], \@x);
judge('not answered, done', [ 'modify a y ec' ], [ 'a 4 y ec' ]);
judge('not answered, half done', [ 'modify a y ec' ], [ 'a 4 y rsa' ],
      qr/^a is wrong: 4 y rsa, not 3 x rsa or 4 y ec$/);
judge('not answered, done twice', [ 'modify a y -' ], [ 'a 5 y rsa' ],
      qr/^a is wrong/);
judge('two not answered', [ 'modify a y -', 'modify a - ec' ],
      [ 'a 5 y ec' ]);
judge('one of two', [ 'modify a y -', 'modify a - ec' ], [ 'a 4 x ec' ]);
judge('renewed under another key', [ 'renew a - soon' ], [ 'a 4 x soon' ],
      qr/^a is wrong/);
judge('renewed', [ 'renew a - renewed' ], [ 'a 4 x renewed' ]);

judge('deleted', [ 'delete a - - | 200 - a 3 x rsa' ], []);
judge('and it is back', [ 'delete a - - | 200 - a 3 x rsa' ], \@x,
      qr/^a is back: 3 x rsa$/);
judge('not answered, and gone', [ 'delete a - -' ], []);
judge('not answered, and there', [ 'delete a - -' ], \@x);

my $created = 'create - y ec | 200 - b 1 y ec';

judge('created', [ $created ], [ @x, 'b 1 y ec' ]);
judge('and it is missing', [ $created ], \@x, qr/^b is missing: 1 y ec$/);
judge('not answered, created', [ 'create - y ec' ], [ @x, 'b 1 y ec' ]);
judge('not answered, created otherwise', [ 'create - y ec' ],
      [ @x, 'b 1 y ed' ], qr/^b is wrong: 1 y ed/);
judge('a name stands twice', [ 'create - x ec' ], [ @x, 'b 1 x ec' ],
      qr/^x is the name of a b$/);

judge('refused', [ 'modify a y - | 500 commit_failed' ], \@x,
      qr/^1, modify of a, was refused: 500 commit_failed$/);
judge('refused and done', [ 'modify a y - | 412 revision_mismatch',
                            'modify a - ec' ], [ 'a 4 y rsa' ],
      qr/^a is wrong/);
judge('not found, for it was deleted',
      [ 'delete a - -', 'modify a y - | 404 not_found' ], []);
judge('not found, though nobody has deleted it',
      [ 'modify a y - | 404 not_found' ], \@x, qr/was refused: 404/);
judge('a name that is taken', [ $created, 'modify a y - | 400 name_duplicate' ],
      [ @x, 'b 1 y ec' ]);
judge('a name that is free', [ 'modify a y - | 400 name_duplicate' ], \@x,
      qr/was refused: 400 name_duplicate/);

done_testing;
