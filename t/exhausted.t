#!/usr/bin/perl

# Tests for a pool in which every key is out: the answer has the shape of the
# client's API, and says when to come back.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $t = Proxy->new(server => 'ollama_access on;')->run;


sub fresh {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
}


# the cloud itself says 401 without one

sub again {
    my ($r) = @_;

    like($r->header('retry-after'), qr/^\d+$/, 'and Retry-After')
        if $r->status != 401;
}


sub shapes {
    my ($status, $anthropic) = @_;

    my $r = $t->chat;

    is($r->status, $status, "/api: $status");
    like($r->header('content-type'), qr!^application/json!, 'is JSON');
    is(ref $r->json->{error}, '', 'with a string');
    again($r);

    $r = $t->chat(uri => '/v1/chat/completions');
    is($r->status, $status, "/v1: $status");
    like($r->json->{error}{message}, qr/\w/, 'with a message');
    is($r->json->{error}{type}, 'api_error', 'and a type');
    again($r);

    $r = $t->chat(uri => '/v1/messages', body => { max_tokens => 9 });
    is($r->status, $status, "/v1/messages: $status");
    is($r->json->{type}, 'error', 'is an error');
    is($r->json->{error}{type}, $anthropic, 'of its kind');
    again($r);
}


# quota: the last error arrives whole, the next answers are our own

$t->cloud->rules({ times => -1, preset => 'quota_session' });

my $r = $t->chat;

is($r->status, 429, 'the last error');
like($r->json->{error}, qr/session usage limit.*\(ref: /, 'arrives whole');
is($r->header('x-ollama-attempts'), 3, 'after every key once');
is(scalar $t->cloud->requests, 3, 'and not more');

shapes(429, 'rate_limit_error');

my $left = 18000 - time() % 18000;

cmp_ok(abs($t->chat->header('retry-after') - $left), '<=', 3,
       "Retry-After is the window's end") if $left < 17985;
is(scalar $t->cloud->requests, 3, 'the cloud is not asked again');

# the soonest key

fresh();
$t->cloud->rules(map { { match => { key => key_of($_) }, times => 1,
                         preset => 'unknown_429',
                         headers => { 'retry-after' => 300 - 100 * $_ } } }
                 0 .. 2);
$t->chat;
cmp_ok(abs($t->chat->header('retry-after') - 100), '<=', 1,
       'Retry-After is that of the soonest key');

# keys that are no good

fresh();
$t->cloud->rules({ times => -1, preset => 'unauthorized' });
is($t->chat->status, 401, 'every key is refused: the error arrives');
shapes(401, 'authentication_error');
is($t->chat->json->{error}, 'unauthorized', 'in the words of the cloud');

# a model that no key may use

fresh();
$t->cloud->rules({ match => { model => 'dear' }, times => -1,
                   preset => 'model_403' });
is($t->chat(model => 'dear')->status, 403, 'no key may: the error arrives');

$r = $t->chat(model => 'dear');

is($r->status, 403, 'and again');
like($r->json->{error}, qr/subscription/, 'in the words of the cloud');
is($t->chat->status, 200, 'other models are served');
is(scalar(grep { $_->{model} eq 'dear' } $t->cloud->requests), 4,
   'the cloud was asked once with each key, then with one');

# "eligible" is what selection thinks

fresh();
is(scalar(grep { $_->{eligible} } values %{ $t->health }), 3, 'all are eligible');
$t->post("/health/keys/$_/penalize?seconds=60", '') for 0 .. 2;
is(scalar(grep { $_->{eligible} } values %{ $t->health }), 0, 'none is eligible');
is($t->chat->status, 503, 'so the next request is not served');

# and when the first is free again, it is

fresh();
$t->post("/health/keys/$_/penalize?seconds=@{[ $_ == 1 ? 1 : 60 ]}", '')
    for 0 .. 2;
is(poll(sub { $t->chat->header('x-ollama-key') }, 'a key is back'), 'key_1',
   'the soonest key is the first to serve again');

finish();
