#!/usr/bin/perl

# Tests for many processes: reloads while streams go on leave generations of
# workers that live side by side, in any number, and each of them serves.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw/ uniq /;
use Poll;
use Process;
use Proxy;
use Test::More;
use Workers;

my $workers = 64;
my $reloads = 4;
my %stream = (stream => 1, sim => { words => 2, delay_ms => 900_000 });

# the end of 320 processes, each of which would look for leaks, takes minutes

$ENV{ASAN_OPTIONS} .= ':detect_leaks=0' if $ENV{ASAN_OPTIONS};

my $t = Proxy->new(workers => $workers, server => $Workers::header);

$t->run;

my @streams;


# a stream in each worker; one that has its stream stands still until the last
# has one, so that the next connection comes to another

sub streams_everywhere {
    for (1 .. $workers) {
        my $connection = Workers::connection($t);
        my $stream = $t->start_chat(on => $connection, timeout => 900, %stream);

        $stream->first;
        push @streams, $stream;
        Workers::halt(Workers::worker($connection));
    }

    my @pids = Workers::halted();

    Workers::go_on(@pids);
    return scalar @pids;
}


sub family { return scalar(() = Process::children($t->pid)) }



is(streams_everywhere(), $workers, 'a stream in each worker');

for my $n (1 .. $reloads) {
    ok($t->reload, "reload $n");
    is(streams_everywhere(), $workers, 'a stream in each new worker')
        if $n < $reloads;
}

cmp_ok(family(), '>', 256, 'more than 256 processes');
Http::turn(0.01, @streams);
is(scalar(grep { $_->{ended} } @streams), 0, 'all streams go on');
is($t->in_flight, $workers * $reloads, 'each of the old ones has its stream');

# those for whom there was no room in 256 serve like all others

my @chats;

for my $round (1 .. 4) {
    my @round = map { $t->start_chat(sim => { first_delay_ms => 100 }) }
                    1 .. 100;

    Http::finish(@round);
    push @chats, @round;
}

is(scalar(grep { $_->status == 200 } @chats), 400, '400 chats');
cmp_ok(scalar(uniq(map { Workers::worker($_) } @chats)), '>', $workers / 2,
       'served by many of the youngest');
is($t->in_flight, $workers * $reloads, 'what they held is given back');

# also in a worker that is killed

my $last = $t->start_chat(%stream);

$last->first;
is($t->in_flight, $workers * $reloads + 1, 'one more stream');
$t->{allow} = qr/exited on signal 9/;
kill 'KILL', Workers::worker($last);
ok(poll(sub { $t->in_flight == $workers * $reloads }, 'given back'),
   'a worker of the youngest that is killed holds nothing');

# and all is given back

$_->abort for @streams;
ok(poll(sub { $t->in_flight == 0 }, 'nothing is in flight', 120),
   'the streams end');
ok(poll(sub { family() <= $workers }, 'the old workers end', 180),
   'and the old workers');

finish();
