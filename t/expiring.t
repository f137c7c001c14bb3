#!/usr/bin/perl

# Money that would be lost first is spent first: A has $10 that run out in six
# hours, B $50 for 20 days. A is drained to its floor, then B serves, and A
# again after its renewal. The cloud tells the daemon what they have, it tells
# nginx; all three have one clock.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use Poll;
use Process;
use Proxy;
use Statsd;
use Test::More;
use Time::HiRes qw/ sleep time /;

my ($hour, $day) = (3600, 86400);
my $clocks = Clocks->new;
my $cloud = Cloud->start(env => $clocks->env);
my @k = keys_of(2);
my $turn = 0;
my $prices = "ollama_prices $Process::root/conf/prices.yaml;";

my $t = Proxy->new(daemon => 1, private => 1, cloud => $cloud,
    keys => [ { key => $k[0], name => 'A', account => 'a', floor => '1usd' },
              { key => $k[1], name => 'B', account => 'b', floor => '10%' } ],
    http => "$prices ollama_balance on interval=5m;",
    balancer => "ollama_keys strategy=expiring; $Proxy::no_keepalive",
    environ => $clocks->env, statsd => $clocks->env);

my $now = int time;

$cloud->accounts(
    { name => 'a', keys => [ $k[0] ], balance => { included_usd => 10,
        from => $now - 18 * $hour, until => $now + 6 * $hour } },
    { name => 'b', keys => [ $k[1] ], balance => { included_usd => 50,
        from => $now - 10 * $day, until => $now + 20 * $day } });
$t->run;


# which keys answer so many questions, of 15 cents each: "AAAB"

sub answered {
    my ($n) = @_;

    return join '', map {
        $t->chat(model => 'kimi-k3', text => 'question ' . ++$turn,
                 sim => { words => 10_000 })->header('x-ollama-key') // '-'
    } 1 .. $n;
}

sub left { $cloud->balances->{$_[0]}{included}{balance_usd} }


# time passes, 20 seconds at a time, until something is so

sub passes(&$) {
    my ($condition, $name) = @_;

    for (1 .. 60) {
        last if $condition->();
        $clocks->pass(20);
        sleep 0.3;
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($condition->(), $name);
}

sub trusted {
    my $health = $t->health;
    return 2 == grep { $_->{balance} && $_->{balance_trusted} } values %$health;
}


passes { trusted() } 'the balances of both are known';

my $health = $t->health;

is($health->{$_->[0]}{balance}{included_usd}, $_->[1], "$_->[0] has $_->[1]")
    for [ key_0 => 10 ], [ key_1 => 50 ];

# to the floor

my $spread = answered(80);

like($spread, qr/\AA{58,61}B+\z/, 'A, while it is above its floor, then B');
cmp_ok(left('a'), '<=', 1.15, 'to the floor: ' . left('a'));
cmp_ok(left('a'), '>', 0.84, '.. by one question at most');
cmp_ok(left('b'), '>', 46, 'B has the rest: ' . left('b'));

my $asked = $cloud->asked('a', '/api/balance');

passes { trusted() && $cloud->asked('a', '/api/balance') > $asked }
       'they are asked again';
is(answered(10), 'B' x 10, 'B goes on');

# after the renewal

$clocks->pass(6 * $hour);
$cloud->now;
is(left('a'), 10, 'A is renewed');
passes { trusted() && $t->health(0)->{balance}{included_usd} > 9 }
       'and that is told';
is(answered(10), 'A' x 10, 'A goes first again');
is($cloud->bill->{total}{requests}, 100, 'every question was answered once');
is($cloud->ledger->{total}{requests}, 100, 'and none was refused');

# all at once, when it will renew soon: what runs is reckoned with

$clocks->pass(17 * $hour);
passes { trusted() } 'and again hours later';

my @many = map { $t->start_chat(model => 'kimi-k3', text => "at once $_",
                                sim => { words => 10_000,
                                         first_delay_ms => 100 }) } 1 .. 80;

Http::finish(@many);
is(scalar(grep { $_->status != 200 } @many), 0, '80 at once');
cmp_ok(left('a'), '>', 0.84, 'no further than to the floor of A: ' . left('a'));
answered(20);
cmp_ok(left('a'), '<=', 1.15, 'to it in the end: ' . left('a'));

# the other strategy does not look at that

$cloud->reset;
$t = Proxy->new(cloud => $cloud, keys => [ @k ], http => $prices,
                balancer => "ollama_keys; $Proxy::no_keepalive")->run;
is(scalar(() = answered(20) =~ /key_0/g), 10, 'strategy=least: half and half');

finish();
