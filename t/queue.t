#!/usr/bin/perl

# Tests for the queue: requests wait for a slot, are served in the order in
# which they came, and are told when they have waited in vain.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $key = { key => key_of(0), max_concurrent => 1 };
my $cloud = Cloud->start;


sub proxy {
    my ($queue, @keys) = @_;

    return Proxy->new(cloud => $cloud, keys => [ @keys ? @keys : $key ],
                      balancer => "ollama_keys;\n$queue\nkeepalive 8;")->run;
}


# starts a chat that takes so long, and lets it arrive before the next

sub arrive {
    my ($t, $ms, $text) = @_;
    my $chat = $t->start_chat(sim => { first_delay_ms => $ms }, text => $text);

    Http::turn(0.01, $chat) for 1 .. 3;

    return $chat;
}


sub order {
    return join ' ', map { $Http::json->decode($_->{body})->{messages}[0]{content} }
                     $cloud->requests;
}


# in order, one after another

my $t = proxy('ollama_queue 4 timeout=5s;');
my @chats = map { arrive($t, 200, $_) } 'a' .. 'e';

Http::finish(@chats);

is(join(' ', map { $_->status } @chats), '200 200 200 200 200', 'all served');
is(order(), 'a b c d e', 'in the order in which they came');
is($cloud->ledger->{peak_running}{$key->{key}}, 1, 'one at a time');

# no more than may wait

$cloud->reset;
@chats = map { arrive($t, 300, $_) } 'a' .. 'f';

my $begin = time();

Http::finish($chats[5]);
cmp_ok(time() - $begin, '<', 0.2, 'the queue is full: refused at once');
is($chats[5]->status, 429, 'with 429');
like($chats[5]->header('retry-after'), qr/^\d+$/, 'and Retry-After');
like($chats[5]->json->{error}, qr/\w/, "in the API's shape");
Http::finish(@chats);
is(order(), 'a b c d e', 'the others are served');

# a client that leaves makes room

$cloud->reset;
@chats = map { arrive($t, 250, $_) } 'a' .. 'c';
$chats[1]->abort;
Http::finish(@chats[0, 2]);
is(order(), 'a c', 'a client that left is not served');
is($chats[2]->status, 200, 'the one behind it is');

# in vain

my $short = proxy('ollama_queue 4 timeout=300ms;');

$cloud->reset;

my $slow = arrive($short, 1500, 'slow');
my $waits = arrive($short, 0, 'waits');

Http::finish($waits);

my $waited = time() - $waits->sent;

is($waits->status, 429, 'waited too long');
cmp_ok($waited, '>', 0.25, 'not before its time');
cmp_ok($waited, '<', 0.9, 'nor long after');
like($waits->header('retry-after'), qr/^[1-9]\d*$/, 'Retry-After');
is($short->chat(uri => '/v1/chat/completions')->json->{error}{type}, 'api_error',
   'as /v1 says it');
Http::finish($slow);
is($slow->status, 200, 'the one that held the slot is not hurt');
is($short->chat->status, 200, 'the slot is free again');

# no queue at all

my $none = proxy('ollama_queue 0;');

$slow = arrive($none, 400, 'slow');
is($none->chat->status, 429, 'no queue: refused');
Http::finish($slow);

# a key that comes back wakes those who wait

$cloud->reset;

my $two = proxy('ollama_queue 4 timeout=10s;', $key,
                { key => key_of(1), max_concurrent => 1 });

$two->post('/health/keys/1/penalize?seconds=600', '');
$slow = arrive($two, 1500, 'slow');
$waits = arrive($two, 0, 'waits');
$two->post('/health/keys/1/reset', '');
Http::finish($waits);
is($waits->status, 200, 'a key that was reset serves who waits');
is($waits->header('x-ollama-key'), 'key_1', 'at once');
Http::finish($slow);

# several workers, one queue

$cloud->reset;

my $many = Proxy->new(cloud => $cloud, keys => [ $key ], workers => 2,
                      balancer => "ollama_keys;\nollama_queue 64 timeout=20s;")
           ->run;

@chats = map { $many->start_chat(sim => { first_delay_ms => 20 }) } 1 .. 24;
Http::finish(@chats);
is(scalar(grep { $_->status != 200 } @chats), 0, 'two workers share the slot');
is($cloud->ledger->{peak_running}{$key->{key}}, 1, 'still one at a time');

# a reload while they wait

@chats = map { arrive($many, 100, $_) } 1 .. 5;
ok($many->reload, 'reload');
Http::finish(@chats);
is(scalar(grep { $_->status != 200 } @chats), 0, 'nobody in the queue is lost');

finish();
