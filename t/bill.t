#!/usr/bin/perl

# The bill: what 10,000 requests of all kinds cost, in and out of peak hours, is
# in the ledger what the cloud takes for them, to the nano-dollar. The cloud has
# a list of prices of its own; nginx, the daemon and the cloud have one clock.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use Digest::SHA qw/ sha256_hex /;
use JSON::PP;
use Metrics;
use Poll;
use Process;
use Proxy;
use Statsd ();
use Test::More;
use Time::HiRes qw/ time /;

my $clocks = Clocks->new;
my $cloud = Cloud->start(env => $clocks->env);
my @k = keys_of(4);
my $t = Proxy->new(daemon => 1, keys => [ @k ], cloud => $cloud,
                   http => "ollama_prices $Process::root/conf/prices.yaml;"
                           . ' log_format cost "$ollama_cost";'
                           . ' access_log %DIR%/cost.log cost;',
                   environ => $clocks->env, statsd => $clocks->env)->run;

$cloud->accounts(map { { name => "account-$_", keys => [ $k[$_] ] } } 0 .. 3);
$cloud->knobs({ prompt_cache => 1, log_requests => 0 });

my @paths = qw! /api/chat /api/generate /v1/chat/completions /v1/completions
                /v1/responses /v1/messages !;
my @models = qw/ deepseek-v4-flash deepseek-v4-pro:671b gpt-oss:120b-cloud
                 kimi-k3 glm-5.3-flash gemma4:31b gpt-oss:20b nobody-knows /;
my $sent = 0;


# the next such time, as all clocks have it

my $friday = time() + (5 - (gmtime)[6]) % 7 * 86400;

$friday = (int($friday / 86400) + 7) * 86400;

sub it_is {
    my ($name, $seconds) = @_;

    $clocks->pass($friday + $seconds - (time() + $clocks->{day}));
    note("$name: " . gmtime $cloud->now);   # which wakes its timers, too
}


# so many requests for each model, from four of t/tools/load at once

sub requests {
    my ($n, %how) = @_;
    my @loads = map { Process->start([ Process::build('load'), '-n', $n,
        qw/ -c 6 -s 50 -T 60 /, '-m', $models[$_], '-t', $Proxy::token,
        '-w', $how{words} + 3 * $_, '-b', $how{bytes} + 97 * $_,
        (map { ('-u', $_) } @paths), $t->port ], name => "load-$_") } 0 .. 7;

    for my $load (@loads) {
        poll { !$load->alive } 'the requests are made', 120;
        my ($said) = $load->output =~ /(\{.*\})/;
        my $done = $said ? decode_json($said) : {};
        is($done->{ok} // 0, $n, 'all are answered') or diag($load->output);
        $sent += $n;
    }
}


sub chat {
    my (%how) = @_;
    $sent++;
    return $t->start_chat(model => 'deepseek-v4-pro', %how);
}


# the daemon has all that was sent

sub counted {
    my $n = 0;
    $n += $_->{requests} for @{ $t->get('/stats?limit=10000')->json };
    return $n;
}


sub nano { sprintf '%.0f', $_[0]{cost_usd} * 1e9 }


# what it tells, and what stands in the file: nano-dollars by key and model

sub told {
    my (%told, %unpriced);

    for my $row (@{ $t->get('/stats?limit=10000')->json }) {
        my $of = "$row->{key_fingerprint} $row->{model}";

        $told{$of} += nano($row);
        $unpriced{$of} += $row->{unpriced_tokens};
    }

    return (\%told, \%unpriced);
}


my $began = time();

it_is('Friday before noon', 11.5 * 3600);
requests(250, words => 5, bytes => 700);

# these come in before the peak, and end in it

it_is('a minute to noon', 12 * 3600 - 60);

my @across = map { chat(stream => $_ % 2, text => 'early ' x 50,
                        sim => { first_delay_ms => 60_000, words => 40 }) } 1 .. 8;
Http::turn(0.05, @across) for 1 .. 4;
poll { $cloud->ledger->{running} == 8 } 'eight run';

it_is('a minute past noon', 12 * 3600 + 60);
Http::finish(@across);
is(scalar(grep { $_->status != 200 } @across), 0, 'eight have crossed noon');
it_is('Friday afternoon', 12.25 * 3600);
requests(250, words => 9, bytes => 1300);

# what is refused or fails elsewhere costs nothing

$cloud->rules(map { ({ preset => 'overloaded_503', times => 3 },
                     { preset => 'internal_500', times => 1 },
                     { close => 'before_headers', times => 1 },
                     { preset => 'bad_request_400', times => 1 }) } 1 .. 5);
my @bad = map { chat(text => "bad $_") } 1 .. 40;
Http::finish(@bad);
cmp_ok(scalar(grep { $_->status == 200 } @bad), '>=', 20, 'most are well');
cmp_ok(scalar(grep { $_->status != 200 } @bad), '>', 0, 'not all');

# answers of other kinds

my @odd = map { chat(sim => $_, text => 'odd ' x 300) }
    { cached => 1 }, { spoof => 1 }, { thinking => 30 }, { tool_call => 1 },
    { chunk_bytes => 1 }, { words => 3000 }, { incomplete => 1 },
    { metrics_on_all => 1 }, { cached_fields => 1 };
Http::finish(@odd);

# What breaks off is in no bill of the simulator's, and here it is estimated. So
# it has a model of its own.

my @broken = map { my $uri = $_; map { chat(uri => $uri, model => 'minimax-m3',
                   stream => 1, body => { max_tokens => 99 }, sim => $_) }
                   { words => 60, error_after => 7 },
                   { words => 60, close_after_bytes => 3000 } }
             qw! /api/chat /v1/chat/completions /v1/messages !;
Http::finish(@broken);
my $left = chat(model => 'minimax-m3', stream => 1,
                sim => { words => 500, delay_ms => 20 });
$left->first;
$left->abort;

it_is('Friday evening', 18.5 * 3600);
requests(250, words => 2, bytes => 1300);
it_is('Saturday', 37 * 3600);
requests(250, words => 7, bytes => 400);
it_is('Monday', (72 + 13) * 3600);
requests(250, words => 4, bytes => 3100);

my $took = time() - $began;

cmp_ok($sent, '>', 10_000, "$sent requests");
poll { counted() >= $sent } 'all are in the ledger', 30;
note(sprintf 'made in %.1f s, counted in %.1f', $took, time() - $began);

# and the bill

my ($told, $unpriced) = told();
my $bill = $cloud->bill;
my $ledger = $cloud->ledger;
my ($sum, $tokens) = (0, 0);
my %wanted;

for my $n (0 .. 3) {
    my $models = $bill->{accounts}{"account-$n"}{models};
    my $fingerprint = substr sha256_hex($k[$n]), 0, 8;

    for my $model (sort keys %$models) {
        my $of = "$fingerprint $model";
        my $line = $models->{$model};

        is($told->{$of}, $line->{nano_usd}, "account $n, $model: "
           . "$line->{requests} requests for $line->{nano_usd}");
        is($unpriced->{$of}, $line->{unpriced}, '.. and what has no price');
        $wanted{$of} = $line->{nano_usd};
        $sum += $line->{nano_usd};
    }
}

cmp_ok(scalar keys %wanted, '>', 25, 'by key and model');
is($sum, $bill->{total}{nano_usd}, 'that is the whole bill');
is($sum, $ledger->{total}{nano_usd}, 'by the cloud\'s keys, too');
cmp_ok($bill->{total}{cached}, '>', $bill->{total}{prompt} / 4,
       'much of it was cached');

is(join(' ', sort grep { $told->{$_} && !/minimax/ } keys %$told),
   join(' ', sort grep { $wanted{$_} } keys %wanted), 'nothing else costs');

# what broke off costs what its record says

my $broken = 0;

for my $row (@{ $t->get('/queries?model=minimax-m3&limit=500')->json }) {
    is(nano($row), ($row->{prompt_tokens} - $row->{cached_tokens}) * 600
                   + $row->{cached_tokens} * 120
                   + $row->{completion_tokens} * 2400, "broken: $row->{end}");
    $broken += nano($row);
}

cmp_ok($broken, '>', 0, 'that is something');

my $totals = $t->get('/stats/health')->json->{totals};

is(nano($totals), $sum + $broken, 'the total of the daemon');

# the peak was paid: the same prompts cost twice as much in it

my $pro = 0;

$pro += $_->{nano_usd} - ($_->{prompt} - $_->{cached}) * 660 - $_->{cached} * 22
        - $_->{completion} * 1980
    for map { $_->{models}{'deepseek-v4-pro'} // () } values %{ $bill->{accounts} };
cmp_ok($pro, '>', 0, 'in part at the price of the peak');

# the metrics, and the log

my $m = Metrics->new($t->get('/metrics')->body);

is(sprintf('%.0f', $m->sum('ollama_proxy_cost_usd_total') * 1e9),
   $sum + $broken, 'the metrics');

my $logged = 0;

$logged += sprintf '%.0f', $_ * 1e9
    for grep { /^\d/ } split /\n/, Process::slurp("$t->{dir}/cost.log");
is($logged, $sum + $broken, 'the log');

# the file itself: its requests, and its sums by hour, day and over all

$t->stop;

for my $table (qw/ request usage_hour total /) {
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
        "$t->{dir}/data/usage.db", "SELECT SUM(cost) FROM $table" ]);

    $said =~ s/\s+\z//;
    is($said, $sum + $broken, "usage.db: $table");
}

finish();
