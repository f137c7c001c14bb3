#!/usr/bin/perl

# Tests for failures that the cloud tells inside of a 200: nothing has reached
# the client yet, so they are judged as if they had been the status, and the
# next key serves the same request.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Poll;
use Proxy;
use Records;
use Test::More;
use Time::HiRes qw/ time /;

my $quota = 'you (someone) have reached your session usage limit, '
            . 'upgrade for higher limits: https://ollama.com/upgrade';
my $busy = 'too many concurrent requests';
my $down = 'an error was encountered while running the model';

my @both = map { Proxy->new(daemon => 1, allow => qr/statsd|http\.sock/,
                            params => { proxy_buffering => $_ })->run }
               'off', 'on';
my $t = $both[0];


sub sse {
    my ($name, $data) = @_;

    return (defined $name ? "event: $name\n" : '') . 'data: '
           . (ref $data ? JSON::PP->new->canonical->encode($data) : $data)
           . "\n\n";
}


sub ndjson { JSON::PP->new->canonical->encode($_[0]) . "\n" }


sub openai {
    my ($text, $type) = @_;

    return { error => { message => $text, type => $type // 'api_error',
                        param => undef, code => undef } };
}


sub anthropic {
    my ($text, $type) = @_;

    return { type => 'error', error => { type => $type // 'api_error',
                                         message => $text } };
}


sub failed {
    my ($text, $code) = @_;

    return { type => 'response.failed', sequence_number => 2, response => {
             id => 'resp_1', status => 'failed', error =>
             { code => $code // 'server_error', message => $text } } };
}


sub begun {
    my ($name) = @_;

    return { type => $name, sequence_number => 0, response => { id => 'resp_1',
             status => 'in_progress', error => undef, output => [],
             instructions => 'error: none' } };
}


my %types = (ndjson => 'application/x-ndjson', sse => 'text/event-stream',
             json => 'application/json', text => 'text/plain');

# [ uri, streamed, type of the answer, its pieces, the text, the status ]

my %cases = (
    'a line with its status' =>
        [ '/api/chat', 1, 'ndjson', [ ndjson({ error => $quota,
          status => 429 }) ], $quota, 429 ],
    'a line without one' =>
        [ '/api/chat', 1, 'ndjson', [ ndjson({ error => $quota }) ],
          $quota, 429 ],
    'a line in pieces' =>
        [ '/api/generate', 1, 'ndjson', [ '{"er', 'ror":"you (x) have reached',
          " your weekly us", qq(age limit"}\n) ],
          'you (x) have reached your weekly usage limit', 429 ],
    'a line without its end' =>
        [ '/api/chat', 1, 'ndjson', [ qq({"error":"$busy"}) ], $busy, 429 ],
    'a line as plain text' =>
        [ '/api/chat', 1, 'text', [ ndjson({ error => $quota }) ],
          $quota, 429 ],
    'a document' =>
        [ '/api/chat', 0, 'json', [ ndjson({ error => $quota }) ],
          $quota, 429 ],
    'a document on generate, 503' =>
        [ '/api/generate', 0, 'json', [ ndjson({ error => $down,
          status => 503 }) ], $down, 503 ],
    'an event of chat completions' =>
        [ '/v1/chat/completions', 1, 'sse', [ sse(undef, openai($quota)) ],
          $quota, 429 ],
    'an event with a plain string' =>
        [ '/v1/chat/completions', 1, 'sse', [ sse(undef, { error => $quota }),
          sse(undef, '[DONE]') ], $quota, 429 ],
    'an event behind comments' =>
        [ '/v1/chat/completions', 1, 'sse', [ ": ping\n\n", ": ping\n\n",
          sse('error', openai($busy, 'rate_limit_error')) ], $busy, 429 ],
    'a completion' =>
        [ '/v1/completions', 0, 'json', [ ndjson(openai($quota)) ],
          $quota, 429 ],
    'response.failed' =>
        [ '/v1/responses', 1, 'sse', [ sse('response.failed',
          failed($quota, 'rate_limit_exceeded')) ], $quota, 429 ],
    'response.failed after response.created' =>
        [ '/v1/responses', 1, 'sse', [ sse('response.created',
          begun('response.created')), sse('response.in_progress',
          begun('response.in_progress')), sse('response.failed',
          failed($quota)) ], $quota, 429 ],
    'the same without names' =>
        [ '/v1/responses', 1, 'sse', [ sse(undef, begun('response.created')),
          sse(undef, failed($quota)) ], $quota, 429 ],
    'a response' =>
        [ '/v1/responses', 0, 'json', [ ndjson({ id => 'resp_1', object =>
          'response', status => 'failed', error => { code => 'x',
          message => $quota }}) ], $quota, 429 ],
    'event: error' =>
        [ '/v1/messages', 1, 'sse', [ sse('error', anthropic($quota)) ],
          $quota, 429 ],
    'event: error after pings' =>
        [ '/v1/messages', 1, 'sse', [ sse('ping', { type => 'ping' }),
          sse('ping', { type => 'ping' }), sse('error', anthropic('Overloaded',
          'overloaded_error')) ], 'Overloaded', 503 ],
    'a message' =>
        [ '/v1/messages', 0, 'json', [ ndjson(anthropic('invalid x-api-key',
          'authentication_error')) ], 'invalid x-api-key', 401 ],
    'an embedding' =>
        [ '/api/embed', 0, 'json', [ ndjson({ error => $quota }) ],
          $quota, 429 ],
);


sub reset_all {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
}


sub rule {
    my ($case, %more) = @_;

    return { headers => { 'content-type' => $types{$case->[2]} },
             chunks => $case->[3], %more };
}


sub text_of {
    my ($json) = @_;

    return ref $json->{error} ? $json->{error}{message} : $json->{error};
}


my $n = 0;

sub ask {
    my ($case, %more) = @_;

    return $t->chat(uri => $case->[0], stream => $case->[1], timeout => 15,
                    body => { max_tokens => 100, input => 'hi',
                              prompt => 'hi' },
                    sim => { embeddings => 1 }, %more);
}


# the next key serves, the first one is held to account

for my $name (sort keys %cases) {
    my $case = $cases{$name};

    for my $how ({ chunk_ms => 0 }, { chunk_ms => 30, body_ms => 30 },
                 { framing => 'length' }, { framing => 'close' },
                 { buffering => 1 })
    {
        my %how = %$how;

        $t = $both[delete $how{buffering} // 0];

        subtest join(', ', $name, map { "$_ $how->{$_}" } sort keys %$how)
            => sub {
            reset_all();

            my $model = 'inside-' . ++$n;

            $t->cloud->rules({ times => 1, %{ rule($case, %how) } });

            my $began = time();
            my $r = ask($case, model => $model);
            my @requests = $t->cloud->requests;

            is($r->status, 200, 'served');
            ok($r->complete, 'wholly');
            is($r->header('x-ollama-attempts'), 2, 'by the next key');
            unlike($r->body, qr/usage limit|concurrent|Overloaded|x-api-key/,
                   'with nothing of the error');
            isnt($requests[0]{key}, $requests[1]{key}, 'which is another');
            cmp_ok(time() - $began, '<', 4, 'at once');

            my ($first) = grep { key_of($_) eq $requests[0]{key} } 0 .. 2;

            isnt($t->health($first)->{state}, 'healthy',
                 'the first is held to account') if $case->[5] != 503;

            my $q = record($t, $model);

            is($q->{status}, 200, 'the record: a success');
            is($q->{attempts}[0]{status}, $case->[5], 'after an error');
        };
    }
}

# nobody else can serve it: the client hears what it would have heard (and for a
# slot it would wait)

for my $name (grep { $cases{$_}[4] ne $busy } sort keys %cases) {
    my $case = $cases{$name};

    for my $how ({}, { framing => 'length' }, { buffering => 1 }) {
        my %how = %$how;

        $t = $both[delete $how{buffering} // 0];

        subtest join(', ', "$name, for ever", %$how) => sub {
            reset_all();

            my $model = 'inside-' . ++$n;

            $t->cloud->rules({ times => -1, %{ rule($case, %how) } });

            my $r = ask($case, model => $model);

            is($r->status, $case->[5], 'the status it stands for');
            ok($r->complete, 'a whole answer');
            is($r->header('content-type'), 'application/json', 'of JSON');
            is(text_of($r->json // {}), $case->[4], "the cloud's own text");
            ok(ref $r->json->{error}, 'in the shape of the API')
                if $case->[0] =~ m!^/v1!;
            is($r->json->{type}, 'error', "Anthropic's")
                if $case->[0] eq '/v1/messages';

            my $q = record($t, $model);

            is($q->{status}, $case->[5], 'the record has the status');
            is($q->{reason}, $case->[4], 'and the text');
            is(($q->{prompt_tokens} // 0) + ($q->{completion_tokens} // 0), 0,
               'no tokens');
        };
    }
}

$t = $both[0];

# a key whose quota is spent draws one request, not all of them

for my $name ('a line with its status', 'event: error',
              'response.failed after response.created', 'a document')
{
    my $case = $cases{$name};

    $t = Proxy->new(cloud => $t->cloud)->run;
    $t->cloud->reset;

    $t->cloud->rules({ times => -1, match => { key => key_of(0) },
                       %{ rule($case) } });

    my @r = map { ask($case, model => 'spread') } 1 .. 30;
    my @drawn = grep { $_->{key} eq key_of(0) } $t->cloud->requests;

    is(scalar(grep { $_->status == 200 } @r), 30, "30 requests, $name");
    is(scalar @drawn, 1, 'the spent key draws one');
    is($t->health(0)->{state}, 'exhausted', 'as it is exhausted');
}

$t = $both[0];

# what is no error passes as early as its bytes are here

my %passing = (
    'an event' => [ '/v1/chat/completions', 'sse', 'data: {"id":' ],
    'a line' => [ '/api/chat', 'ndjson', '{"model":' ],
    'an event by name' => [ '/v1/messages', 'sse',
                            "event: message_start\n" ],
    'the next event' => [ '/v1/responses', 'sse', sse('response.created',
                          begun('response.created'))
                          . "event: response.output_item.added\n" ],
    'no JSON' => [ '/api/chat', 'text', 'hello there' ],
);

for my $name (sort keys %passing) {
    my ($uri, $type, $begin) = @{ $passing{$name} };

    reset_all();

    $t->cloud->rules({ times => 1, headers => { 'content-type' =>
        $types{$type} }, chunks => [ $begin, 'x' ], chunk_ms => 60_000 });

    my $r = $t->start_chat(uri => $uri, stream => 1, timeout => 20,
                           body => { max_tokens => 9, input => 'hi',
                           stream_options => { include_usage =>
                           JSON::PP::true } });

    ok($r->first, "$name: the first bytes pass");
    is($r->body, $begin, 'all of them');
    $r->abort;
}

poll { $t->in_flight == 0 } 'all is over';

# nothing is known for the length of the buffer: it passes

reset_all();

my $long = ': ' . 'x' x 50_000 . "\n\n";

$t->cloud->rules({ times => 1, headers => { 'content-type' => $types{sse} },
                   chunks => [ $long, sse(undef, '[DONE]') ] });

my $r = $t->chat(uri => '/v1/chat/completions', stream => 1);

is($r->status, 200, 'a comment longer than the buffer');
is($r->body, $long . sse(undef, '[DONE]'), 'passes as it came');
is($r->header('x-ollama-attempts'), 1, 'at the first try');

# an answer about errors is none

reset_all();

my $about = ndjson({ model => 'm', message => { content => '{"error":"x"}' },
                     done => JSON::PP::true, prompt_eval_count => 1,
                     eval_count => 2 });

$t->cloud->rules({ times => 1, chunks => [ $about ] });
$r = $t->chat;

is($r->body, $about, 'an answer about errors is none');

# an answer of which nothing comes is no answer

reset_all();

$t->cloud->rules({ times => 1, close => 'after_headers' });
$r = $t->chat(stream => 1, model => 'headers-only');

is($r->status, 200, 'headers alone, and the connection is closed');
is($r->header('x-ollama-attempts'), 2, 'the next key serves');
ok($r->complete, 'wholly');

# bytes have gone out: the key is blamed nevertheless, and only once

for my $case ([ '/api/chat', ndjson({ model => 'm', message => { content =>
                'a' }, done => JSON::PP::false }), ndjson({ error => $quota }) ],
              [ '/v1/chat/completions', sse(undef, { id => 'c', choices => [ {
                delta => { content => 'a' } } ] }), sse(undef,
                openai($quota)) ],
              [ '/v1/messages', sse('content_block_delta', { type =>
                'content_block_delta', delta => { text => 'a' } }),
                sse('error', anthropic($quota)) ])
{
    my ($uri, @chunks) = @$case;

    reset_all();

    $t->cloud->rules({ times => 1, headers => { 'content-type' =>
        $types{ $uri =~ /api/ ? 'ndjson' : 'sse' } }, chunks => \@chunks,
        chunk_ms => 30 });

    $r = $t->chat(uri => $uri, stream => 1, body => { max_tokens => 9 });

    is($r->status, 200, "$uri: an error after other bytes");
    is($r->header('x-ollama-attempts'), 1, 'is nobody tried again for');
    like($r->body, qr/usage limit/, 'the client is told');

    my ($first) = grep { key_of($_) eq $t->cloud->last->{key} } 0 .. 2;

    ok(poll { $t->health($first)->{state} eq 'exhausted' },
       'its key is exhausted');
}

finish();
