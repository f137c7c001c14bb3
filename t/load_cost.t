#!/usr/bin/perl

# Tests for load in cost: keys are compared by what they have cost, which
# /health/keys tells to the last nano-dollar beside the tokens.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Process;
use Proxy;
use Test::More;

my $prices = "ollama_prices $Process::root/conf/prices.yaml;";
my @k = keys_of(2);


sub proxy {
    my ($parameters, %more) = @_;

    return Proxy->new(keys => [ @k ], http => $prices, balancer =>
        "ollama_keys $parameters; $Proxy::no_keepalive", %more)->run;
}


# half of a long prompt is cached; or a long answer is written

my %cached = (model => 'gpt-oss:120b', text => 'x' x 400_000,
              sim => { cached => 1, words => 1 });
my %written = (model => 'gpt-oss:120b', sim => { words => 20_000 });
my %short = (model => 'gpt-oss:120b', sim => { words => 1 });


# what the cloud has counted, at the prices of gpt-oss:120b

sub cost {
    my ($cloud, $key) = @_;
    my $n = $cloud->ledger->{keys}{$key};

    return ($n->{prompt} - $n->{cached}) * 150 + $n->{cached} * 14
           + $n->{completion} * 600;
}


my $t = proxy('');
my $first = $t->chat(%cached)->header('x-ollama-key');
my $second = $t->chat(%written)->header('x-ollama-key');
my ($one, $two) = map { /(\d)$/ } $first, $second;
my $health = $t->health;

isnt($first, $second, 'a long prompt and a long answer: two keys');
cmp_ok($health->{$first}{usage_2h}, '>', 4 * $health->{$second}{usage_2h},
       'the prompt has more tokens');
cmp_ok($health->{$first}{cost_2h}, '<', $health->{$second}{cost_2h},
       'but costs less');

for my $n ($one, $two) {
    my $cost = sprintf '%.9f', cost($t->cloud, $k[$n]) / 1e9;

    $cost =~ s/0+$//;

    like($t->get('/health/keys')->body,
         qr/"name":"key_$n",[^{}]*"cost_2h":\Q$cost\E,/, "key_$n: $cost USD");
}

is($t->chat(%short)->header('x-ollama-key'), $first, 'so it has the next one');
is($t->health($one)->{reserved_cost}, 0, 'nothing is reserved any more');

# a model without a price

my $before = $t->health;
my $key = $t->chat(model => 'nobody-knows', sim => { words => 50_000 })
            ->header('x-ollama-key');

is($key, $first, 'a model without a price has the least used key, too');
is($t->health->{$key}{cost_2h}, $before->{$key}{cost_2h}, 'costs nothing');
cmp_ok($t->health->{$key}{usage_2h}, '>', $before->{$key}{usage_2h} + 50_000,
       'but is counted');
is($t->chat(%short)->header('x-ollama-key'), $second, 'and weighs');

# tokens

$t = proxy('load=tokens');
$first = $t->chat(%cached)->header('x-ollama-key');
$second = $t->chat(%written)->header('x-ollama-key');
is($t->chat(%short)->header('x-ollama-key'), $second,
   'load=tokens: the one with less tokens');

# without prices that is all one has

$t = proxy('load=cost', http => '');
$first = $t->chat(%cached)->header('x-ollama-key');
$second = $t->chat(%written)->header('x-ollama-key');
is($t->chat(%short)->header('x-ollama-key'), $second, 'so without prices');
is($t->health->{$first}{cost_2h}, 0, 'nothing is known to cost anything');

# tiers

$t = proxy('strategy=expiring', keys =>
           [ { key => $k[0], tier => 2, floor => '2.50usd' },
             { key => $k[1], floor => '10%' } ]);
is(scalar(grep { $_ ne 'key_1' } $t->answered_by(1000)), 0,
   'a higher tier is untouched by 1000 requests');

$health = $t->health;
is_deeply([ map { @{$health->{$_}}{qw/ tier floor balance /} } qw/ key_0 key_1 / ],
          [ 2, '2.5usd', undef, 0, '10%', undef ], 'tier and floor are told');
is($health->{key_0}{balance_trusted}, JSON::PP::false,
   'a balance that nobody has told is not trusted');

$t->post('/health/keys/key_1/penalize', '');
is(join(' ', $t->answered_by(3)), 'key_0 key_0 key_0',
   'it serves when no lower one can');

finish();
