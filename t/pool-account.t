#!/usr/bin/perl

# Tests for /api/balance and /api/usage: the pool as if it were one account, in
# the cloud's shapes, however often clients ask.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use Proxy;
use Statsd;
use Test::More;

my @k = keys_of(4);
my $clocks = Clocks->new;
my $t = Proxy->new(daemon => 1, private => 1, statsd => $clocks->env,
    allow => qr/http\.sock/,
    http => 'ollama_prices prices.yaml;', keys => [
    { key => $k[0], name => 'a', account => 'anna' },
    { key => $k[1], name => 'b', account => 'anna' },
    { key => $k[2], name => 'c', account => 'bert' },
    { key => $k[3], name => 'd' } ]);

Process::spill($t->dir . '/prices.yaml', <<'EOF2');
date: 2026-08-31
prices:
  gpt-oss:20b: {input: 0.07, cached: 0.035, output: 0.30}
  gpt-oss:120b: {input: 0.15, cached: 0.014, output: 0.60}
EOF2

sub money {
    my ($included, $allowance, $until, $purchased) = @_;

    return qq({"included":{"balance_usd":$included,"allowance_usd":$allowance,
        "period":{"from":"2026-11-$until","until":"2026-12-$until"}},
        "purchased":{"balance_usd":$purchased}});
}

sub rules {
    my %of = @_;

    $t->cloud->rules(map { { match => { key => $_, path => '/api/balance' },
                             times => -1, body => $of{$_} } } sort keys %of);
}

rules($k[0] => money(72.5, 100, '07T00:00:00Z', 25),
      $k[2] => money(10.25, 60.1, '03T00:00:00Z', 0.000000001),
      $k[3] => '{"included":{"session":{"remaining_percent":75,
        "resets_at":"2026-11-27T15:00:00Z"},"weekly":{"remaining_percent":40}}}');
$t->run;

# nothing is known in the first minute

my $r = $t->get('/api/balance');

is($r->status, 503, 'no balance is known yet');
like($r->json->{error}, qr/not known yet/, 'said in the shape of the API');
ok($r->header('retry-after'), 'with a time to come again');

eventually { @{ $t->get('/stats/keys')->json // [] } == 4 } 'keys are told';
eventually {
    $clocks->pass(20);
    3 == grep { ref $_->{balance} && $_->{key} ne 'b' }
              @{ $t->get('/stats/keys')->json }
} 'the accounts are known', 40;

my $balance = {
    included => { balance_usd => 82.75, allowance_usd => 160.1,
                  period => { from => '2026-11-03T00:00:00Z',
                              until => '2026-12-03T00:00:00Z' },
                  session => { remaining_percent => 75,
                               resets_at => '2026-11-27T15:00:00Z' },
                  weekly => { remaining_percent => 40, resets_at => undef } },
    purchased => { balance_usd => 25.000000001 },
};

for my $uri (qw! /api/balance /api/api/balance /v1/api/balance !) {
    is_deeply($t->get($uri)->json, $balance, "$uri: sums of the accounts");
}

my $asked = grep { $_->{uri} =~ /balance/ } $t->cloud->requests;

is((grep { $t->get('/api/balance')->status == 200 } 1 .. 200), 200, '200 polls');
is((grep { $_->{uri} =~ /balance/ } $t->cloud->requests), $asked,
   'of which the cloud hears nothing');

# who may ask, and what

my $no = $t->get('/api/balance', only => 1);
is($no->status, 401, 'not without the token');

is($t->request('POST', '/api/balance')->status, 405, 'POST');

for my $uri (qw! /api/balance?x=1 /api/usage?range=1h /api/usage?range=24h&range=7d
                 /api/usage?scope=team /api/usage?group_by=key /api/usage?from=1 !)
{
    my $r = $t->get($uri);

    is($r->status, 400, "$uri is refused");
    like($r->json->{error}, qr/parameter|must be/, 'in words');
}

# what was used

for my $model ('gpt-oss:20b', 'gpt-oss:20b', 'gpt-oss:120b', 'kimi-k3') {
    $t->chat(model => $model);
}

my $sums;
eventually {
    $clocks->pass(2);
    $sums = $t->get('/stats?by=hour')->json;
    ref $sums && @$sums && $sums->[0]{requests} >= 4
} 'chats are in the ledger';

my %usage = map { $_ => $t->get("/v1/api/usage?range=$_")->json } qw/ 24h 7d 30d /;
my $all = $usage{'24h'}{totals};

is($all->{request_count}, 4, 'requests');
is($all->{input_tokens}, $sums->[0]{prompt_tokens}, 'input');
is($all->{cached_input_tokens}, $sums->[0]{cached_tokens}, 'cached input');
is($all->{output_tokens}, $sums->[0]{completion_tokens}, 'output');
is($all->{usage_usd}, $sums->[0]{cost_usd}, 'dollars');
cmp_ok($all->{usage_usd}, '>', 0, 'which are some');
is_deeply($usage{$_}{totals}, $all, "the same in $_") for qw/ 7d 30d /;

for my $range ([ '24h', 'hour', 25, 3600 ], [ '7d', 'day', 8, 86400 ],
               [ '30d', 'day', 31, 86400 ])
{
    my ($name, $unit, $n, $seconds) = @$range;
    my $u = $usage{$name};
    my @buckets = @{ $u->{buckets} };

    is("$u->{range} $u->{scope} $u->{granularity} " . @buckets,
       "$name self $unit $n", "$name: $n buckets by the $unit");
    is($buckets[0]{from}, $u->{from}, 'from the beginning');
    is($buckets[-1]{until}, $u->{until}, 'to the end');
    is((grep { $buckets[$_]{until} ne $buckets[$_ + 1]{from} } 0 .. $n - 2), 0,
       'without a gap');
    like($buckets[1]{from}, $unit eq 'day' ? qr/T00:00:00Z$/ : qr/:00:00Z$/,
         'whole ones');
    is(join(' ', map { $_->{partial} ? 1 : 0 } @buckets),
       '0 ' x ($n - 1) . '1', 'and the last one is partial');
    is($buckets[-1]{request_count} + $buckets[-2]{request_count}, 4,
       'in which the requests are');
}

is($t->get('/api/usage')->json->{range}, '7d', 'a week, if nothing is said');

my %models = map { $_->{model} => $_ }
             @{ $t->get('/api/usage?range=24h&scope=self&group_by=model')
                    ->json->{models} };

is_deeply([ map { "$_ $models{$_}{request_count}" } sort keys %models ],
          [ 'gpt-oss:120b 1', 'gpt-oss:20b 2', 'kimi-k3 1' ], 'by model');
is($models{'kimi-k3'}{usage_usd}, 0, 'without a price');

# without the daemon

$t->{daemon}->stop;
$r = $t->get('/api/usage');
is($r->status, 503, 'ollama-statsd is away');
like($r->json->{error}, qr/ollama-statsd/, 'said in the shape of the API');
is($t->chat->status, 200, 'and requests are served');

finish();
