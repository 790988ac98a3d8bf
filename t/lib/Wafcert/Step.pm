package Wafcert::Step;

# A worker that is stopped between two instructions of a change:
#
#   my $refused = Wafcert::Step::refused($worker);
#   my $stop = stop_at($worker, 'store_publish', 100);
#   my $socket = $server->send(POST => '', upload('name'));
#   my $instructions = stopped_after($stop);
#   release($stop, 'kill');

use strict;
use warnings;
no warnings qw(portable);

use Config;
use Cwd ();
use Exporter qw(import);
use IO::Select ();
use IPC::Open2 ();

our @EXPORT = qw(stop_at stopped_after release freeze);

# where the module's code is: in a file of its own, or in nginx
my $module = Cwd::realpath($ENV{TEST_NGINX_LOAD_MODULES}
                           // 'build/ngx_http_wafcert_module.so'
                           || $ENV{TEST_NGINX_BINARY});
my $program = "build/stepkill-$$";
my $owner = $$;
my %value;


END {
    unlink $program if $owner == $$;
}


# Why nothing can be stopped here; empty: it can.
sub refused {
    my ($pid) = @_;

    return 'valgrind has nothing to say about a process that is stopped'
        if Wafcert::Server::under_valgrind();

    return 'stepkill.c knows the registers of x86_64 only'
        unless $Config{archname} =~ /^x86_64-linux/;

    mkdir 'build';
    system('cc', '-O', '-Wall', '-o', $program, 't/lib/stepkill.c') == 0
        or die "t/lib/stepkill.c was not compiled\n";

    my $refused = `$program $pid`;
    return "ptrace: $refused" if $refused;

    open my $nm, '-|', 'nm', $module or die "nm: $!\n";
    %value = map { /^(\S+) T (ngx_wafcert_\S+)/ ? ($2, hex $1) : () } <$nm>;

    return '';
}


# In a function, or, with a count, so many instructions after it has begun to
# take the lock.
sub stop_at {
    my ($pid, $function, @count) = @_;

    open my $maps, '<', "/proc/$pid/maps" or die "$pid: $!\n";
    my ($base) = map { /^(\w+)-\w+ \S+ 0+ .*\Q$module\E$/ ? hex $1 : () }
                     <$maps>;

    my @at = map { sprintf '%x', $base + $value{"ngx_wafcert_$_"} }
                 $function, !@count ? ()
                 : $function eq 'tokens_add' ? 'zone_lock' : 'zone_lock_write';

    my $helper = IPC::Open2::open2(my $out, my $in, $program, $pid, @at,
                                   @count);
    my $ready = <$out> // '';
    die "stepkill: $ready" if $ready ne "ready\n";

    return { helper => $helper, in => $in, out => $out };
}


# Waits until it is there; how many instructions it were.
sub stopped_after {
    my ($stop) = @_;

    IO::Select->new($stop->{out})->can_read(30)
        or die "stepkill: the function is not called\n";

    my $n = readline($stop->{out}) // '';
    return $n =~ /^(\d+)$/ ? $1 : die "stepkill: $n";
}


# "kill", or "go" on.
sub release {
    my ($stop, $word) = @_;

    print {$stop->{in}} "$word\n";
    close $stop->{in};
    waitpid $stop->{helper}, 0;
}


# Until it is sent a SIGCONT.
sub freeze {
    my ($server, $pid) = @_;

    kill STOP => $pid;

    $server->wait_for("$pid stops", sub {
        open my $stat, '<', "/proc/$pid/stat" or die "$pid: $!\n";
        return <$stat> =~ /\) T /;
    });
}

1;
