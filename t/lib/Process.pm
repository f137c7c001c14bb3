package Process;

# Child processes of a test, and the ports they listen on.  Whatever was
# started here is ended when the test ends, however it ends.

use warnings;
use strict;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;
use IO::Socket::INET;
use POSIX qw/ WNOHANG /;
use Poll;
use Time::HiRes qw/ time /;

our $root = abs_path(dirname(__FILE__) . '/../..');

my $owner = $$;
my @running;
my @claims;


# an absolute path below the build directory

sub build {
    my ($name) = @_;
    my $build = $ENV{BUILD} // 'build';

    $build = "$root/$build" unless $build =~ m!^/!;

    return "$build/$name";
}


# A port below the range from which the kernel takes ports for outgoing
# connections.  A UDP socket of the same number, held until the test ends,
# keeps tests that run at the same time from taking it too.

sub port {
    for (1 .. 1000) {
        my $port = 12000 + int rand 18000;
        my %address = (LocalAddr => '127.0.0.1', LocalPort => $port);

        my $claim = IO::Socket::INET->new(Proto => 'udp', %address) or next;

        IO::Socket::INET->new(Proto => 'tcp', Listen => 1, ReuseAddr => 1,
                              %address) or next;

        push @claims, $claim;
        return $port;
    }

    die "no free port\n";
}


# Process->start([ program, arguments ], name => , dir => , env => { })
# the child's stdout and stderr go to the file dir/name.out

sub start {
    my ($class, $command, %self) = @_;

    $self{name} //= 'process';
    $self{dir} //= tempdir('ollama-test-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    $self{out} = "$self{dir}/$self{name}.out";
    $self{pid} = fork() // die "fork: $!\n";

    if ($self{pid} == 0) {
        my $env = $self{env} // {};

        for my $name (keys %$env) {
            defined $env->{$name} ? ($ENV{$name} = $env->{$name})
                                  : delete $ENV{$name};
        }

        # nohup and a shell's "&" leave some ignored, which no script can undo
        $SIG{$_} = 'DEFAULT' for qw/ HUP INT QUIT TERM PIPE /;

        setpgrp(0, 0);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $self{out};
        open STDERR, '>&', \*STDOUT;

        { no warnings 'exec'; exec { $command->[0] } @$command; }

        print STDERR "exec $command->[0]: $!\n";
        POSIX::_exit(127);
    }

    my $self = bless \%self, $class;
    push @running, $self;

    return $self;
}


sub pid { $_[0]{pid} }


sub output {
    my ($self) = @_;
    return slurp($self->{out});
}


# waits until the process has printed the pattern; nothing if it ends first

sub says {
    my ($self, $pattern, $seconds) = @_;

    poll { $self->output =~ $pattern || !$self->alive } undef, $seconds;

    return $self->output =~ $pattern;
}


sub alive {
    my ($self) = @_;

    return 0 if defined $self->{status};
    return 1 if waitpid($self->{pid}, WNOHANG) == 0;

    $self->{status} = $?;
    return 0;
}


sub signal {
    my ($self, $signal) = @_;
    return $self->alive && kill $signal, $self->{pid};
}


# waits for the process to end by itself; gives its wait status

sub wait {
    my ($self, $seconds) = @_;

    poll { !$self->alive } undef, $seconds;

    return $self->{status};
}


sub stop {
    my ($self, $signal) = @_;

    $self->signal($signal // 'TERM');
    $self->signal('KILL') unless defined $self->wait(10);

    return $self->wait(5);
}


# the pids of a process' children, oldest first

sub children {
    my ($pid) = @_;

    my @pids;

    for my $file (glob "/proc/$pid/task/*/children") {
        push @pids, split ' ', slurp($file);
    }

    return sort { $a <=> $b } @pids;
}


# a process, its children, their children ..

sub family {
    return map { ($_, family(children($_))) } @_;
}


# the name that ps shows

sub name_of {
    my ($pid) = @_;
    return slurp("/proc/$pid/comm") =~ s/\n//r;
}


sub stopped { return slurp("/proc/$_[0]/stat") =~ /\) T / }


sub gone {
    return !grep { -d "/proc/$_" && slurp("/proc/$_/stat") !~ /\) Z / } @_;
}


# runs a command to its end; gives its exit code and all it printed

sub run {
    my ($command, %how) = @_;

    my $process = Process->start($command, name => 'run', %how);
    my $status = $process->wait($how{timeout} // 60);

    $process->stop('KILL') unless defined $status;

    my $output = $process->output;
    unlink $process->{out};

    return (defined $status ? $status >> 8 || $status & 127 : -1, $output);
}


sub slurp {
    my ($file) = @_;

    open my $handle, '<:raw', $file or return '';
    local $/;

    return scalar(<$handle>) // '';
}


sub spill {
    my ($file, $text) = @_;

    open my $handle, '>:raw', $file or die "$file: $!\n";
    print $handle $text;
    close $handle or die "$file: $!\n";
}


END {
    if ($$ == $owner) {
        local ($?, $!);

        $_->signal('TERM') for @running;
        $_->stop for @running;
    }
}


1;
