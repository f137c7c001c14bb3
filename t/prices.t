#!/usr/bin/perl

# Prices: each token of each kind of answer is priced by the list, to the
# nano-dollar, in the record and in $ollama_cost; by the hour in which a request
# begins; and a reload changes what new requests cost.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use Poll;
use POSIX qw/ strftime /;
use Process;
use Proxy;
use Records;
use Test::More;
use Time::HiRes qw/ time /;

my ($key) = keys_of(1);
my $http = 'ollama_prices prices.yaml; log_format cost "$ollama_model'
           . ' $ollama_prompt_tokens $ollama_cached_tokens'
           . ' $ollama_completion_tokens <$ollama_cost>";'
           . ' access_log %DIR%/cost.log cost;';

Proxy::secret($key);


sub proxy {
    my ($list, $own, %more) = @_;
    my $t = Proxy->new(http => $http, config => "keys:\n  - $key\n$own", %more);

    Process::spill($t->dir . '/prices.yaml', $list);

    return $t->run;
}


# a model's last line in the log: its tokens, and what they cost

sub logged {
    my ($t, $model) = @_;

    return poll {
        my @lines = grep { /^\Q$model\E / }
                    split /\n/, Process::slurp($t->dir . '/cost.log');
        @lines && $lines[-1] =~ /^\S+ (\S+) (\S+) (\S+) <(.*)>$/
               && [ $1, $2, $3, $4 ];
    } "the log has $model";
}


sub nano { ($_[0] // '-') eq '-' ? 'none' : sprintf '%.0f', $_[0] * 1e9 }


# nano-dollars of a record's tokens at such prices of one

sub worth {
    my ($q, $input, $cached, $output) = @_;

    return ($q->{prompt_tokens} - $q->{cached_tokens}) * $input
           + $q->{cached_tokens} * $cached
           + $q->{completion_tokens} * $output;
}


my $t = proxy(<<'LIST', <<'OWN', daemon => 1, allow => qr/prices\.yaml: line/);
date: 2026-11-01
prices:
  bag: {input: 1.501, cached: 0.007, output: 6}
  kept: {input: 1, output: 1}
  plain-*: {input: 2, cached: 1, output: 3}
  plain-more*: {input: 4, cached: 1, output: 5}
  free: {input: 0, output: 0}
LIST
prices:
  kept: {input: 7, cached: 6, output: 9}
OWN

my $cloud = $t->cloud;

# a mixed bag: each request has a tag of its own

my (@bag, @models);

for my $uri (qw! /api/chat /api/generate /v1/chat/completions /v1/completions
                 /v1/responses /v1/messages !)
{
    for my $stream (0, 1) {
        for my $sim ({}, { cached => 1 }, { zero_usage => 1 }, { no_usage => 1 },
                     { words => 30, error_after => 5 },
                     { words => 60, close_after_bytes => 900 },
                     { thinking => 9 }, { incomplete => 1, cached => 1 })
        {
            push @models, 'bag:' . @models;
            push @bag, $t->start_chat(uri => $uri, model => $models[-1],
                stream => $stream, sim => $sim, text => 'many words ' x @models,
                body => { prompt => 'many words ' x @models, input => 'many',
                          max_tokens => 99 });
        }
    }
}

push @models, 'bag:left';
my $left = $t->start_chat(model => 'bag:left', stream => 1,
                          sim => { words => 5000, delay_ms => 20 });
$left->first;
$left->abort;
Http::finish(@bag);

my (%wrong, %certain, %told);
my $cached = 0;

for my $model (@models) {
    my $q = record($t, $model);
    my $log = logged($t, $model);
    my $cost = worth($q, 1501, 7, 6000);

    $certain{$q->{certainty}}++;
    $cached += $q->{cached_tokens};

    $wrong{record}{$model} = nano($q->{cost_usd}) if nano($q->{cost_usd}) ne $cost;
    $wrong{log}{$model} = "@$log" if nano($log->[3]) ne $cost;

    # an error has none in the log

    $wrong{tokens}{$model} = "@$log" if "@$log[0 .. 2]"
        ne ($q->{status} != 200 ? '- - -'
            : "@$q{qw/ prompt_tokens cached_tokens completion_tokens /}");

    # of what it breaks off the cloud tells nothing

    my $told = told_of($cloud, $model);

    $wrong{cloud}{$model} = $told if $q->{certainty} eq 'exact'
        && $told ne '0 0' && $told ne "$q->{prompt_tokens} $q->{completion_tokens}";
    $told{$told eq '0 0' ? 'nothing' : $q->{certainty}}++;
}

is_deeply($wrong{record} // {}, {}, 'each record has its cost');
is_deeply($wrong{log} // {}, {}, '$ollama_cost is the same');
is_deeply($wrong{tokens} // {}, {}, 'of the same tokens');
is_deeply($wrong{cloud} // {}, {}, 'which are those of the cloud');
cmp_ok($told{exact}, '>', 40, 'many were counted');
cmp_ok(@models - $certain{exact}, '>', 10, 'many were not');
cmp_ok($cached, '>', 100, 'a part of them was cached');
like(logged($t, 'bag:0')->[3], qr/^0\.0\d{1,7}[1-9]$/, 'a plain decimal number');

# names

sub costs {
    my ($name, $model, $shown, @price) = @_;

    $t->chat(model => $model, sim => { cached => 1 }, text => 'words ' x 50);

    my $q = record($t, $shown);
    my $log = logged($t, $shown);

    if (@price) {
        is(nano($q->{cost_usd}), worth($q, @price), $name);
        is(nano($log->[3]), worth($q, @price), '.. in the log, too');
    } else {
        is($q->{cost_usd}, undef, $name);
        is($log->[3], '-', '.. in the log, too');
    }
}

costs('own prices go before the list', 'kept', 'kept', 7000, 6000, 9000);
costs('the cloud\'s suffix counts for nothing', 'kept:8b-cloud', 'kept:8b',
      7000, 6000, 9000);
costs('a beginning', 'plain-one', 'plain-one', 2000, 1000, 3000);
costs('the longest beginning', 'plain-more:1b', 'plain-more:1b', 4000, 1000, 5000);
costs('a price of nothing', 'free', 'free', 0, 0, 0);
costs('without a price there is no cost', 'unheard-of', 'unheard-of');
is(logged($t, 'free')->[3], '0', 'nothing is 0');

# an error has no tokens

$cloud->rules({ preset => 'bad_request_400', times => 1 });
is($t->chat(model => 'bag:bad')->status, 400, 'refused by the cloud');
is(nano(record($t, 'bag:bad')->{cost_usd}), 0, 'costs nothing');
is(logged($t, 'bag:bad')->[3], '0', '.. in the log, too');

# a reload: what has begun keeps its price

my $old = $t->start_chat(model => 'plain-old', stream => 1,
                         sim => { words => 30, delay_ms => 100 });
$old->first;
Process::spill($t->dir . '/prices.yaml', <<'LIST');
prices:
  plain-*: {input: 20, output: 30}
LIST
ok($t->reload, 'reloaded');
costs('a new request, a new price', 'plain-new', 'plain-new', 20000, 20000, 30000);
costs('what is no longer there has none', 'bag:gone', 'bag:gone');
Http::finish($old);
is($old->status, 200, 'the old request ends');

my $q = record($t, 'plain-old');
is(nano($q->{cost_usd}), worth($q, 2000, 1000, 3000), 'at its old price');

# a wrong one changes nothing

Process::spill($t->dir . '/prices.yaml', "prices: {plain-*: 3}\n");
my ($code) = $t->nginx('-s', 'reload');
isnt($code, 0, 'a wrong list is not loaded');
costs('prices are as before', 'plain-last', 'plain-last', 20000, 20000, 30000);
$t->stop;

# without a list only one's own count

$t = proxy('', "prices: {kept: {input: 7, output: 9}}\n", daemon => 1,
           http => $http =~ s/^.*?;//r);
costs('without a list: one\'s own', 'kept', 'kept', 7000, 7000, 9000);
costs('all others have no price', 'bag', 'bag');
$t->stop;

# hours and days; the clock is the test's

my $clocks = Clocks->new;
my $friday = (int(time() / 86400) + 7) * 86400;
$friday += (5 - (gmtime $friday)[6]) % 7 * 86400;
my $sunday = strftime('%Y-%m-%d', gmtime $friday + 2 * 86400);

$t = proxy(<<"LIST", '', environ => $clocks->env);
prices:
  noon: {input: 1, output: 1, peak: {factor: 2, days: mon-fri, hours: 12-18}}
  night: {input: 2, output: 2, peak: {factor: 1.5, days: fri, hours: 22-6}}
  later:
    - {input: 3, output: 3}
    - {from: $sunday, input: 5, output: 5}
  coming: {from: $sunday, input: 6, output: 6}
LIST


# what a token costs, by the model, at a time after Friday's midnight

sub at {
    my ($hours, %wanted) = @_;

    $clocks->pass($friday + $hours * 3600 - (time() + $clocks->{day}));

    for my $model (sort keys %wanted) {
        $t->chat(model => "$model:$hours");
        my ($prompt, undef, $completion, $cost) = @{ logged($t, "$model:$hours") };

        is($cost eq '-' ? 'none' : nano($cost) / ($prompt + $completion),
           $wanted{$model}, "$model, Friday + $hours hours");
    }
}

at(11.95, noon => 1000, night => 2000, later => 3000, coming => 'none');
at(12.01, noon => 2000, night => 2000);
at(17.95, noon => 2000);
at(18.01, noon => 1000);
at(21.95, night => 2000);
at(22.01, night => 3000);
at(29.95, night => 3000);
at(30.01, night => 2000);
at(36.01, noon => 1000);
at(47.95, later => 3000, coming => 'none');
at(48.01, later => 5000, coming => 6000);

# one that begins before noon and ends after it

$clocks->pass($friday + (7 * 24 + 11.98) * 3600 - (time() + $clocks->{day}));
my $across = $t->start_chat(model => 'noon:across', stream => 1,
                            sim => { words => 30, delay_ms => 50 });
$across->first;
$clocks->pass(120);
Http::finish($across);
my ($prompt, undef, $completion, $cost) = @{ logged($t, 'noon:across') };
is(nano($cost), 1000 * ($prompt + $completion), 'priced at its start');

finish();
