package Wafcert::Disk;

# A disk that does what a test wants, by t/lib/baddisk.c:
#
#   my $disk = Wafcert::Disk->new;
#   my $server = Wafcert::Server->new(state => 'state', $disk->env);
#
#   $disk->set(fsync => 'hold');
#   ...
#   $disk->mend;

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use Time::HiRes qw(sleep time);


sub new {
    my ($class) = @_;

    my $dir = Cwd::getcwd() . '/build/scenarios/'
              . File::Basename::basename($0, '.t') . "-disk-$$";
    my $self = bless { dir => $dir, owner => $$ }, $class;

    # workers of another user read and write there
    File::Path::make_path($dir);
    chmod 0777, $dir;

    system('cc', '-O', '-Wall', '-shared', '-fPIC', '-o', "$dir/baddisk.so",
           't/lib/baddisk.c', '-ldl') == 0
        or die "t/lib/baddisk.c was not compiled\n";

    return $self;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$;

    local ($?, $@);
    File::Path::remove_tree($self->{dir});
}


# What a server is to be made with.
sub env {
    my ($self, %more) = @_;

    return (env => { LD_PRELOAD => "$self->{dir}/baddisk.so",
                     WAFCERT_DISK => $self->{dir}, %more });
}


# From now on a call does so (baddisk.c), so many times or always, where its
# path has "part" in it.
sub set {
    my ($self, $call, $what, $times, $part) = @_;

    my $file = "$self->{dir}/$call";

    unlink "$file.log";
    open my $out, '>', "$file.new" or die "$file: $!\n";
    print $out join(' ', $what, $times // 0, $part // '/state'), "\n";
    close $out or die "$file: $!\n";
    rename "$file.new", $file or die "$file: $!\n";
}


sub mend {
    my ($self, @calls) = @_;

    @calls = qw(flock fsync fsyncdir read rename unlink) unless @calls;
    unlink map { "$self->{dir}/$_" } @calls;
}


# The paths for which a call did what was set last.
sub calls {
    my ($self, $call) = @_;

    my @paths;

    if (open my $in, '<', "$self->{dir}/$call.log") {
        chomp(@paths = <$in>);
    }

    return @paths;
}


# Waits until there were so many.
sub wait_for {
    my ($self, $call, $n) = @_;

    my $end = time + 60;

    until ($self->calls($call) >= $n) {
        die "$call(): not $n times within time\n" if time > $end;
        sleep 0.01;
    }
}

1;
