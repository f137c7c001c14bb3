#!/usr/bin/perl

# Tests for numbers that are no count: a prompt of 0 tokens with a completion,
# a completion of 0 with text, negative and absurd ones.  That half is
# estimated and marked, the other one stays exact, and no key is shut out.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my $format = '$ollama_model $ollama_prompt_tokens $ollama_completion_tokens '
             . '$ollama_prompt_certainty $ollama_completion_certainty '
             . '$ollama_certainty';
my $t = Proxy->new(daemon => 1, keys => [ keys_of(2) ],
                   allow => qr/statsd|http\.sock/,
                   http => "log_format halves '$format';"
                           . ' access_log %DIR%/halves.log halves;')->run;
my $cloud = $t->cloud;
my $text = 'why? ' x 400;
my @messages = (messages => [ { role => 'user', content => $text } ]);
my @endpoints = (
    { uri => '/api/chat', body => { @messages } },
    { uri => '/api/generate', body => { prompt => $text } },
    { uri => '/v1/chat/completions', body => { @messages } },
    { uri => '/v1/completions', body => { prompt => $text } },
    { uri => '/v1/responses', body => { input => $text } },
    { uri => '/v1/messages', body => { @messages, max_tokens => 99 } },
);
my $n = 0;


# how sure one is of the prompt, the completion, and both

sub certainty {
    my ($q) = @_;

    return join ' ', map { $_ // '-' }
           @$q{qw/ prompt_certainty completion_certainty certainty /};
}


# "0" where nothing is said, in all APIs, streamed or not

for my $endpoint (@endpoints) {
    for my $stream (JSON::PP::false, JSON::PP::true) {
        my $what = "$endpoint->{uri}, " . ($stream ? 'a stream' : 'plain');

        for my $half ([ 2, 'prompt', 'estimated exact estimated' ],
                      [ 3, 'completion', 'exact estimated estimated' ],
                      [ 1, 'neither', 'estimated estimated estimated' ],
                      [ 0, 'both', 'exact exact exact' ])
        {
            my ($zero, $name, $certainty) = @$half;
            my $model = 'halves-' . ++$n;

            $t->post($endpoint->{uri},
                     { %{ $endpoint->{body} }, model => $model,
                       stream => $stream,
                       _sim => { zero_usage => $zero, words => 40 } });

            my $q = record($t, $model);
            my ($prompt, $completion) = split / /, told_of($cloud, $model);

            is(certainty($q), $certainty, "$what: $name of 0");

            if ($zero == 2) {
                is($q->{completion_tokens}, $completion, '.. the other counts');
                cmp_ok($q->{prompt_tokens}, '>', 480, '.. about as many');
                cmp_ok($q->{prompt_tokens}, '<', 600, '.. as were sent');

            } elsif ($zero == 3) {
                is($q->{prompt_tokens}, $prompt, '.. the other counts');
                cmp_ok($q->{completion_tokens}, '>', 20, '.. about as many');
                cmp_ok($q->{completion_tokens}, '<', 100, '.. as came');
            }
        }
    }
}

# other numbers that are none

my $booked = booked($t);

for my $number (qw/ 0 -1 -73 0.5 73.5 1e18 1e30 100000001
                    1000000000000000000 18446744073709551615 "73" null /)
{
    for my $answer (
        [ 'native', '/api/chat',
          '{"message":{"content":"12345678"},"done":true,"done_reason":"stop",'
          . '"prompt_eval_count":%s,"eval_count":%s}' ],
        [ 'OpenAI', '/v1/chat/completions',
          '{"choices":[{"message":{"content":"12345678"},"finish_reason":'
          . '"stop"}],"usage":{"prompt_tokens":%s,"completion_tokens":%s}}' ],
        [ 'Responses', '/v1/responses',
          '{"output":[{"content":[{"text":"12345678"}]}],"usage":{'
          . '"input_tokens":%s,"output_tokens":%s}}' ],
        [ 'Anthropic', '/v1/messages',
          '{"content":[{"text":"12345678"}],"usage":{"input_tokens":%s,'
          . '"output_tokens":%s}}' ])
    {
        my ($api, $uri, $body) = @$answer;

        my @got = map {
            my $model = 'halves-' . ++$n;

            $cloud->rules({ match => { model => $model }, headers =>
                            { 'content-type' => 'application/json' },
                            body => sprintf $body, @$_ });
            $t->chat(uri => $uri, model => $model);
            record($t, $model);
        } [ $number, 78 ], [ 73, $number ];

        is(certainty($got[0]), 'estimated exact estimated',
           "$api: a prompt of $number");
        is($got[0]{completion_tokens}, 78, '.. the completion counts');
        cmp_ok($got[0]{prompt_tokens}, '<', 100, '.. it is estimated');
        cmp_ok($got[0]{prompt_tokens}, '>', 0, '.. not left out');
        is(certainty($got[1]), 'exact estimated estimated',
           "$api: a completion of $number");
        is(join(' ', @{ $got[1] }{qw/ prompt_tokens completion_tokens /}),
           '73 2', '.. likewise');
    }
}

cmp_ok(booked($t) - $booked, '<', 20000, 'no key carries absurd numbers');

# both keys go on

my %seen = map { $_ => 1 } $t->answered_by(8);
is(join(' ', sort keys %seen), 'key_0 key_1', 'both keys are used as before');

# the sums mark one half only

my ($row) = grep { $_->{model} eq 'halves-1' }
            @{ $t->get('/stats?limit=1000')->json };
is($row->{estimated_tokens}, $row->{prompt_tokens}, 'sums: one half estimated');

# in the log, too

my ($line) = Process::slurp($t->dir . '/halves.log') =~ /^(halves-1 .*)$/m;
is($line, "halves-1 $row->{prompt_tokens} $row->{completion_tokens} "
          . 'estimated exact estimated', 'variables say the same');

finish();
