#!/usr/bin/perl

# The simulator's money: prices, balances, the bill, and its prompt cache.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cloud;
use Http;
use Test::More;

my $friday = 1793361600;    # 2026-10-30 12:00:00 UTC
my $day = 86400;
my $cloud = Cloud->start;


# an answer to a key; %body goes into its body

sub chat {
    my ($key, %body) = @_;

    return http($key)->post('/api/chat', {
        model => 'gpt-oss:120b', stream => \0, messages => [
            { role => 'user', content => 'x' x 400 } ], %body });
}

sub http {
    my ($key) = @_;

    return Http->new(port => $cloud->port, trusted => 1,
                     headers => [ Authorization => "Bearer $key" ]);
}

sub get { http($_[0])->get($_[1]) }
sub balance { get($_[0], '/api/balance')->json }
sub total { my $t = $cloud->bill->{total}; join ' ', @$t{@_} }

my @lines = qw/ requests prompt cached completion nano_usd unpriced /;


# the clock

$cloud->at($friday);
cmp_ok(abs($cloud->now - $friday), '<', 60, 'the clock is set');
like(chat('k')->header('date'), qr/^Fri, 30 Oct 2026 12:0/, 'and seen');

# prices: 103 tokens of prompt, 8 of answer

$cloud->reset;
chat('k');
is(total(@lines), '1 103 0 8 ' . (103 * 150 + 8 * 600) . ' 0', 'a price');
chat('k', _sim => { cached => \1 });
is(total(@lines), '2 206 51 16 ' . (155 * 150 + 51 * 14 + 16 * 600) . ' 0',
   'of cached tokens');
chat('k', model => 'nobody-knows');
is(total('unpriced'), 111, 'none');
is($cloud->ledger->{total}{nano_usd}, total('nano_usd'), 'in the ledger, too');
chat('k', _sim => { error_after => 2 });
is(total('requests'), 3, 'what fails is free');

for my $case ([ 0, 2, 'at noon' ], [ -1, 1, 'before' ],
              [ 6 * 3600 - 60, 2, 'before six' ], [ 6 * 3600, 1, 'at six' ],
              [ $day, 1, 'on a Saturday' ], [ 3 * $day, 2, 'on Monday' ])
{
    my ($after, $times, $name) = @$case;

    $cloud->reset;
    $cloud->at($friday + $after);
    chat('k', model => 'deepseek-v4-flash:0731');
    is(total('nano_usd'), $times * (103 * 220 + 8 * 660), "peak: $name");
}

$cloud->reset;
$cloud->at($friday - 1);
my $slow = http('k')->start('POST', '/api/chat', json => {
    model => 'deepseek-v4-flash', messages => [],
    _sim => { words => 3, first_delay_ms => 300 } });
Http::turn(0.05, $slow);
$cloud->at($friday);
Http::finish($slow);
is(total('nano_usd'), 4 * 220 + 3 * 660, 'of the time when it came in');

$cloud->prices({ m => { input => 0.001, output => 2, peak => 3,
                        hours => [ 0, 24 ] } });
$cloud->reset;
chat('k', model => 'm');
is(total('nano_usd'), 3 * (103 + 8 * 2000), 'a list of the test');
for my $wrong ({ input => 0.0001, output => 1 }, { input => -1, output => 1 },
               { output => 1 }, { input => 1, output => 1, hours => [ 1 ] })
{
    is($cloud->{http}->post('/_sim/prices', { prices => { m => $wrong } })->status,
       400, 'a wrong price');
}
$cloud->prices;

# a balance: 103 * 150 + 8 * 600 = 20250 nano-dollars a chat

$cloud->at($friday);
$cloud->accounts(
    { name => 'alice', keys => [ 'a1', 'a2' ], balance => {
        included_usd => '0.00003', allowance_usd => 10, purchased_usd => '0.00002',
        from => $friday - 29 * $day, until => $friday + $day } },
    { name => 'paid', keys => [ 'p' ], balance => {
        included_usd => 0, purchased_usd => 0, empty => 402 } },
    { name => 'old', keys => [ 'o' ], windows => {
        session_usd => '0.00008', weekly_usd => '0.0002' } },
    { name => 'gone', keys => [ 'g' ], suspended => \1 },
    { name => 'plain', keys => [ 'n' ] });

is_deeply(balance('a1'), {
    included => { balance_usd => 0.00003, allowance_usd => 10, period => {
        from => '2026-10-01T12:00:00Z', until => '2026-10-31T12:00:00Z' } },
    purchased => { balance_usd => 0.00002 } }, 'a balance');
is_deeply($cloud->balances->{alice}, balance('a1'), 'without asking');

chat($_) for qw/ a1 a2 /;
is_deeply($cloud->balances->{alice}{included}{balance_usd}
          . ' ' . $cloud->balances->{alice}{purchased}{balance_usd},
          '0 9.5e-06', 'included goes before purchased');
is(chat('a1')->status, 200, 'the last one');
my $empty = chat('a2');
is($empty->status, 429, 'empty');
like($empty->body, qr/you \(alice\) have reached your monthly usage limit/,
     'and said so');
$cloud->pass($day - 60);
is(chat('a1')->status, 429, 'until its period ends');
$cloud->pass(60);
is(chat('a1')->status, 200, 'then it is renewed');
is($cloud->balances->{alice}{included}{period}{until}, '2026-11-30T12:00:00Z',
   'for as long as before');
is($cloud->balances->{alice}{included}{balance_usd}, 9.99997975, 'by its allowance');
is(chat('p')->status, 402, 'an account that pays for all');
like(chat('p')->body, qr/extra usage balance is empty/, 'and has nothing');

# a legacy plan

$cloud->at($friday);
$cloud->reset;
is_deeply(balance('o'), { included => {
    session => { remaining_percent => 100, resets_at => '2026-10-30T16:00:00Z' },
    weekly => { remaining_percent => 100, resets_at => '2026-11-02T00:00:00Z' } } },
    'windows');
chat('o') for 1 .. 4;
is($cloud->balances->{old}{included}{session}{remaining_percent}, 0, 'used up');
like(chat('o')->body, qr/session usage limit/, 'the session');
for (1 .. 2) {
    $cloud->pass(5 * 3600);
    chat('o') for 1 .. 4;
}
like(chat('o')->body, qr/weekly usage limit/, 'then the week');
$cloud->at($friday + 3 * $day);
is(chat('o')->status, 200, 'until Monday');
is_deeply([ sort keys %{ get('o', '/api/usage')->json->{totals} } ],
          [ 'request_count' ], 'usage of it is requests alone');

# who may ask

$cloud->reset;
for my $case ([ 'a1', '/api/balance?x=1', 400 ], [ 'x', '/api/balance', 401 ],
              [ 'x', '/api/usage', 401 ], [ 'g', '/api/balance', 403 ],
              [ 'g', '/api/usage', 403 ], [ 'n', '/api/balance', 200 ],
              [ 'a1', '/api/usage?group_by=model', 200 ],
              [ 'a1', '/api/usage?range=1y', 400 ])
{
    my ($key, $uri, $status) = @$case;
    is(get($key, $uri)->status, $status, "$uri of $key");
}

get($_ % 2 ? 'a1' : 'a2', '/api/balance') for 4 .. 10;
my $often = get('a1', '/api/balance');
is($often->status, 429, 'ten a minute, for all keys');
like($often->header('retry-after'), qr/^(60|5\d)$/, 'and when again');
$cloud->pass($often->header('retry-after'));
is(get('a1', '/api/balance')->status, 200, 'then it may');
my @asked = $cloud->asked('alice', '/api/balance');
is(@asked, 10, 'all are counted');
cmp_ok(abs($asked[-1] / 1000 - $cloud->now), '<', 30, 'and when they were');

# lies

$cloud->reset;
for my $page (qw/ balance usage /) {
    my %body = (2 => qr/<html>/, 3 => qr/:-\d/, 4 => qr/^\[/, 5 => qr/not found/);

    for my $how (sort keys %body) {
        $cloud->reset;
        $cloud->knobs({ "${page}_wrong" => $how + 0 });
        my $answer = get('a1', "/api/$page");
        is($answer->status, $how == 5 ? 404 : 200, "$page: $how");
        like($answer->body, $body{$how}, 'what it says');
    }

    $cloud->knobs({ "${page}_wrong" => 1 });
    my $held = http('a1')->start('GET', "/api/$page");
    Http::turn(0.05, $held) for 1 .. 3;
    is($held->raw, '', "$page hangs");
    $held->abort;
}
$cloud->knobs({ group_by => 0 });
is(get('a2', '/api/usage?group_by=model')->status, 400, 'no group_by');
$cloud->knobs({});

# usage, in hours and days

$cloud->reset;
$cloud->at($friday);
chat('n');
$cloud->pass(3600);
chat('n', _sim => { cached => \1 }) for 1 .. 2;
chat('n', model => 'glm-5.3');

my $usage = get('n', '/api/usage?range=24h&group_by=model')->json;
is(@{ $usage->{buckets} }, 25, 'hours');
is_deeply([ map { $_->{request_count} } @{ $usage->{buckets} }[22 .. 24] ],
          [ 0, 1, 3 ], 'requests of each');
is(join(' ', map { $_->{partial} // 'whole' } @{ $usage->{buckets} }[23, 24]),
   'whole 1', 'the last one goes on');
is_deeply($usage->{totals}, { request_count => 4, usage_usd =>
          $cloud->bill->{accounts}{plain}{nano_usd} / 1e9, input_tokens => 412,
          cached_input_tokens => 102, output_tokens => 32 }, 'all of them');
is_deeply([ map { "$_->{name} $_->{request_count}" } @{ $usage->{models} } ],
          [ 'gpt-oss:120b 3', 'glm-5.3 1' ], 'by model');
is(scalar @{ get('n', '/api/usage')->json->{buckets} }, 8, 'days');
is(scalar @{ get('n', '/api/usage?range=30d')->json->{buckets} }, 31, 'more days');

# the prompt cache: 100 tokens a message, 3 more for each prompt

$cloud->accounts({ name => 'alice', keys => [ 'a1', 'a2' ] },
                 { name => 'plain', keys => [ 'n' ] });

my @talk = map { { role => $_ % 2 ? 'assistant' : 'user', content => "$_" x 400 } }
           0 .. 9;

sub cached {
    my ($key, $messages, %body) = @_;
    return chat($key, messages => $messages, %body)
               ->json->{prompt_eval_cached_count} // 0;
}

is(cached('a1', [ @talk[0 .. 2] ]), 0, 'no prompt cache');
is(cached('a1', [ @talk[0 .. 2] ]), 0, '.. at all');

for my $scope (1, 2) {
    $cloud->reset;
    $cloud->knobs({ prompt_cache => $scope, prompt_cache_ttl => 600 });
    is(cached('a1', [ $talk[0] ]), 0, 'a first turn');
    is(cached('a2', [ @talk[0 .. 2] ]), 100, 'the second, with another key');
    is(cached('a1', [ @talk[0 .. 4] ]), 300, 'the third');
    is(cached('a1', [ @talk[0 .. 4] ]), 500, 'the same again');
    is(cached('a1', [ $talk[0], @talk[2 .. 4] ]), 100, 'one that branches off');
    is(cached('a1', [ @talk[0 .. 2] ], model => 'glm-5.3'), 0, 'another model');
    is(cached('a1', [ @talk[0 .. 2] ], tools => [ {} ]), 0, 'other tools');
    is(cached('n', [ @talk[0 .. 4] ]), $scope == 1 ? 0 : 500, 'another account');
    $cloud->pass(599);
    is(cached('a1', [ @talk[0 .. 2] ]), 300, 'after ten minutes');
    $cloud->pass(602);
    is(cached('a1', [ @talk[0 .. 4] ]), 0, 'it is forgotten');
}

# .. as each family tells it

my %body = (
    '/v1/chat/completions' => { messages => \@talk },
    '/v1/completions'      => { prompt => 'x' x 4000 },
    '/v1/responses'        => { input => \@talk },
    '/v1/messages'         => { messages => \@talk, max_tokens => 99 },
    '/api/generate'        => { prompt => 'x' x 4000 },
);

for my $path (sort keys %body) {
    my ($first, $second) = map {
        my $answer = http('n')->post($path, { model => $path, stream => \0,
                                              %{ $body{$path} } })->json;
        my $u = $answer->{usage} // $answer;
        my ($details) = grep { $_ } @$u{qw/ prompt_tokens_details
                                            input_tokens_details /}, {};
        $u->{cache_read_input_tokens} // $u->{prompt_eval_cached_count}
            // $details->{cached_tokens} // 0;
    } 1 .. 2;

    is("$first $second", '0 1000', "$path: cached");
}

my $last = $cloud->ledger->{keys}{n}{models}{'/v1/messages'};
is("$last->{prompt} $last->{cached} $last->{reported_cached}", '2006 1000 1000',
   'the ledger knows');

is($cloud->stop, 0, 'ends');

done_testing();
