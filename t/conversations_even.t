#!/usr/bin/perl

# A thousand conversations of all lengths, each of which stays with its account,
# cost all accounts the same.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use List::Util qw/ max sum /;
use Process;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $cloud = Cloud->start(accounts =>
    [ map { { name => "account-$_", keys => [ $k[$_] ] } } 0 .. 2 ]);

$cloud->knobs({ prompt_cache => 1, log_requests => 0 });

my $t = Proxy->new(cloud => $cloud, keys => [ @k ], workers => 2,
    http => "ollama_prices $Process::root/conf/prices.yaml;",
    balancer => "ollama_keys; $Proxy::no_keepalive")->run;

# of 1 to 12 turns, with short and long questions and answers

note('SEED=' . srand($ENV{SEED} // time));

my @all = map { { n => $_, left => 1 + int rand 12, words => 5 + int rand 400,
                  said => [], size => 0 } } 1 .. 1000;
my (%affinity, %status);


sub turn {
    my ($c) = @_;

    push @{ $c->{said} }, { role => 'user', content =>
        "conversation $c->{n}, $c->{left} to go" . '?' x int rand 3000 };
    $c->{size} += length($_->{content}) / 4 for @{ $c->{said} };
    $c->{size} += 4 * $c->{words};
    $c->{left}--;

    return $c->{answer} = $t->start('POST', '/api/chat', json => {
        model => 'gpt-oss:120b', stream => JSON::PP::false,
        messages => $c->{said}, _sim => { words => $c->{words} } });
}


# forty at a time go on, ten of them at once

my @waiting = @all;
my @live = splice @waiting, 0, 40;

while (@live) {
    my @now = splice @live, 0, 10;

    Http::finish(map { turn($_) } @now);

    for my $c (@now) {
        $status{ $c->{answer}->status }++;
        $affinity{ $c->{answer}->header('x-ollama-affinity') // '' }++;

        my $next = $c->{left} ? $c : shift @waiting;

        push @live, $next if $next;
    }
}

my $bill = $cloud->bill;
my @cost = map { $bill->{accounts}{"account-$_"}{nano_usd} } 0 .. 2;
my $even = sum(@cost) / 3;

is_deeply([ keys %status ], [ 200 ], "$status{200} turns are answered");
is($affinity{new}, 1000, '1000 conversations');
cmp_ok($affinity{kept}, '>', 0.95 * ($status{200} - 1000), 'which stay');
cmp_ok(max(map { $_->{size} } @all), '<', 0.01 * sum(map { $_->{size} } @all),
       'none of them is a hundredth of the load');

for my $n (0 .. 2) {
    cmp_ok(abs($cost[$n] - $even), '<', 0.1 * $even,
           sprintf 'account %d has %.4f of its share', $n, $cost[$n] / $even);
}

finish();
