#!/usr/bin/perl

# Tests for accounts that are out of money: one state for all their keys, found
# out by at most two requests, and forgotten when the cloud serves one again.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new(keys => [
    { key => $k[0], name => 'a1', account => 'alice', weight => 1000 },
    { key => $k[1], name => 'a2', account => 'alice', weight => 1000 },
    { key => $k[2], name => 'b', account => 'bob' } ])->run;

my $empty = '{"error":"extra usage balance is empty, add extra usage"}';


sub fresh {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
}


sub states { join ' ', map { $t->health($_)->{state} } 0 .. 2 }


sub alices { scalar grep { $_->{key} ne $k[2] } $t->cloud->requests }


sub alice {
    my ($body, $status) = @_;

    return map { { match => { key => $_ }, times => -1,
                   status => $status // 402, body => $body } } @k[0, 1];
}


# the balance

for my $status (402, 403) {
    fresh();
    $t->cloud->rules(alice($empty, $status));

    my @status = map { $t->chat(model => "m$_")->status } 1 .. 6;

    is("@status", '200 200 200 200 200 200', "$status: no client notices");
    is(states(), 'exhausted exhausted healthy', 'the account is exhausted');
    is(alices(), 1, 'one request was spent');
    is($t->health(0)->{reason}, $t->health(1)->{reason}, 'for one reason');
    like($t->health(0)->{reason}, qr/out of credits/, 'of its own');
    is(scalar @{ $t->health(0)->{blocked_models} }, 0, 'no model is blocked');
    cmp_ok(abs($t->health(1)->{expires_in} - 900), '<=', 3, 'for 15 minutes');
}

# a reset of one key is for all of them

$t->post('/health/keys/1/reset', '');
is(states(), 'healthy healthy healthy', 'a reset by a person');

# any success of the account, of any key and model

fresh();

my @busy = map { $t->start_chat(model => 'busy',
                                sim => { first_delay_ms => 2000 }) } 1, 2;

Http::until(sub { alices() == 2 }, @busy);
$t->cloud->rules({ times => -1, match => { model => 'dear' }, status => 402,
                   body => $empty });
is($t->chat(model => 'dear')->status, 402, 'no money');
is((split ' ', states())[$_], 'exhausted', 'key_' . $_) for 0, 1;
Http::finish(@busy);
is($_->status, 200, 'one that was asked before is served') for @busy;
is((split ' ', states())[$_], 'healthy', 'key_' . $_) for 0, 1;

# 402 for two models

fresh();
$t->cloud->rules(alice('{"error":"payment required"}'));
is($t->chat(model => 'one')->status, 200, '402 for one model');
is(states(), 'healthy healthy healthy', 'is about the model');
is(scalar @{ $t->health($_)->{blocked_models} }, 1, "of key_$_") for 0, 1;
is($t->chat(model => 'two')->status, 200, 'for a second one');
is(states(), 'exhausted exhausted healthy', 'about the account');
is(scalar @{ $t->health($_)->{blocked_models} }, 0, "one state of key_$_")
    for 0, 1;
is($t->chat(model => 'three')->status, 200, 'for a third one');
is(alices(), 2, 'two requests were spent');

# of "this model" it never is

fresh();
$t->cloud->rules(alice('{"error":"this model is not included in your free '
                       . 'usage; add credits at ollama.com/settings"}'));
is($t->chat(model => $_)->status, 200, $_) for qw/ one two three /;
is(states(), 'healthy healthy healthy', 'models that are not included');
is(scalar @{ $t->health(0)->{blocked_models} }, 3, 'three of them');

# nobody has money

fresh();
$t->cloud->rules({ times => -1, status => 402, body => $empty });
is($t->chat->status, 402, 'all accounts are empty: the cloud says so');

my $r = $t->chat;

is($r->status, 429, 'then we do');
like($r->json->{error}, qr/out of credits/, 'and why');
is(scalar $t->cloud->requests, 2, 'one request for each account');

finish();
