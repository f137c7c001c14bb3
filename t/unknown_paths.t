#!/usr/bin/perl

# Tests for paths that no table knows: they go through with a key, but wait for
# nobody, hold nobody up and hold nothing against a key.  What agents tell their
# makers goes nowhere, and ollama_path changes who is who.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my ($k1, $k2) = keys_of(2);
my $t = Proxy->new(keys => [ { key => $k1, max_concurrent => 1 } ])->run;
my $cloud = $t->cloud;


# the URIs that the cloud has seen

sub seen { return join ' ', map { "$_->{method} $_->{uri}" } $cloud->requests }


# nobody waits for noise, and noise waits for nobody

my $slow = $t->start_chat(stream => 1, sim => { words => 100_000,
                                                delay_ms => 50 });
$slow->first;
$cloud->reset;

for my $what ('GET /api/limits', 'HEAD /api/limits', 'POST /api/new/thing',
              'POST /v1/audio/speech', 'POST /v1/messages/batches',
              'PROPFIND /v1/files', 'GET /api/chat', 'DELETE /v1/models/x')
{
    my $r = $t->request(split(/ /, $what), timeout => 30);

    ok($r->complete, "$what is answered while a chat has the only slot");
}

is(scalar(grep { $_->{key} ne $k1 } $cloud->requests), 0, 'each with the key');
is(scalar(my @all = $cloud->requests), 8, 'by the cloud');
is($t->health(0)->{in_flight}, 1, 'and only the chat is in flight');
$slow->abort;
ok(Poll::poll(sub { $t->in_flight == 0 }, 'it is free'), 'the chat has gone');

# an answer that never comes holds up no chat

$cloud->reset;
$cloud->rules({ match => { path => '/api/telemetry' }, times => -1,
                hold => JSON::PP::true });

my @held = map { $t->start('POST', '/api/telemetry', json => { n => $_ }) } 1 .. 3;

Http::until(sub { 3 == grep { $_->{uri} =~ /telemetry/ } $cloud->requests }, @held);
is($t->chat(timeout => 10)->status, 200, 'a chat beside three that hang');
is($t->health(0)->{in_flight}, 0, 'which are not in flight');
$_->abort for @held;

# whatever they answer, no key is to blame

my $two = Proxy->new(cloud => $cloud, keys => [ $k1, $k2 ])->run;

for my $preset (qw/ quota_session quota_weekly concurrent unknown_429
                    unauthorized model_402 model_403 overloaded_503
                    bad_gateway_html_502 /)
{
    $cloud->reset;
    $cloud->rules({ match => { path => '/api/new' }, times => -1,
                    preset => $preset });

    my $r = $two->post('/api/new', { model => 'gpt-oss:20b' }, timeout => 30);

    cmp_ok($r->status, '>=', 400, "an unknown path answers $preset");
    cmp_ok(scalar(my @tries = $cloud->requests), '<=', 4,
           'and is not asked for ever');
}

for my $status (400, 401, 402, 403, 404, 418, 429, 500, 502, 503) {
    $cloud->reset;
    $cloud->rules({ match => { path => '/v1/new' }, times => -1,
                    status => $status, body => '{"error":"no"}' });
    is($two->get('/v1/new', timeout => 10)->status, $status,
       "an unknown path answers $status");
}

$cloud->reset;
$cloud->rules({ match => { path => '/v1/new' }, times => -1,
                close => 'before_headers' });
is($two->get('/v1/new', timeout => 10)->status, 502, 'or nothing at all');

is(join(' ', map { "$_->{state} $_->{eligible}" } map { $two->health($_) } 0, 1),
   'healthy 1 healthy 1', 'and both keys are as good as before');
is_deeply([ map { @{ $two->health($_)->{blocked_models} // [] } } 0, 1 ], [],
          'for every model');

# a body of a GET or HEAD is read, and goes nowhere

for my $how ([ 'GET', '/v1/models', 'plain' ], [ 'GET', '/api/limits', 'plain' ],
             [ 'HEAD', '/v1/models', 'plain' ], [ 'GET', '/v1/models', 'chunked' ],
             [ 'GET', '/api/chat', 'large' ])
{
    my ($method, $uri, $kind) = @$how;
    my $last;

    $cloud->reset;

    for my $n (1, 2) {
        $last = $t->request($method, $uri, keep => 1, on => $last, $kind eq 'chunked'
            ? (chunked => [ 'secret', 'body' ]) : (body => $kind eq 'large'
            ? 'secret' x 300_000 : 'secret'));
        ok($last->complete, "$method $uri with a body, $kind: $n");
    }

    my @seen = $cloud->requests;

    is(scalar @seen, 2, 'both arrive');
    is(scalar(grep { grep { $_->[0] =~ /^(content-length|transfer-encoding)$/i
                            && $_->[1] ne '0' } @{ $_->{headers} } } @seen), 0,
       'without it');
}

# models lose their suffix in a path as in a body

for my $pair ([ 'gpt-oss:20b-cloud', 'gpt-oss:20b' ],
              [ 'glm-4.7:cloud', 'glm-4.7' ], [ 'glm-4.7%3Acloud', 'glm-4.7' ],
              [ 'gpt-oss%3A20b%2dcloud', 'gpt-oss%3A20b' ],
              [ 'gpt-oss%3a20b%2Dc%6Coud', 'gpt-oss%3a20b' ],
              [ 'library%2Fgpt-oss:20b-cloud', 'library%2Fgpt-oss:20b' ],
              [ 'me/gpt-oss:20b-CLOUD', 'me/gpt-oss:20b' ],
              [ 'gpt-oss:20b-cloud?a=b-cloud', 'gpt-oss:20b?a=b-cloud' ],
              [ 'glm:cloud?x=%3Acloud', 'glm?x=%3Acloud' ],
              [ 'a:b-cloud-cloud', 'a:b-cloud' ], [ 'my-cloud', 'my-cloud' ],
              [ 'a:-cloud', 'a:-cloud' ], [ 'a:cloudy', 'a:cloudy' ],
              [ 'a%253Acloud', 'a%253Acloud' ])
{
    for my $method (qw/ GET HEAD /) {
        $cloud->reset;
        $t->request($method, "/v1/models/$pair->[0]");
        is(seen(), "$method /v1/models/$pair->[1]", "$method a model: $pair->[0]");
    }
}

$cloud->reset;
$t->get('/models/gpt-oss:20b-cloud');
$t->get('/v1/v1/models//glm:cloud');
is(seen(), 'GET /v1/models/gpt-oss:20b GET /v1/models/glm', 'on a path put right');

my $raw = Proxy->new(cloud => $cloud, keys => [ $k1 ]);
my $conf = $raw->default_conf;

$raw->{conf} = $conf =~ s/include \S+ollama_locations;/location \/v1\/ { ollama on;
    proxy_pass \$ollama_upstream; }/r;
$raw->write_conf;
$raw->run;
$cloud->reset;
$raw->get('/v1/models/gpt-oss%3A20b-cloud?x');
is(seen(), 'GET /v1/models/gpt-oss%3A20b?x', 'and where paths are left alone');

# what agents send to their own makers

$cloud->reset;

for my $what ('HEAD /api/hello', 'POST /api/event_logging/v2/batch',
              'GET /api/claude_cli/bootstrap', 'POST /api/claude_cli_feedback',
              'GET /api/claude_code/settings', 'GET /api/claude_code_grove',
              'GET /api/oauth/usage', 'GET /api/organizations/u/x',
              'GET /api/organization/claude_code_first_token_date',
              'POST /api/eval/sdk-x', 'GET /api/features/sdk-x',
              'GET /api/directory/servers?x', 'POST /api/auth/trusted_devices',
              'POST /v1/oauth/token', 'POST /v1/code/sessions',
              'POST /v1/traces', 'POST /v1/metrics', 'POST /v1/logs')
{
    my ($method, $uri) = split / /, $what;
    my $r = $t->request($method, $uri, $method eq 'POST'
                        ? (json => { secret => 'x' x 200_000 }) : ());

    is($r->status, 404, "$what goes nowhere");
    like(ref $r->json->{error} ? $r->json->{error}{message} : $r->json->{error},
         qr/not found/, 'in the shape of its API') if $method ne 'HEAD';
}

is(seen(), '', 'the cloud has heard of none of it');

# ollama_path: the last line that fits decides, of http, server, location

my $own = Proxy->new(cloud => $cloud, keys => [ $k1 ],
    http => 'ollama_path * /api/new* local; ollama_path * /api/oauth/* pass;',
    server => 'ollama_path GET /api/new/one pass; ollama_path * /api/status pass;'
              . 'ollama_path POST /v1/messages/count_tokens local;'
              . 'ollama_path * /api/chat pass; ollama_path POST /api/web_search local;',
    locations => <<'EOT')->run;
        location = /api/new/three {
            ollama on;
            ollama_access on;
            ollama_path * /api/new/three pass;
            proxy_pass $ollama_upstream;
        }
EOT

for my $what ('GET /api/new', 'POST /api/new/one', 'GET /api/newest',
              'GET /api/new/two', 'POST /v1/messages/count_tokens',
              'POST /api/web_search', 'GET /v1/api/new/two')
{
    my $r = $own->request(split(/ /, $what));

    is($r->status, 404, "local: $what");
    ok(ref $r->json, 'as JSON');
}

is($own->request('POST', '/v1/messages/count_tokens')->json->{type}, 'error',
   'of the API that was asked');
is(seen(), '', 'the cloud is not asked');

my @pass = ('GET /api/new/one', 'GET /api/status', 'POST /api/oauth/token',
            'GET /api/new/three', 'POST /v1/audio/speech');

$own->request(split / /) for @pass;
is(seen(), "@pass", 'pass: the others go on');
is($own->request('OPTIONS', '/api/new')->status, 204, 'a preflight is one');

$slow = $own->chat(body => { prompt => 'x' }, model => 'gpt-oss:20b-cloud');
is($slow->status, 200, 'what is forwarded anyway');
is(($cloud->requests)[-1]{model} // 'gpt-oss:20b', 'gpt-oss:20b',
   'is looked into as always');

# ollama_unknown_paths refuse

my $strict = Proxy->new(cloud => $cloud, keys => [ $k1 ],
    server => 'ollama_unknown_paths refuse; ollama_path GET /v1/files pass;')->run;

$cloud->reset;

for my $what ('GET /api/limits 404', 'POST /v1/audio/speech 404', 'GET /v1/x/ 404',
              'POST /v1/messages/batches 404', 'GET /api/chat 405',
              'DELETE /v1/models/x 405', 'GET /api/hello 404')
{
    my ($method, $uri, $status) = split / /, $what;
    my $r = $strict->request($method, $uri, $method eq 'POST'
                             ? (json => { secret => 'x' }) : ());

    is($r->status, $status, "refuse: $method $uri");
    ok(ref $r->json, 'as JSON');
}

is(seen(), '', 'the cloud is not asked');
$strict->get('/v1/files');
$strict->get('/v1/models');
is(seen(), 'GET /v1/files GET /v1/models', 'but for what is known or passes');
is($strict->chat->status, 200, 'such as a chat');

# what nginx -t says

for my $wrong ([ 'ollama_unknown_paths drop', qr/invalid value "drop"/ ],
               [ 'ollama_path get /api/x local', qr/expected a method/ ],
               [ 'ollama_path GET /x local', qr/begins with "\/api\/"/ ],
               [ 'ollama_path GET / pass', qr/begins with "\/api\/"/ ],
               [ 'ollama_path GET /api/*/x local', qr/"\*" may only be/ ],
               [ 'ollama_path GET /api/x?y local', qr/no query/ ],
               [ 'ollama_path GET /api//x local', qr/slashes/ ],
               [ 'ollama_path GET /api/x on', qr/expected "local" or "pass"/ ],
               [ 'ollama_path GET /api/x', qr/invalid number of arguments/ ])
{
    my ($words, $reason) = @$wrong;
    my ($code, $output) = Proxy->new(cloud => 0, server => "$words;")->nginx('-t');

    is($code, 1, "refused: $words");
    like($output, $reason, 'in words');
}

finish();
