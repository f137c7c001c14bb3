#!/usr/bin/perl

# Tests for what the proxy answers itself, as a local Ollama would.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new(server => 'ollama_version 0.99.7;',
                   allow => qr/ollama-statsd\/http\.sock/)->run;
my $r;


# the front door

$r = $t->get('/');

is($r->status, 200, 'GET /');
is($r->body, 'Ollama is running', 'says what a local Ollama says');
like($r->header('content-type'), qr!^text/plain!, 'as plain text');

$r = $t->request('HEAD', '/');

is($r->status, 200, 'HEAD /');
is($r->header('content-length'), 17, 'of the same length');
is($r->body, '', 'without a body');

my @html = (Accept => 'text/html,application/xhtml+xml');
my @browser = ('User-Agent' => 'Mozilla/5.0 (X11; Linux x86_64)');

$r = $t->get('/', headers => [ @html, @browser ]);

is($r->status, 302, 'a browser is led on');
like($r->header('location'), qr!^(http://[^/]+)?/dashboard$!, 'to the page');

is($t->get('/', headers => [ 'Sec-Fetch-Mode' => 'navigate', @$_ ])->status, 302,
   'so is one that says what it does') for [], [ @html, @browser ];

for my $headers ([ @html ], [ @html, 'User-Agent' => 'Uptime-Kuma/1.23' ],
                 [ @browser ], [ Accept => '*/*', @browser ],
                 [ @html, @browser, 'Sec-Fetch-Mode' => 'cors' ],
                 [ @html, @browser, 'Sec-Fetch-Mode' => 'no-cors' ])
{
    is($t->get('/', headers => $headers)->body, 'Ollama is running',
       "who does not navigate is told: @$headers");
}

is($t->get('/', headers => [ Accept => '*/*' ])->status, 200, 'curl is not');
is($t->request('POST', '/')->status, 405, 'POST / is nothing');

# what is known without the cloud

is_deeply($t->get('/api/version')->json, { version => '0.99.7' },
          'the version that was configured');
is($t->request('HEAD', '/api/version')->status, 200, 'HEAD /api/version');
is_deeply($t->get('/v1/api/version')->json, { version => '0.99.7' },
          'by a path put right as well');
is_deeply($t->get('/api/ps')->json, { models => [] }, 'nothing is loaded');
is_deeply($t->get('/api/status')->json,
          { cloud => { disabled => JSON::PP::false, source => 'none' } },
          'the cloud is on');
is($t->request('HEAD', '/api/tags')->status, 200, 'HEAD /api/tags');

$r = $t->request('POST', '/api/me');

is($r->status, 200, 'POST /api/me');
like($r->json->{id}, qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
     'an id that a client can read');
ok(length $r->json->{name}, 'a name');
unlike($r->body, qr/\@/, "and nobody's e-mail");

# the preload of `ollama run`

$r = $t->post('/api/generate', { model => 'gpt-oss:20b' });

is($r->status, 200, 'a generate without a prompt');
is($r->json->{model}, 'gpt-oss:20b', 'loads the model');
is($r->json->{done_reason}, 'load', 'as a local daemon says');
is($r->json->{response}, '', 'and answers nothing');
ok($r->json->{done}, 'at once');
like($r->json->{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, 'and when');

is($t->post('/api/generate', { model => 'm', prompt => '' })->json
       ->{done_reason}, 'load', 'an empty prompt');

$r = $t->post('/api/chat', { model => 'gpt-oss:20b', messages => [] });

is($r->json->{done_reason}, 'load', 'a chat without messages');
is_deeply($r->json->{message}, { role => 'assistant', content => '' },
          'is a message without content');

is($t->post('/api/generate', { model => 'm', keep_alive => 0 })->json
       ->{done_reason}, 'unload', 'keep_alive 0 unloads');
is($t->post('/api/generate', { model => 'gpt-oss:20b-cloud' })->json->{model},
   'gpt-oss:20b-cloud', 'the model is called as the client calls it');

# its body may come in a packet of its own, on a connection that stays open

my $load = '{"model":"gpt-oss:20b","messages":[]}';
my $last;

for my $n (1 .. 3) {
    $r = $t->start('POST', '/api/chat', body => $load, keep => 1, on => $last,
                   timeout => 5, headers => [ Expect => '100-continue' ]);

    # the server says when it has read the header
    substr($r->{out}, -length $load) = '';
    Http::until(sub { $r->{interim} }, $r);
    $r->{out} = $load;
    Http::finish($r);

    is($r->status, 200, "a body that comes later: $n");
    is(($r->json // {})->{done_reason}, 'load', 'is read and answered');
    ok($r->complete, 'whole');
    $last = $r;
}

is($t->request('GET', '/api/version', on => $last)->status, 200,
   'the connection goes on');

# routes of a machine with models on its disk

$r = $t->post('/api/pull', { model => 'gpt-oss:20b' });

is($r->status, 200, 'POST /api/pull');
is(($r->lines)[-1]{status}, 'success', 'there is nothing to pull');

for my $route ('POST /api/push', 'POST /api/create', 'POST /api/copy',
               'DELETE /api/delete', "HEAD /api/blobs/sha256:@{[ 'a' x 64 ]}",
               "POST /api/blobs/sha256:@{[ 'a' x 64 ]}",
               'POST /api/signout', 'DELETE /api/user/keys/a1b2')
{
    $r = $t->request(split(/ /, $route), json => { model => 'x' });

    like($r->status, qr/^(404|501)$/, "$route is refused");
    like($r->json->{error}, qr/\w/, 'in words') unless $route =~ /HEAD/;
}

# what a local daemon tells of the one account that it is signed in to: here it
# is ollama-statsd that knows

for my $uri (qw! /api/balance /api/usage /api/usage?range=7d !) {
    $r = $t->get($uri);

    is($r->status, 503, "$uri without ollama-statsd");
    like($r->json->{error}, qr!ollama-statsd.*not running!, 'says so');
}

# what agents send to their own makers, wherever they are told their API is

for my $route ('HEAD /api/hello', 'GET /api/hello',
               'POST /api/event_logging/batch', 'POST /api/event_logging/v2/batch',
               'GET /api/claude_cli/bootstrap', 'POST /api/oauth/token',
               'GET /v1/api/oauth/profile', 'POST /api//event_logging//batch')
{
    $r = $t->request(split(/ /, $route),
                     $route =~ /POST/ ? (json => { who => 'x' x 100_000 }) : ());

    is($r->status, 404, "$route: nothing is known of it");
    like($r->json->{error}, qr/not found/, 'in the shape of the API')
        unless $route =~ /HEAD/;
}

# a WebSocket for events: who is told that there is none goes on over HTTP

for my $uri (qw! /v1/responses /v1/realtime?model=x /responses !) {
    $r = $t->get($uri, headers => [ Connection => 'Upgrade',
        Upgrade => 'websocket', 'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==' ]);

    is($r->status, 426, "$uri: no WebSocket");
    like($r->json->{error}{message}, qr/over HTTP/, 'and what there is');
}

$r = $t->post('/v1/messages/count_tokens',
              { model => 'gpt-oss:20b',
                messages => [ { role => 'user', content => 'x' x 4000 } ] });

is($r->status, 200, 'count_tokens');
cmp_ok($r->json->{input_tokens}, '>', 900, 'is estimated, not less');
cmp_ok($r->json->{input_tokens}, '<', 1200, 'and not more');

is($t->request('DELETE', '/api/version')->status, 405, 'a wrong method');

is_deeply([ $t->cloud->requests ], [], 'the cloud was not asked for any of it');

# a prompt that is there goes to the cloud

is($t->post('/api/generate', { model => 'gpt-oss:20b', prompt => 'hi',
                               stream => JSON::PP::false })->json
       ->{done_reason}, 'stop', 'a generate with a prompt');
is(scalar $t->cloud->requests, 1, 'is for the cloud');

# what is unknown

$r = $t->get('/nothing');

is($r->status, 404, 'an unknown page');
like($r->header('content-type'), qr!^application/json!, 'is refused as JSON');

finish();
