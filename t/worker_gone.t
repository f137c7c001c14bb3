#!/usr/bin/perl

# Tests for requests that run when their worker ends: by a stop, or by a signal
# that nobody can catch.  Each is on record, once, with the tokens it used.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw/ sum0 uniq /;
use Poll;
use Proxy;
use Test::More;

my %stream = (stream => 1, sim => { words => 5000, delay_ms => 20 });
my $many = 150;


sub proxy {
    return Proxy->new(daemon => 1, keys => [ keys_of(2) ],
                      allow => qr/exited on signal 9|statsd|http\.sock/)->run;
}


# so many streams, which have run for a second or more

sub streams {
    my ($t, $n, %how) = @_;
    my @chats = map { $t->start_chat(%stream, %how, timeout => 120) } 1 .. $n;

    Http::until(sub { !grep { 50 > (() = $_->{body} =~ /\n/g) } @chats },
                @chats);
    return @chats;
}


# records, when so many of them are there

sub records {
    my ($t, $n) = @_;
    my $list = [];

    poll {
        my $answer = $t->get('/queries?limit=500')->json;
        $list = [ grep { $_->{endpoint} eq '/api/chat' }
                  ref $answer eq 'ARRAY' ? @$answer : () ];
        @$list >= $n;
    } "$n records", 20;

    return @$list;
}


sub count {
    my (@values) = @_;
    my %n;

    $n{$_}++ for @values;
    return join ', ', map { "$n{$_} $_" } sort keys %n;
}


sub tokens {
    return sum0(map { $_->{prompt_tokens} + $_->{completion_tokens} } @_);
}


sub usage { return sum0(map { $_->{usage_2h} } values %{ $_[0]->health }) }

sub stats {
    my ($t) = @_;
    return tokens(@{ $t->get('/stats')->json });
}


# what must hold of the records of one that is done and some that are not

sub kept {
    my ($t, $end, $n) = @_;
    my @records = records($t, $n + 1);
    my @cut = grep { $_->{end} ne 'done' } @records;

    is(count(map { $_->{end} } @records), "1 done, $n $end", "on record: $end");
    is(count(map { $_->{certainty} } @cut), "$n partial", 'their certainty');
    is(scalar(grep { $_->{completion_tokens} < 10
                     || $_->{completion_tokens} > 5000 } @cut), 0,
       'tokens are those that came, about');
    is(scalar(grep { $_->{prompt_tokens} < 1 } @cut), 0, 'also for the prompt');
    is(scalar(grep { $_->{status} != 200 } @cut), 0, 'their status');
    is(scalar(grep { ($_->{total_ms} // 0) < 500 } @cut), 0, 'their time');

    poll { usage($t) == tokens(@records) } 'booked to the keys';
    is(usage($t), tokens(@records), 'the keys have their tokens');
    is(stats($t), tokens(@records), 'and the sums');
    is($t->in_flight, 0, 'no key is busy');
}


# nothing comes later, when new workers have looked at what the old ones left

sub none_twice {
    my ($t, $n) = @_;

    ok($t->reload, 'a reload');
    is($t->chat->status, 200, 'a chat');
    records($t, $n + 1);
    is($t->chat->status, 200, 'another');

    my @records = records($t, $n + 2);

    is(scalar @records, $n + 2, 'none is there twice');
    is(scalar(uniq(map { $_->{id} } @records)), $n + 2, 'nor has another id');
}


# a stop

my $t = proxy();

is($t->chat->status, 200, 'a chat that ends');

my @streams = streams($t, 4);

$t->{nginx}->signal('TERM');
is($t->{nginx}->wait(10), 0, 'a stop, with four streams');
Http::finish(@streams);

$t->{nginx} = $t->start_nginx;
poll { $t->listening && $t->workers } 'nginx runs again';
kept($t, 'proxy_stopped', 4);
none_twice($t, 5);

# kill -9

$t = proxy();
@streams = streams($t, 4);
is($t->chat->status, 200, 'one that ends just before');
is($t->in_flight, 4, 'and has ended in the worker, too');

my ($worker) = $t->workers;

kill 'KILL', $worker;
Http::finish(@streams);
poll { grep { $_ != $worker } $t->workers } 'a successor';
kept($t, 'worker_gone', 4);
none_twice($t, 5);

# kill -9 of a worker that was to end after a reload, beside one that goes on

$t = proxy();
@streams = streams($t, 3);
($worker) = $t->workers;
ok($t->reload, 'a reload');
poll { !grep { $_ == $worker } $t->workers } 'the old worker takes no more';

my ($rest) = streams($t, 1, model => 'rest');

is($t->chat->status, 200, 'one that ends');
kill 'KILL', $worker;
Http::until(sub { !grep { !$_->{ended} } @streams }, @streams);
is(count(map { $_->{end} } records($t, 4)), '1 done, 3 worker_gone',
   'an old worker is killed');
Http::turn(0.01, $rest) for 1 .. 3;
ok(!$rest->{ended}, 'the stream of the other goes on');
$rest->abort;
is(count(map { $_->{end} } records($t, 5)),
   '1 client_gone, 1 done, 3 worker_gone', 'and ends in its own way');

# kill -9 while nobody listens to what became of them

$t = proxy();
@streams = streams($t, 2);
is($t->chat->status, 200, 'one that ends');
is($t->in_flight, 2, 'also in the worker');
$t->{daemon}->stop;
kill 'KILL', $t->workers;
Http::finish(@streams);
poll { $t->workers } 'a successor';
is($t->chat->status, 200, 'a chat without the daemon');
$t->start_daemon;
is(count(map { $_->{end} } records($t, 4)), '2 done, 2 worker_gone',
   'a daemon that comes later is told');

# a worker that shuts down does not wait for ever

$t = Proxy->new(daemon => 1, keys => [ keys_of(2) ],
                allow => qr/statsd|http\.sock/);

my $file = $t->dir . '/nginx.conf';

Process::spill($file, Process::slurp($file)
                      =~ s/^(worker_shutdown_timeout).*/$1 1s;/mr);
$t->run;
@streams = streams($t, 2);
ok($t->reload, 'a reload, with two streams');
Http::finish(@streams);
is(count(map { $_->{end} } records($t, 2)), '2 proxy_stopped',
   'which are closed after a second');

# more than seventy

$t = proxy();
@streams = streams($t, $many, model => 'm' x 60, sim =>
                   { words => 5000, delay_ms => 60 }, headers =>
                   [ 'User-Agent' => 'a client that says what it is ' x 4 ]);

my $list = {};

poll {
    Http::turn(0.01, @streams);
    $list = $t->get('/stats/running?limit=1000')->json;
    @{ $list->{requests} } == $many;
} "$many are shown";
is($list->{total}, $many, "$many requests of one worker");
is(scalar @{ $list->{requests} }, $many, 'are all shown');
is(scalar(uniq(map { $_->{id} } @{ $list->{requests} })), $many, 'each once');

kill 'KILL', $t->workers;
Http::finish(@streams);
is(count(map { $_->{end} } records($t, $many)), "$many worker_gone",
   'and all are recorded');

finish();
