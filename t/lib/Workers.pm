package Workers;

# Which worker a connection belongs to, and workers that stand still.
#
#     my $t = Proxy->new(workers => 2, server => $Workers::header)->run;
#     my ($a, $b) = $t->workers;
#
#     my $connection = Workers::connect($t, $a);    accepted by this worker
#     my $chat = $t->start_chat(on => $connection); and served by it
#
#     Workers::halt($a);      SIGSTOP: it has its connections, and does nothing
#     Workers::go_on($a);     SIGCONT
#
# A worker that is halted accepts nothing, so all others are, while a connection
# for one of them is made.

use warnings;
use strict;

use Http;
use Poll;
use Process;

our $header = 'add_header X-Worker $pid always;';

my %halted;


sub halt {
    my (@pids) = @_;

    $halted{$_} = 1 for @pids;
    kill 'STOP', @pids;
    poll { !grep { !Process::stopped($_) } @pids } "halted: @pids";
}


sub go_on {
    my (@pids) = @_;

    kill 'CONT', @pids;
    delete @halted{@pids};
}


sub halted { return keys %halted }


# a kept connection, whose first exchange has told who accepted it

sub connection {
    my ($t) = @_;

    my $first = $t->start('GET', '/api/version', keep => 1);
    Http::finish($first);

    return $first;
}


sub worker { return $_[0]->header('x-worker') // 0 }


sub connect {
    my ($t, $pid) = @_;
    my @others = grep { $_ != $pid && !$halted{$_} } $t->workers;

    halt(@others) if @others;

    my $connection = connection($t);

    go_on(@others);
    die "not accepted by $pid\n" if worker($connection) != $pid;

    return $connection;
}


# A worker takes events in the order in which they came: when it has answered
# here, it has seen all that was sent to it before.

sub seen {
    my ($t, $connection) = @_;
    Http::finish($t->start('GET', '/api/version', on => $connection,
                           keep => 1));
}


END {
    local ($?, $!);
    kill 'CONT', keys %halted;
}


1;
