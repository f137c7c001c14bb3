#!/usr/bin/perl

# The simulator of the cloud: what other tests take for granted about it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cloud;
use Http;
use IO::Uncompress::Gunzip qw/ gunzip /;
use Poll;
use Test::More;
use Time::HiRes qw/ time /;

my $cloud = Cloud->start();
my $http = Http->new(port => $cloud->port, trusted => 1,
                     headers => [ Authorization => 'Bearer key' ]);

my %request = (
    '/api/chat'            => { messages => [ { content => 'x' x 40 } ] },
    '/api/generate'        => { prompt => 'x' x 40 },
    '/v1/chat/completions' => { messages => [ { content => 'x' x 40 } ],
                                stream_options => { include_usage => \1 } },
    '/v1/completions'      => { prompt => 'x' x 40,
                                stream_options => { include_usage => \1 } },
    '/v1/responses'        => { input => 'x' x 40 },
    '/v1/messages'         => { messages => [ { content => [
                                    { type => 'text', text => 'x' x 40 },
                                    { type => 'image', data => 'yyyy' } ] } ],
                                max_tokens => 9 },
);

my @paths = sort keys %request;
my $prompt = 13;    # of all of them: 40 / 4 + 3


sub start {
    my ($path, $stream, %sim) = @_;

    return $http->start('POST', $path, json => {
        model => 'm', stream => $stream ? \1 : \0, _sim => \%sim,
        %{ $request{$path} }
    });
}


sub ask {
    my $answer = start(@_);
    Http::finish($answer);
    return $answer;
}


# The objects of an answer: NDJSON, SSE, or one.

sub objects {
    my ($answer) = @_;
    my $type = $answer->header('content-type');

    return map { $Http::json->decode($_) } grep { $_ ne '[DONE]' }
           $answer->body =~ /^data: (.+?)\r?$/mg if $type =~ /event-stream/;
    return $answer->lines;
}


# What an answer says was used, as prompt, completion and cached tokens, in the
# way in which a client of that family reads it.

sub used {
    my (@told) = (0, 0, 0);

    for my $o (@_) {
        my ($u) = grep { $_ } $o->{usage}, map { $_->{usage} }
                  grep { ref } @$o{qw/ response message /};

        if (!$u && $o->{done}) {
            @told = map { $_ // 0 } @$o{qw/ prompt_eval_count eval_count
                                            prompt_eval_cached_count /};

        } elsif ($u && defined $u->{completion_tokens}) {
            @told = ($u->{prompt_tokens}, $u->{completion_tokens},
                     $u->{prompt_tokens_details}{cached_tokens} // 0);

        } elsif ($u && $u->{total_tokens}) {
            @told = ($u->{input_tokens}, $u->{output_tokens},
                     $u->{input_tokens_details}{cached_tokens});

        } elsif ($u) {
            my $cached = $u->{cache_read_input_tokens} // 0;
            @told = (($u->{input_tokens} // $told[0]) + $cached,
                     $u->{output_tokens}, $cached || $told[2]);
        }
    }

    return "@told";
}


sub ledger {
    my $total = $cloud->ledger->{total};
    return join ' ', map { $total->{$_} } @_;
}


# every family, streamed and not: the tokens it tells are those of the ledger

for my $path (@paths) {
    for my $stream (0, 1) {
        my $name = $path . ($stream ? ' streamed' : '');

        $cloud->reset;
        my $answer = ask($path, $stream, words => 5, thinking => 2,
                         cached => \1, tool_call => \1);
        my @objects = objects($answer);

        is(used(@objects), "$prompt 7 6", "$name: tokens");
        is(ledger(qw/ requests ok prompt completion cached /),
           "1 1 $prompt 7 6", "$name: ledger");
        is(ledger(qw/ reported_prompt reported_completion reported_cached /),
           "$prompt 7 6", "$name: reported");
        ok($stream ? @objects > 7 : @objects == 1, "$name: objects");
        ok($answer->header($stream ? 'transfer-encoding' : 'content-length'),
           "$name: framing");

        is(used(objects(ask($path, $stream, spoof => \1))), "$prompt 8 0",
           "$name: spoof");
        is(used(objects(ask($path, $stream, zero_usage => \1))), '0 0 0',
           "$name: zero usage");

        $cloud->reset;
        is(used(objects(ask($path, $stream, no_usage => \1, words => 3))),
           '0 0 0', "$name: no usage");
        is(ledger(qw/ ok completion reported_completion /), '1 3 0',
           "$name: used all the same");

        my @split = objects(ask($path, $stream, chunk_bytes => 1, words => 5,
                                thinking => 2, cached => \1, tool_call => \1));

        is(@split, @objects, "$name: byte by byte");
        is(used(@split), "$prompt 7 6", "$name: tokens byte by byte");
    }

    like(ask($path, 1, crlf => \1)->body, qr/\A(?:[^\r\n]*\r\n)+\z/,
         "$path: crlf");
    like(ask($path, 1, no_final_newline => \1)->body, qr/[}\]]\z/,
         "$path: no final newline");
    is(used(objects(ask($path, 1, metrics_on_all => \1))), "$prompt 8 0",
       "$path: metrics on all chunks");
    ok(length((sort { length $b <=> length $a } split /\n/,
               ask($path, 1, pad_bytes => 300000)->body)[0]) > 300000,
       "$path: long lines");

    # what is not complete is not in the ledger

    $cloud->reset;
    like(ask($path, 1, error_after => 2)->body, qr/error/, "$path: error");
    is(ask($path, 0, error_after => 2)->status, 500, "$path: error, plain");

    my $cut = ask($path, 1, close_after_bytes => 100);
    is(length($cut->body) . $cut->error, '100closed early', "$path: closed");
    $cut = ask($path, 1, reset_after_bytes => 100);
    like(length($cut->body) . $cut->error, qr/^100read: .*reset/, "$path: reset");

    my $left = start($path, 1, words => 50, delay_ms => 50);
    $left->first;
    is($cloud->ledger->{running}, 1, "$path: running");
    $left->abort;
    ok(poll { $cloud->ledger->{running} == 0 }, "$path: left by the client");
    is(ledger(qw/ requests ok completion /), '5 0 0', "$path: none of it billed");
}

# framing and coding

my $answer = ask('/api/chat', 1, gzip => \1);
gunzip(\$answer->body, \my $plain);
is(scalar(grep { /done/ } split /\n/, $plain), 9, 'gzip');
is($answer->header('content-encoding'), 'gzip', 'content-encoding');

$answer = ask('/api/chat', 1, content_length => \1);
is($answer->header('content-length'), length $answer->body, 'stream with a length');
is(ask('/api/chat', 0, content_length => \0)->header('transfer-encoding'),
   'chunked', 'answer in chunks');
$answer = ask('/api/chat', 1, http10_close => \1);
like($answer->raw, qr{\AHTTP/1.0 200 OK\r\n}, 'HTTP/1.0');
is($answer->header('content-length') // $answer->header('transfer-encoding'), undef,
   'its end is the end of the connection');
is($answer->lines, 9, 'all of it is there');

$answer = ask('/api/chat', 1, first_delay_ms => 60, delay_ms => 30, words => 3);
my @pieces = $answer->pieces;
is(@pieces, 4, 'one event at a time');
cmp_ok($pieces[0][0] - $answer->sent, '>=', 0.06, 'first delay');
cmp_ok($pieces[3][0] - $pieces[0][0], '>=', 0.08, 'delays');

# what is of one family

like(ask('/api/chat', 1, no_done => \1)->body, qr/"done":false}\n\z/, 'no done line');
unlike(ask('/v1/completions', 1, no_done => \1)->body, qr/DONE/, 'no [DONE]');
is(used(objects(ask('/v1/messages', 1, usage_only_in_start => \1))), "$prompt 8 0",
   'usage in message_start');
is(scalar(grep { length > 213000 } split /\n/,
          ask('/v1/responses', 1, echo_bytes => 213000)->body), 3, 'echo');
is((objects(ask('/v1/responses', 1, failed => \1)))[-1]{type}, 'response.failed',
   'failed');
is((objects(ask('/v1/responses', 1, incomplete => \1)))[-1]{type},
   'response.incomplete', 'incomplete');
is((objects(ask('/api/chat', 1, incomplete => \1)))[-1]{done_reason}, 'length',
   'length');

delete local $request{'/v1/chat/completions'}{stream_options};
unlike(ask('/v1/chat/completions', 1)->body, qr/usage/, 'usage that nobody asked for');

is($http->post('/api/embed', { model => 'm', input => 'x' })->status, 401,
   'no embeddings');
is($http->post('/v1/embeddings', { model => 'm', input => 'x' })->status, 404,
   'nor on /v1');
$answer = $http->post('/api/embed', { model => 'm', input => [ 'a', 'b' x 39 ],
                                      _sim => { embeddings => \1 } });
is(@{ $answer->json->{embeddings} }, 2, 'embeddings of a local daemon');
is($answer->json->{prompt_eval_count}, $prompt, 'their tokens');

# rules

my %status = (
    quota_session => 429, quota_weekly => 429, quota_hourly => 429,
    quota_monthly => 429, concurrent => 429, queue_timeout => 429,
    unknown_429 => 429, unauthorized => 401, model_402 => 402, model_403 => 403,
    overloaded_503 => 503, internal_500 => 500, bad_gateway_html_502 => 502,
    gateway_timeout_524 => 524, gateway_504 => 504, bad_request_400 => 400,
    not_found_404 => 404, gone_410 => 410, too_large_413 => 413,
);
my %shape = (
    '/api/chat'            => sub { $_[0]{error} },
    '/v1/chat/completions' => sub { exists $_[0]{error}{param}
                                    && $_[0]{error}{message} },
    '/v1/messages'         => sub { $_[0]{type} eq 'error'
                                    && $_[0]{error}{message} },
);

for my $preset (sort keys %status) {
    for my $path (sort keys %shape) {
        $cloud->rules({ preset => $preset });
        my $answer = ask($path);

        is($answer->status, $status{$preset}, "$preset on $path");
        ok(eval { !ref $shape{$path}->($answer->json) }, "$preset: its shape")
            if $answer->header('content-type') =~ /json/;
    }
}

$cloud->rules({ preset => 'concurrent' });
is(ask('/api/chat')->body, qq({"error":"too many concurrent requests"}\n), '41 bytes');

$cloud->reset;
$cloud->rules({ match => { path => '/api/chat', model => 'm', key => 'key',
                           method => 'POST' },
                times => 2, status => 418, body => 'tea',
                headers => { 'retry-after' => 7, 'content-type' => 'text/tea' } },
              { match => { key => 'other' }, times => -1, status => 500 });
is(ask('/api/generate')->status, 200, 'a rule for another path');
for (1, 2) {
    $answer = ask('/api/chat');
    is(join(' ', $answer->status, $answer->body, $answer->header('retry-after'),
            $answer->header('content-type')), '418 tea 7 text/tea', "time $_");
}
is(ask('/api/chat')->status, 200, 'its times are over');

$cloud->rules({ close => 'before_headers' }, { close => 'after_headers' },
              { close => 'reset_before_headers' }, { delay_ms => 50 },
              { delay_ms => 50, status => 500 }, { hold => \1 });
is(ask('/api/chat')->raw, '', 'closed before the headers');
$answer = ask('/api/chat');
is($answer->status . $answer->error, '200closed early', 'closed after the headers');
like(ask('/api/chat')->error, qr/reset/, 'reset');
my $then = time();
is(ask('/api/chat')->status, 200, 'a delay only');
is(ask('/api/chat')->status, 500, 'a delayed error');
cmp_ok(time() - $then, '>=', 0.1, 'both took their time');
my $held = start('/api/chat');
Http::turn(0.05, $held) for 1 .. 3;
is($held->raw, '', 'held');
$held->abort;

for my $wrong ({ preset => 'x' }, { times => 1, colour => 'red' },
               { close => 'x' }, { status => 100 }, { match => 'x' })
{
    is($cloud->{http}->post('/_sim/rules', { rules => [ $wrong ] })->status, 400,
       'a wrong rule');
}

# knobs for all

$cloud->knobs({ words => 2, plain_string_on_v1 => \1 });
is(scalar ask('/api/chat', 1)->lines, 3, 'words for all');
is(ask('/v1/messages', 0, words => 0, bad => 1)->json->{error},
   '_sim: no knob "bad", or its value is out of bounds', 'a wrong knob');
$cloud->knobs({});
is(scalar ask('/api/chat', 1)->lines, 9, 'back to the defaults');

# accounts: keys, models, quota

$cloud->reset;
$cloud->accounts(
    { name => 'alice', keys => [ 'a1', 'a2', 'a3' ], max_concurrent => 1,
      queue_limit => 1, queue_timeout_ms => 200, revoked_keys => [ 'a3' ],
      denied_models => { paid => 402, pro => 403 } },
    { name => 'bob', keys => [ 'b' ], quota => 'weekly' },
    { name => 'carol', keys => [ 'c' ], suspended => \1 });


sub as {
    my ($key, $model, %sim) = @_;

    return $http->start('POST', '/api/chat', only => 1,
        headers => [ defined $key ? (Authorization => "Bearer $key") : () ],
        json => { model => $model // 'm', messages => [], _sim => \%sim });
}


for my $case ([ 'a1', 'm', 200 ], [ 'a2', 'm', 200 ], [ 'a3', 'm', 401 ],
              [ 'x', 'm', 401 ], [ undef, 'm', 401 ], [ 'c', 'm', 401 ],
              [ 'a1', 'paid', 402 ], [ 'a1', 'pro', 403 ], [ 'b', 'm', 429 ])
{
    my ($key, $model, $status) = @$case;
    my ($answer) = Http::finish(as($key, $model));
    is($answer->status, $status, "$model with " . ($key // 'no key'));
    like($answer->body, qr/you \(bob\) .* weekly usage limit/, 'quota')
        if $key && $key eq 'b';
}

# slots: one runs, one waits, one is turned away

my $first = as('a1', 'm', delay_ms => 20, words => 8);
$first->first;
my $second = as('a2', 'm');
Http::turn(0.02, $first, $second);
my ($third) = Http::finish(as('a2'));
is($third->status, 429, 'turned away');
is($third->header('x-ratelimit-max-concurrent') . $third->header('retry-after'),
   '110', 'with the limit');
is($second->raw, '', 'one waits');
Http::finish($first, $second);
is($second->status, 200, 'for its slot');
is_deeply($cloud->ledger->{peak_running}, { a1 => 1, a2 => 1 }, 'one at a time');

$first = as('a1', 'm', first_delay_ms => 5000);
$second = as('a1', 'm');
Http::turn(0.02, $first, $second) for 1 .. 3;
$first->abort;
is((Http::finish($second))[0]->status, 200, 'a client leaves its slot');

$first = as('a1', 'm', first_delay_ms => 400);
Http::turn(0.02, $first);
$second = as('a1', 'm');
is((Http::finish($second))[0]->json->{error},
   'timed out waiting for a concurrent request slot', 'waited for too long');
$first->abort;

my $keys = $cloud->ledger->{keys};
is($keys->{a1}{models}{paid}{requests} . $keys->{'(none)'}{requests}, '11',
   'the ledger by key and model');
$cloud->any_key;

# other pages

for my $case ([ GET => '/api/version', 200, qr/"0.0.0"/ ],
              [ GET => '/api/tags', 200, qr/gpt-oss:120b/ ],
              [ HEAD => '/api/tags', 200, qr/\A\z/ ],
              [ GET => '/v1/models', 200, qr/"owned_by":"ollama"/ ],
              [ GET => '/v1/models/gpt-oss%3A20b', 200, qr/"gpt-oss:20b"/ ],
              [ GET => '/v1/models/x:cloud', 404, qr/x:cloud/ ],
              [ GET => '/api/ps', 401, qr/unauthorized/ ],
              [ GET => '/api/chat', 405, qr/error/ ],
              [ GET => '/api/me', 405, qr/error/ ],
              [ POST => '/api/me', 200, qr/"Plan":"free"/ ],
              [ GET => '/api/usage?range=24h', 200, qr/"granularity":"hour"/ ],
              [ GET => '/api/usage?range=24h&range=7d', 400, qr/error/ ],
              [ GET => '/api/balance', 200, qr/purchased/ ],
              [ POST => '/api/web_search', 200, qr/results/ ],
              [ POST => '/api/web_fetch', 200, qr/links/ ],
              [ POST => '/v1/messages/count_tokens', 404, qr/path/ ],
              [ GET => '/nowhere', 404, qr!path \\"/nowhere\\" not found! ],
              [ GET => '/', 200, qr/html/ ])
{
    my ($method, $uri, $status, $body) = @$case;
    my $answer = $http->request($method, $uri);

    is($answer->status, $status, "$method $uri");
    like($answer->body, $body, "$uri: body");
}

like($http->post('/api/show', { model => 'gpt-oss:20b' })->body,
     qr/"gptoss.context_length":131072/, '/api/show');
is($http->post('/api/chat', "\x1f\x8b")->json->{error},
   q(invalid character '\x1f' looking for beginning of value), 'no JSON');
is($http->post('/api/chat', '{"messages":[]}')->status, 400, 'no model');
is($http->post('/v1/messages', { model => 'm' })->json->{error}{type},
   'invalid_request_error', 'no max_tokens');
is($http->post('/api/chat', '{"MODEL":"m","model":"n","Stream":false} x')
        ->json->{model}, 'n', 'names as Go reads them');

# the reader of requests, and what it remembers

$cloud->reset;
my $big = '{"model":"m","prompt":"' . 'z' x 3_000_000 . '"}';
$answer = $http->request('POST', '/api/generate?a=%2F..', keep => 1,
                         headers => [ 'X-Twice' => 1, 'X-Twice' => "\xff" ],
                         chunked => [ unpack '(a65000)*', $big ]);
is($answer->lines, 9, 'a chunked request');
my ($again) = Http::finish($http->start('POST', '/api/me', on => $answer));
my ($seen, $next) = $cloud->requests;
is("$seen->{uri} $seen->{body_bytes}", '/api/generate?a=%2F.. ' . length $big, 'seen');
is(length $seen->{body}, 256 * 1024, 'its body is cut');
is($seen->{body_sha256}, do { require Digest::SHA; Digest::SHA::sha256_hex($big) },
   'but all of it is in the digest');
is_deeply([ Cloud::headers($seen, 'x-twice') ], [ 1, "\x{fffd}" ], 'headers');
is("$seen->{request_on_connection} $next->{request_on_connection} "
   . ($next->{connection} - $seen->{connection}), '1 2 0', 'one connection');
is(ledger('prompt'), 750003, 'tokens of a large body');

my $ok = "Host: x\r\nAuthorization: Bearer k\r\n";
my $json = '{"model":"m","stream":false}';
my $post = "POST /api/chat HTTP/1.1\r\n$ok";

for my $case ([ 'two lengths', "${post}Content-Length: 1\r\nContent-Length: 1\r\n\r\n1", 400 ],
              [ 'length and coding', "${post}Content-Length: 1\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 ],
              [ 'a bare LF', "GET /api/tags HTTP/1.1\nHost: x\r\n\r\n", 400 ],
              [ 'a space before the colon', "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400 ],
              [ 'no Host', "GET / HTTP/1.1\r\n\r\n", 400 ],
              [ 'two keys', "${post}Authorization: Bearer l\r\nContent-Length: "
                . length($json) . "\r\n\r\n$json", 400 ],
              [ 'a bad chunk', "${post}Transfer-Encoding: chunked\r\n\r\nx\r\n", 400 ],
              [ 'another coding', "${post}Transfer-Encoding: gzip\r\n\r\n", 501 ],
              [ 'too large', "${post}Content-Length: 104857601\r\n\r\n", 413 ],
              [ 'too long', "GET /" . 'a' x 70000 . " HTTP/1.1\r\n$ok\r\n", 431 ])
{
    my ($name, $raw, $status) = @$case;
    is((Http::finish($http->start('POST', '/', raw => $raw)))[0]->status, $status, $name);
}

my $slow = $http->start('POST', '/api/chat',
    raw => "${post}Expect: 100-continue\r\nContent-Length: " . length($json) . "\r\n\r\n");
Http::until(sub { $slow->{interim} }, $slow);
$slow->{out} = $json;
Http::finish($slow);
is("@{ $slow->{interim} } " . $slow->status, '100 200', '100-continue');

my $one = "${post}Content-Length: " . length($json) . "\r\n\r\n$json";
my ($both) = Http::finish($http->start('POST', '/', keep => 1,
                                        raw => $one . $one));
my ($behind) = Http::finish($http->start('POST', '/', raw => '', on => $both));
is($both->status . $behind->status, '200200', 'pipelined');

is($cloud->stop, 0, 'ends');

done_testing();
