#!/usr/bin/perl

# Tests for accounts: keys of one account share its quota and its slots.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new(keys => [
    { key => $k[0], name => 'a1', account => 'alice' },
    { key => $k[1], name => 'a2', account => 'alice' },
    { key => $k[2], name => 'b', account => 'bob' } ])->run;

# quota

$t->cloud->rules(map { { match => { key => $_ }, times => -1,
                         preset => 'quota_session' } } @k[0, 1]);

my @chats = map { $t->chat } 1 .. 4;

is(scalar(grep { $_->status != 200 } @chats), 0, 'no client notices');

my @spread = $t->cloud->spread(@k);

is($spread[0] + $spread[1], 1, 'the account is asked once only');
is($t->health($_)->{state}, 'exhausted', "key_$_ is exhausted") for 0, 1;
is($t->health(2)->{state}, 'healthy', 'the other account is not');

# slots

$t->post("/health/keys/$_/reset", '') for 0 .. 2;
$t->cloud->reset;

my $slots = Proxy->new(cloud => $t->cloud, keys => [
    { key => $k[0], account => 'alice', max_concurrent => 2 },
    { key => $k[1], account => 'alice', max_concurrent => 2 },
    { key => $k[2], account => 'bob', max_concurrent => 3 } ])->run;

my @held = map { $slots->start_chat(sim => { first_delay_ms => 700 }) } 1 .. 10;

Http::finish(@held);

is(scalar(grep { $_->status != 200 } @held), 0, 'ten chats, five slots');

my $peak = $slots->cloud->ledger->{peak_running};

cmp_ok($peak->{$k[0]} + $peak->{$k[1]}, '<=', 2, 'two for alice');
cmp_ok($peak->{$k[0]} + $peak->{$k[1]}, '>=', 2, 'and no less');
is($peak->{$k[2]}, 3, 'three for bob');

# slots that the cloud tells

my $learned = Proxy->new(keys => [ $k[0] ], accounts => [
    { name => 'carol', keys => [ $k[0] ], max_concurrent => 2,
      queue_limit => 0 } ])->run;

$learned->cloud->rules({ times => 1, status => 429,
                         body => '{"error":"too many concurrent requests"}',
                         headers => { 'x-ratelimit-max-concurrent' => 2,
                                      'retry-after' => 1 } });
is($learned->chat->status, 200, 'a chat that has to wait a second');
is($learned->health(0)->{max_concurrent}, 2, 'two slots were learned');
is($learned->post('/health/keys/0/reset', '')->status, 200, 'a reset');
is($learned->health(0)->{max_concurrent}, undef, 'forgets them, too');
$learned->cloud->reset;
$learned->cloud->rules({ times => 1, status => 429,
                         body => '{"error":"too many concurrent requests"}',
                         headers => { 'x-ratelimit-max-concurrent' => 2,
                                      'retry-after' => 1 } });
is($learned->chat->status, 200, 'a chat that tells them again');
$learned->cloud->reset;

my @more = map { $learned->start_chat(sim => { first_delay_ms => 300 }) } 1 .. 6;

Http::finish(@more);
is(scalar(grep { $_->status != 200 } @more), 0, 'six wait for them');
is($learned->cloud->ledger->{total}{requests}, 6, 'and none is refused there');

my @times = sort { $a <=> $b } map { $_->{ended} - $_->sent } @more;

cmp_ok($times[-1], '<', 1.5, 'nor waits longer than it has to');

finish();
