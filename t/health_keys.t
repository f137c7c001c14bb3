#!/usr/bin/perl

# Tests for /health/keys: what it says, what can be done there, and by whom.

use warnings;
use strict;

use Digest::SHA qw/ sha256_hex /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new(keys => [ { key => $k[0], name => 'team-a' }, $k[1],
                             { key => $k[2], enabled => 'false' } ])->run;
my $r = $t->get('/health/keys');

is($r->status, 200, 'GET /health/keys');
like($r->header('content-type'), qr!^application/json!, 'is JSON');
like($r->header('cache-control') // '', qr/no-store|no-cache/, 'of this moment');

my $keys = $r->json;

is(join(' ', sort keys %$keys), 'key_0 key_1 key_2', 'key_0, key_1, key_2');

is_deeply([ grep { !exists $keys->{key_0}{$_} }
            qw/ name fingerprint status state reason penalty_active expires_in
                backoff_level usage_2h in_flight blocked_models eligible / ],
          [], 'all that is told of a key');

is($keys->{key_0}{name}, 'team-a', 'its name');
is($keys->{key_1}{name}, 'key_1', 'or its place');
is($keys->{key_0}{fingerprint}, substr(sha256_hex($k[0]), 0, 8),
   'its fingerprint');
like($keys->{key_0}{status}, qr/\w/, 'its status in words');
is($keys->{key_0}{state}, 'healthy', 'its state');
is($keys->{key_0}{penalty_active}, JSON::PP::false, 'no penalty');
is($keys->{key_0}{expires_in}, 0, 'which would end');
is($keys->{key_0}{usage_2h}, 0, 'no use');
is($keys->{key_0}{in_flight}, 0, 'no request');
is_deeply($keys->{key_0}{blocked_models}, [], 'no blocks');
is($keys->{key_0}{eligible}, JSON::PP::true, 'eligible');
is($keys->{key_2}{eligible}, JSON::PP::false, 'unless it is disabled');
isnt($keys->{key_2}{status}, $keys->{key_0}{status}, 'as its status says');

# penalize

$r = $t->post('/health/keys/0/penalize', '');
is($r->status, 200, 'POST penalize');

my $key = $t->health(0);

is($key->{penalty_active}, JSON::PP::true, 'a penalty');
is($key->{eligible}, JSON::PP::false, 'keeps the key out');
cmp_ok(abs($key->{expires_in} - 900), '<=', 2, 'for 15 minutes');
like($key->{reason}, qr/\w/, 'for a reason');
is(join(' ', $t->answered_by(4)), 'key_1 key_1 key_1 key_1', 'the other serves');

is($t->post('/health/keys/1/penalize?seconds=33', '')->status, 200, '?seconds=');
cmp_ok(abs($t->health(1)->{expires_in} - 33), '<=', 2, 'for so long');

is($t->post("/health/keys/1/penalize?seconds=$_", '')->status, 400,
   "refused: seconds=$_") for qw/ -1 x 0 99999999999999999999 /, '';

# reset

$t->cloud->rules({ match => { model => 'dear' }, times => 1,
                   preset => 'model_402' });
$t->post('/health/keys/1/reset', '');
$t->chat(model => 'dear');
is(scalar @{ $t->health(1)->{blocked_models} }, 1, 'a blocked model');
$t->post('/health/keys/1/penalize?seconds=50', '');

is($t->post('/health/keys/1/reset', '')->status, 200, 'POST reset');

$key = $t->health(1);

is($key->{penalty_active}, JSON::PP::false, 'takes the penalty');
is_deeply($key->{blocked_models}, [], 'and the blocks');
is($key->{state}, 'healthy', 'as if nothing had been');
is($key->{eligible}, JSON::PP::true, 'the key is back');
is($t->health(0)->{penalty_active}, JSON::PP::true, 'the other is not');

# one key

is_deeply($t->get('/health/keys/1')->json, $t->health(1), 'one key alone')
    if $t->get('/health/keys/1')->status == 200;

# what is none

for my $uri (qw! /health/keys/9/reset /health/keys/-1/reset /health/keys/x/reset
                 /health/keys//reset /health/keys/1/nothing
                 /health/keys/99999999999999999999/reset /health/keys/key_9/reset
                 /health/keys/1/reset/more /health/nothing !)
{
    is($t->post($uri, '')->status, 404, "no such thing: $uri");
}

for my $uri (qw! /health/keys/1/reset /health/keys/1/penalize !) {
    $r = $t->get($uri);
    is($r->status, 405, "GET $uri");
    like($r->header('allow') // '', qr/POST/, 'is to be posted');
}

is($t->post('/health/keys', '')->status, 405, 'POST /health/keys');
is($t->request('DELETE', '/health/keys/1/reset')->status, 405, 'DELETE');
is($t->request('HEAD', '/health/keys')->status, 200, 'HEAD');

# a browser that comes from another site

my @foreign = (
    [ 'Sec-Fetch-Site' => 'cross-site' ],
    [ 'Sec-Fetch-Site' => 'same-site' ],
    [ 'Origin' => 'https://evil.example' ],
    [ 'Origin' => 'null' ],
    [ 'Origin' => "http://localhost:1" ],
    [ 'Origin' => "http://localhost:@{[ $t->port ]}.evil.example" ],
    [ 'Sec-Fetch-Site' => 'same-origin', 'Origin' => 'https://evil.example' ],
);

for my $headers (@foreign) {
    is($t->post('/health/keys/1/penalize', '', headers => $headers)->status, 403,
       "refused: @$headers");
}

is($t->health(1)->{penalty_active}, JSON::PP::false, 'and nothing happened');

my @own = (
    [ 'Sec-Fetch-Site' => 'same-origin' ],
    [ 'Sec-Fetch-Site' => 'none' ],
    [ 'Origin' => "http://localhost:@{[ $t->port ]}" ],
);

for my $headers (@own) {
    is($t->post('/health/keys/1/reset', '', headers => $headers)->status, 200,
       "let in: @$headers");
}

finish();
