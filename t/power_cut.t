#!/usr/bin/perl

# The power is cut at any moment: what was answered is there, and all that is
# there is whole.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Wafcert::PowerCut;
use Wafcert::Server;

plan skip_all => 'valgrind has nothing to say about a disk'
    if under_valgrind();

my $disks = $ENV{WAFCERT_DISKS} // 200;
my $cut = Wafcert::PowerCut->record(seed => seeded());
my @record = @{$cut->{record}};

is(join(' ', $cut->differences), '', 'all that was done is in the record');

my %count;
$count{(split ' ')[0]}++ for @record;
diag(join ', ', map { "$count{$_} $_" } sort keys %count);

is(few($cut->faults(\@record, $disks)), '',
   "after a cut, what was answered is there, on each of $cut->{disks} disks");


sub few {
    my (@faults) = @_;

    return join "\n", @faults > 10 ? (@faults[0 .. 9], '...') : @faults;
}


# Would it be seen?  A record that lacks what makes things last, until nginx is
# killed: it syncs all when it starts.
my ($killed) = grep { $record[$_] =~ /^begin k/ } 0 .. $#record;
my @part = @record[0 .. $killed - 1];

my %what = ((stat $cut->{disk})[1] => 'disk',
            map { m{^mkdir (\w+)(/..)? (\d+)}
                  ? ($3 => $2 ? "$1/xx" : $1) : () } @part);

sub without {
    my ($what) = @_;

    # 0: all of them, where nothing is in the others yet
    my @less = grep {
        !/^synced \S+ (\d+)/
            || ($1 ? ($what{$1} // 'file') ne $what : $what =~ /file|xx/)
    } @part;

    isnt(scalar @less, scalar @part, "there is a sync of $what");

    return join "\n", $cut->faults(\@less, 4);
}

is(few($cut->faults(\@part, 4)), '', 'nothing is missing');
like(without('file'), qr/ was refused: .* is missing: /s,
     'that files are not synced would be seen');
like(without($_), qr/ is missing: /, "that $_ is not would be seen")
    for qw(state/xx state disk);

done_testing;
