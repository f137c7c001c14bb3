#!/usr/bin/perl

# Tests for slots that are handed on: a slot that gets free belongs to the first
# who waits for it, and one whose worker stands still keeps nobody else waiting.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;
use Workers;

my @k = map { { key => key_of($_), max_concurrent => 1 } } 0, 1;
my $cloud = Cloud->start;
my ($t, $A, $B, %next);


# two workers, A and B

sub proxy {
    $cloud->reset;
    $cloud->rules({ match => { model => 'held' }, times => -1,
                    hold => JSON::PP::true });

    $t = Proxy->new(cloud => $cloud, keys => [ @_ ], workers => 2,
                    server => $Workers::header, balancer =>
                    "ollama_keys;\nollama_queue 64 timeout=60s;\n"
                    . $Proxy::no_keepalive)->run;

    ($A, $B) = $t->workers;
    %next = map { $_ => Workers::connect($t, $_) } $A, $B;
}


# a chat by way of this worker, which has seen it when this returns

sub chat_at {
    my ($worker, $text, %how) = @_;
    my $chat = $t->start_chat(on => Workers::connect($t, $worker),
                              text => $text, %how);

    Http::turn(0.01, $chat) while length $chat->{out};
    Workers::seen($t, $next{$worker}) unless grep { $_ == $worker }
                                             Workers::halted();
    return $chat;
}


# one that stays until its client leaves

sub held_at {
    my ($worker) = @_;
    my $n = $cloud->requests;
    my $chat = chat_at($worker, 'held', model => 'held');

    poll { Http::turn(0.01, $chat); $cloud->requests > $n }
         'the cloud has the request';
    return $chat;
}


sub ended {
    my ($seconds, @chats) = @_;
    my $end = time() + $seconds;

    Http::until(sub { time() > $end || !grep { !$_->{ended} } @chats }, @chats);
    return join ' ', map { $_->{ended} ? $_->status : 'waits' } @chats;
}


# Both slots are taken by B, one waits in A and then one in B; A stands still

proxy(@k);

my @held = map { held_at($B) } 1, 2;
my $at_a = chat_at($A, 'first', timeout => 60);
my $at_b = chat_at($B, 'second', timeout => 30);

is(ended(0.3, $at_a, $at_b), 'waits waits', 'two wait, one in each worker');
Workers::halt($A);
$_->abort for @held;

is(ended(3, $at_b), '200', "the other worker's waiter is served");
is(Workers::worker($at_b), $B, 'which is this one');

for my $n (1 .. 3) {
    my $new = chat_at($B, "new $n");
    is(ended(3, $new), '200', 'so is a new request of that worker');
}

# the slot that was handed to A: when the other one is taken, it is the only one

my $taken = held_at($B);
my $rest = chat_at($B, 'rest', timeout => 30);

is(ended(4, $rest), '200', 'what A was handed, and did not take, goes on');
ok(!$at_a->{ended}, 'all the while A stands still');

# A comes to life

Workers::go_on($A);
is(ended(5, $at_a), '200', "A's waiter is served in the end");
is(Workers::worker($at_a), $A, 'by A');
$taken->abort;

# what was handed to a worker that is killed

@held = map { held_at($B) } 1, 2;
$at_a = chat_at($A, 'lost');
$at_b = chat_at($B, 'next', timeout => 30);
$t->{allow} = qr/exited on signal 9/;
Workers::halt($A);
$_->abort for @held;
kill 'KILL', $A;
is(ended(3, $at_b), '200', 'a worker that dies keeps nobody waiting');
Http::finish($at_a);
poll { $t->workers == 2 } 'its successor';

my @two = map { held_at($B) } 1, 2;

is(scalar @two, 2, 'and both slots are there');
$_->abort for @two;

# whatever makes room is handed on: to the one in A, which stands still, and
# from there to the one in B

my $pause = 5;

my @ways = (
    [ 'a release', [ $k[0] ],
      sub { held_at($B) }, sub { $_[0]->abort } ],

    [ 'the end of a pause', [ key_of(0) ],
      sub {
          $cloud->rules({ times => 1, status => 429,
                          headers => { 'retry-after' => $pause },
                          body => '{"error":"too many concurrent requests"}' });
          my $refused = chat_at($B, 'refused');
          poll { Http::turn(0.01, $refused); $t->health(0)->{state} eq 'slots' }
               'the key is paused';
          $refused->abort;
      }, sub { } ],

    [ 'a reset', [ @k ],
      sub {
          $t->post('/health/keys/1/penalize', '');
          held_at($B);
      }, sub { $t->post('/health/keys/1/reset', '') } ],

    [ 'a slot more', [ $k[0] ],
      sub { held_at($B) },
      sub { $t->write_config({ %{ $k[0] }, max_concurrent => 2 });
            $t->reload } ],

    [ 'a key more', [ $k[0] ],
      sub { held_at($B) }, sub { $t->write_config(@k); $t->reload } ],
);

for (@ways) {
    my ($way, $keys, $before, $room) = @$_;

    proxy(@$keys);
    my $busy = $before->();

    my $first = chat_at($A, 'first', timeout => 60);
    my $second = chat_at($B, 'second', timeout => 60);

    is(ended(0.1, $first, $second), 'waits waits', "$way: two wait");
    Workers::halt($A);
    $room->($busy);
    is(ended($pause + 4, $second), '200', 'the second need not wait for A');
    ok(!$first->{ended}, 'which stands still');
    Workers::go_on($A);
    is(ended(5, $first), '200', 'and serves the first when it can');
    $busy->abort if ref $busy;
}

finish();
