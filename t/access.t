#!/usr/bin/perl

# Tests for access: who gets in, what is open to everybody, and how a client
# is turned away.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Proxy;
use Test::More;

my $token = $Proxy::token;
my $t = Proxy->new->run;

my @guarded = qw! /api/tags /api/me /api/ps /api/anything /v1/models
                  /v1/models/x /chat /health/keys /health/keys/0 /ratelimits
                  /dashboard /stats /stats/24h /stats/minute /queries
                  /queries/1 /queries/1/body /logs /metrics /events !;


sub with {
    my ($uri, @headers) = @_;
    return $t->get($uri, only => 1, headers => \@headers)->status;
}


sub basic {
    return 'Basic ' . encode_base64($_[0], '');
}


# the ways in

is(with('/v1/models', Authorization => "Bearer $token"), 200, 'Bearer');
is(with('/v1/models', Authorization => "bearer $token"), 200, 'bearer');
is(with('/v1/models', Authorization => "Bearer   $token"), 200, 'more spaces');
is(with('/v1/models', $_ => $token), 200, lc)
    for qw/ X-Api-Key Api-Key X-Goog-Api-Key /;
is(with('/v1/models', Authorization => basic("me:$token")), 200, 'Basic');
is(with('/v1/models', Authorization => basic(":$token")), 200, 'Basic, no user');

# and what is none

my %wrong = (
    'nothing' => [],
    'another token' => [ Authorization => 'Bearer something' ],
    'an empty token' => [ Authorization => 'Bearer ' ],
    'no scheme' => [ Authorization => $token ],
    'a token cut short' => [ Authorization => 'Bearer ' . substr $token, 0, -1 ],
    'a token and more' => [ Authorization => "Bearer ${token}x" ],
    'the token in capitals' => [ Authorization => "Bearer \U$token" ],
    'a key of the pool' => [ Authorization => 'Bearer ' . key_of(0) ],
    'another x-api-key' => [ 'X-Api-Key' => 'something' ],
    'an empty x-api-key' => [ 'X-Api-Key' => '' ],
    'another api-key' => [ 'Api-Key' => 'something' ],
    'spaces alone' => [ Authorization => 'Bearer    ' ],
    'no space' => [ Authorization => "Bearer$token" ],
    'another password' => [ Authorization => basic('me:something') ],
    'the token as user' => [ Authorization => basic("$token:") ],
    'Basic without colon' => [ Authorization => basic($token) ],
    'broken base64' => [ Authorization => 'Basic !!!!' ],
    'a cookie' => [ Cookie => "token=$token" ],
);

for my $name (sort keys %wrong) {
    is(with('/v1/models', @{ $wrong{$name} }), 401, "refused: $name");
}

# (one letter is escaped, so that the log has a line without the token)

my $escaped = sprintf '%%%02x%s', ord $token, substr $token, 1;

is(with("/v1/models?token=$escaped&api_key=$escaped"), 401, 'not by the query');

like(with('/v1/models', Authorization => "Bearer $token",
                        Authorization => "Bearer $token"),
     qr/^40[01]$/, 'two Authorization headers are refused');
like(with('/v1/models', Authorization => 'Bearer x',
                        Authorization => "Bearer $token"),
     qr/^40[01]$/, 'whichever is the right one');

# every page and number is guarded

is(with($_), 401, "$_ is guarded") for @guarded;
is($t->request('POST', $_, only => 1)->status, 401, "POST $_ is guarded")
    for qw! /api/chat /v1/chat/completions /v1/messages /health/keys/0/reset
            /health/keys/0/penalize /api/pull
            /stats/problems/ledger_damaged/acknowledge !;

is(with('/', Authorization => 'Bearer x'), 200, '/ is open');
is(with('/api/version'), 200, '/api/version is open');

my $health = $t->get('/health', only => 1);

is($health->status, 200, '/health is open');
is_deeply($health->json, { status => 'ok' }, 'and says no more than ok');

# how it is said

my $r = $t->get('/api/tags', only => 1);

like($r->header('content-type'), qr!^application/json!, '401 is JSON');
like($r->json->{error}, qr/\w/, 'as /api says it');
unlike($r->header('www-authenticate') // '', qr/Basic/,
       'a program is not asked for a password');

like($t->get('/v1/models', only => 1)->json->{error}{message}, qr/\w/,
     'as /v1 says it');
is($t->post('/v1/messages', {}, only => 1)->json->{error}{type},
   'authentication_error', 'as /v1/messages says it');

$r = $t->get('/dashboard', only => 1, headers => [ Accept => 'text/html,*/*' ]);

is($r->status, 401, 'a browser is turned away');
like($r->header('www-authenticate'), qr/^Basic realm=/, 'and asked');

is(scalar(grep { !Cloud::headers($_, 'authorization') } $t->cloud->requests), 0,
   'nothing went to the cloud without a key');

# the environment goes before .env, .env before config.yaml

my @tokens = map { "another-token-$_" } qw/ environment env config /;

Proxy::secret(@tokens);


sub who_wins {
    my (%conf) = @_;

    my $proxy = Proxy->new(cloud => $t->cloud, token => undef, %conf)->run;
    my @in = grep {
        $proxy->get('/v1/models', headers => [ 'X-Api-Key' => $_ ])
              ->status == 200
    } @tokens;

    $proxy->{client}{headers} = [ 'X-Api-Key' => $in[0] ];

    return join ' ', map { s/.*-//r } @in;
}


my $yaml = 'keys: ["' . key_of(0) . "\"]\nauth_token: $tokens[2]\n";

is(who_wins(config => $yaml), 'config', 'the token of config.yaml');
is(who_wins(config => $yaml, env => "PROXY_AUTH_TOKEN=$tokens[1]\n"), 'env',
   'gives way to .env');
is(who_wins(config => $yaml, env => "PROXY_AUTH_TOKEN=$tokens[1]\n",
            environ => { PROXY_AUTH_TOKEN => $tokens[0] }), 'environment',
   'and that to the environment');

# without a token everybody may come

my $open = Proxy->new(cloud => $t->cloud, token => undef,
                      env => "ALLOW_UNAUTHENTICATED_ACCESS=true\n")->run;

is($open->get('/v1/models')->status, 200, 'open to all');
is($open->get('/v1/models', headers => [ Authorization => 'Bearer any' ])
        ->status, 200, 'with whatever token');
is(join(' ', Cloud::headers($t->cloud->last, 'authorization')) =~ /any/, '',
   'which does not reach the cloud');

finish();
