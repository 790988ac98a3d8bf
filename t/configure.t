#!/usr/bin/perl

# "config" tells nginx's configure what the module lacks.  A run of configure
# takes long: here is but what it has set by then.

use strict;
use warnings;

use Cwd ();
use File::Temp ();
use Test::More;

my $here = Cwd::getcwd();
my $dir = File::Temp->newdir(DIR => 'build');

mkdir "$dir/auto" or die "$dir: $!\n";

# what looks for a library, and what takes the module
for my $file ([ feature => 'ngx_found=$JANSSON' ],
              [ module => 'echo "module $ngx_module_name"' ])
{
    open my $out, '>', "$dir/auto/$file->[0]" or die "$dir: $!\n";
    print $out "$file->[1]\n";
    close $out or die "$dir: $!\n";
}


sub configure {
    my (%set) = @_;

    my $set = join ' ', map { "$_=$set{$_};" } sort keys %set;

    my $script = "cd $dir; $set ngx_addon_dir=$here; . $here/config; echo done";

    return scalar qx(sh -c '$script' configure);
}

my %all = (JANSSON => 'yes', USE_THREADS => 'YES', HTTP_SSL => 'YES');

is(configure(%all), "module ngx_http_wafcert_module\ndone\n",
   'nothing is missing');

for my $case ([ JANSSON => 'no', 'the jansson library', 'libjansson-dev' ],
              [ USE_THREADS => 'NO', 'threads', '--with-threads' ],
              [ HTTP_SSL => 'NO', 'the HTTP SSL module',
                '--with-http_ssl_module' ])
{
    my ($name, $value, $what, $how) = @$case;

    like(configure(%all, $name => $value),
         qr/\A\nconfigure: error: the wafcert module requires $what\b.*\n(?#
           ).*$how.*\n\n\z/, "$what: is told, and nothing is configured");
}

done_testing;
