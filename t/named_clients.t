#!/usr/bin/perl

# Tests for clients with tokens of their own: what they open, how they are named,
# which models they may use, when they expire.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use MIME::Base64;
use Poll;
use Proxy;
use Test::More;

my %token = map { $_ => "token-of-$_" } qw/ anna ben old carl admin /;

Proxy::secret(values %token);

my $hash = sha256_hex($token{ben});
my $clients = <<"END";
clients:
- name: anna
  token: $token{anna}
  models: [gpt-oss:*]
- name: ben
  token_sha256: $hash
  bodies: off
- {name: old, token: $token{old}, expires: 2026-01-31}
END


sub config { 'keys: ["' . key_of(0) . '", "' . key_of(1) . "\"]\n" . $_[0] }


my $t = Proxy->new(daemon => 1, workers => 2, config => config($clients), env =>
    "PROXY_ADMIN_TOKEN=$token{admin}\n")->run;

$t->{client}{headers} = [ 'X-Api-Key' => $token{admin} ];


sub chat {
    my ($name, $model, @headers) = @_;

    return $t->post('/api/chat', { model => $model // 'gpt-oss:20b',
        stream => JSON::PP::false,
        messages => [ { role => 'user', content => 'hi' } ] }, only => 1,
        headers => [ $name ? (Authorization => "Bearer $token{$name}") : (),
                     @headers ]);
}


sub last_row {
    my ($n) = @_;
    my $rows;

    poll { $rows = $t->get('/queries?limit=50')->json; @$rows >= $n }
         "$n records";
    return $rows->[0];
}


# named by their token, whatever they say

is(chat('anna')->status, 200, 'a client with a token is served');
is(last_row(1)->{client_name}, 'anna', '.. and named by it');
is(chat('ben', undef, 'X-Ollama-Client' => 'anna')->status, 200,
   'so is one whose hash is known');
is(last_row(2)->{client_name}, 'ben', '.. whatever else it says');
is(chat('admin', undef, 'X-Ollama-Client' => 'anna')->status, 200,
   'an operator is served');
is(last_row(3)->{client_name}, 'anna', '.. and says who it is');
is(chat()->status, 401, 'without a token nobody is');
is(chat('carl')->status, 401, '.. nor with another one');
is($t->post('/api/chat', { model => 'gpt-oss:20b' }, only => 1,
            headers => [ 'X-Api-Key' => $hash ])->status, 401,
   '.. nor with the hash of one');
is($t->get('/v1/models', only => 1, headers =>
           [ Authorization => 'Basic ' . encode_base64("x:$token{ben}", '') ])
     ->status, 200, 'Basic is good, too');

# models

my $r = chat('anna', 'kimi-k3');

is($r->status, 403, 'a model that a client may not use');
is($r->json->{error}, 'model "kimi-k3" is not among those that client "anna"'
   . ' may use', '.. is refused in words');
is(last_row(4)->{status}, 403, '.. and recorded');
is(chat('anna', 'gpt-oss:120b-cloud')->status, 200, 'a pattern fits');
is(chat('ben', 'kimi-k3')->status, 200, 'another client may');

$r = $t->post('/v1/messages', { model => 'kimi-k3', max_tokens => 9, messages =>
    [ { role => 'user', content => 'hi' } ] }, only => 1,
    headers => [ 'X-Api-Key' => $token{anna} ]);
is($r->status, 403, 'over another API as well');
is($r->json->{error}{type}, 'permission_error', '.. in its shape');

# models that nobody is served

Process::spill($t->dir . '/config.yaml', config("$clients\nmodels:\n"
    . "  allow: [gpt-oss:*, kimi-*]\n  deny: [kimi-k3]\n"));
ok($t->reload, 'models are allowed and denied');
$r = chat('ben', 'kimi-k3');
is($r->status, 403, 'one that is denied');
is($r->json->{error}, 'model "kimi-k3" is not served here', '.. in words');
is(chat('admin', 'kimi-k3')->status, 403, '.. nor to an operator');
is(chat('ben', 'glm-5.3')->status, 403, 'one that is not allowed');
is(chat('ben', 'kimi-k2:1t')->status, 200, 'one that is');
is(chat('anna', 'kimi-k2:1t')->status, 403, 'a client has limits of its own');
Process::spill($t->dir . '/config.yaml', config($clients));
ok($t->reload, 'and all again');
is(chat('ben', 'glm-5.3')->status, 200, 'a reload takes it back');

# it is over

$r = chat('old');
is($r->status, 401, 'a token that has expired');
like($r->json->{error}, qr/the token of "old" has expired/, '.. is told so');

# bodies

my %body = map { $_->{client_name} => $_->{body} ? 1 : 0 }
    @{ $t->get('/queries?limit=50')->json };

is_deeply([ @body{qw/ anna ben /} ], [ 1, 0 ], 'bodies are kept of those alone'
          . ' that did not want otherwise');

# the API alone

for my $uri (qw! /dashboard /stats /queries /queries/1/body /logs /metrics
                 /events /health/keys /ratelimits !)
{
    is($t->get($uri, only => 1, headers => [ 'X-Api-Key' => $token{anna} ])
         ->status, 401, "a client does not see $uri");
}

is($t->request('POST', '/health/keys/0/penalize', only => 1, headers =>
               [ 'X-Api-Key' => $token{anna} ])->status, 401,
   '.. nor pauses a key');

# a reload changes them, and what runs goes on

my $stream = $t->start_chat(only => 1, stream => 1,
    sim => { words => 20, delay_ms => 100 },
    headers => [ 'X-Api-Key' => $token{anna} ]);

Http::until(sub { $stream->started }, $stream);

$clients =~ s/^- name: anna\n.*?(?=^- name: ben)//ms;
$clients .= "- {name: carl, token: $token{carl}}\n";
Process::spill($t->dir . '/config.yaml', config($clients));
ok($t->reload, 'a reload');
is(chat('carl')->status, 200, 'a new client is let in');
is(chat('anna')->status, 401, '.. one that was taken out is not');
Http::finish($stream);
is($stream->complete ? $stream->status : $stream->error, 200, 'a stream of it that ran goes on to its end');

# without an operator's token one token opens all, and a client's the API alone

my $one = Proxy->new(cloud => $t->cloud, daemon => 1, token => 'the-one-token',
                     config => config($clients))->run;

is($one->get('/stats')->status, 200, 'the one token opens the numbers');
is($one->get('/stats', only => 1, headers => [ 'X-Api-Key' => $token{ben} ])
     ->status, 401, '.. that of a client does not');
is($one->get('/v1/models', only => 1, headers => [ 'X-Api-Key' => $token{ben} ])
     ->status, 200, '.. but the API');

# open to everybody

my $open = Proxy->new(cloud => $t->cloud, daemon => 1, token => undef,
                      env => "ALLOW_UNAUTHENTICATED_ACCESS=true\n",
                      config => config($clients))->run;

is($open->post('/api/chat', { model => 'gpt-oss:20b', messages => [ {
    role => 'user', content => 'hi' } ] }, headers => [ 'X-Api-Key' => $_ ])
        ->status, 200, "open to all, with $_") for @token{qw/ ben old /}, 'x';

my $rows;

poll { $rows = $open->get('/queries')->json; @$rows == 3 } 'three records';
is_deeply([ sort map { $_->{client_name} // '' } @$rows ], [ '', '', 'ben' ],
          'who shows a good one is named');

finish();
