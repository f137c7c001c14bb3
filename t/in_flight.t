#!/usr/bin/perl

# Tests for in-flight counts and slots: given back however a request ends.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new(params => { proxy_read_timeout => '1s' },
                   balancer => "ollama_keys; $Proxy::no_keepalive",
                   allow => qr/exited on signal 9/)->run;


# so many chats, begun and known to be in flight

sub begin {
    my ($n, %how) = @_;

    my @chats = map { $t->start_chat(%how) } 1 .. $n;

    Http::until(sub { $t->in_flight == $n }, @chats)
        or fail("$n are in flight");

    return @chats;
}


sub given_back {
    my ($name) = @_;
    ok(poll(sub { $t->in_flight == 0 }, $name), "$name: given back");
}


sub open_files {
    my ($t) = @_;
    my ($worker) = $t->workers;
    my ($n, $last) = (0, -1);

    # two looks that agree: what is about to be closed is closed
    poll {
        $last = $n;
        $n = () = glob "/proc/$worker/fd/*";
        $n == $last
    };

    return $n;
}


my $files = open_files($t);

my %slow = (sim => { first_delay_ms => 600 });
my %stream = (stream => 1, sim => { words => 40, delay_ms => 20 });

# the end as it should be

my @chats = begin(6, %slow);

is(join('/', map { $t->health($_)->{in_flight} } 0 .. 2), '2/2/2',
   'counted by key');
Http::finish(@chats);
given_back('answered');

# the client leaves

@chats = begin(3, %slow);
$_->abort for @chats;
given_back('client gone before the answer');

@chats = begin(3, %stream);
$_->first for @chats;
$_->abort for @chats;
given_back('client gone during the answer');

@chats = begin(3, %stream);
$_->abort(reset => 1) for @chats;
given_back('connection reset by the client');

my $half = $t->start('POST', '/api/chat', raw =>
    "POST /api/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $Proxy::token"
    . "\r\nContent-Length: 1000\r\n\r\n{\"model\":");

Http::turn(0.05, $half) for 1 .. 2;
$half->abort;
given_back('client gone within its request');

# the cloud leaves

@chats = map { $t->start_chat(stream => 1, sim => { reset_after_bytes => 300 }) }
         1 .. 3;
Http::finish(@chats);
given_back('reset by the cloud during the answer');

@chats = map { $t->start_chat(stream => 1, sim => { close_after_bytes => 300 }) }
         1 .. 3;
Http::finish(@chats);
given_back('closed by the cloud during the answer');

$t->cloud->rules({ times => 6, close => 'before_headers' });
Http::finish(map { $t->start_chat } 1 .. 3);
given_back('closed by the cloud before the answer');

$t->cloud->reset;
$t->cloud->rules({ times => 2, hold => JSON::PP::true });
is($t->chat->status, 504, 'the cloud is silent');
given_back('timeout before the answer');

is($t->chat(stream => 1, sim => { words => 3, delay_ms => 2500 })->complete,
   undef, 'the cloud falls silent');
given_back('timeout during the answer');

# tried elsewhere

$t->cloud->reset;
$t->cloud->rules({ times => 2, preset => 'unauthorized' });
is($t->chat->header('x-ollama-attempts'), 3, 'the third key');
given_back('tried with three keys');
$t->post("/health/keys/$_/reset", '') for 0 .. 2;

# an error page of the operator's, which is an internal redirect

my $pages = Proxy->new(cloud => $t->cloud,
    balancer => "ollama_keys; $Proxy::no_keepalive",
    server => 'error_page 502 503 504 /oops;
               location = /oops { internal; return 200 oops; }')->run;

$t->cloud->rules({ times => 2, close => 'before_headers' });
is($pages->chat->body, 'oops', 'an error page of their own');
ok(poll(sub { $pages->in_flight == 0 }, 'given back'), 'given back');

# nothing is left open

is(open_files($t), $files, 'no connection is left open');

# a worker is killed

@chats = begin(4, %slow);
my ($worker) = $t->workers;
kill 'KILL', $worker;
Http::finish(@chats);
poll { grep { $_ != $worker } $t->workers } 'another worker';
given_back('worker killed');

# a reload: the old worker finishes what it has begun, on the same counts

@chats = begin(4, stream => 1, sim => { words => 30, delay_ms => 400 });
ok($t->reload, 'reload');
is($t->in_flight, 4, 'still counted after a reload');
Http::finish(@chats);
is(scalar(grep { !$_->complete } @chats), 0, 'all of them end well');
given_back('old worker finished');

# and a worker is killed after a reload

@chats = begin(4, %slow);
($worker) = $t->workers;
ok($t->reload, 'reload');
kill 'KILL', $worker;
Http::finish(@chats);
given_back('old worker killed');

finish();
