#!/usr/bin/perl

# Tests for the return of a key: after its penalty one request goes first, and
# the others follow when that one has been answered well.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @k = keys_of(2);
my $t = Proxy->new(keys => [ { key => $k[0], weight => 1000 }, $k[1] ])->run;


# key_0, which by its weight is the first choice, has just served a penalty

sub penalty_ends {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0, 1;
    $t->cloud->rules({ match => { key => $k[0] }, times => 1, status => 429,
                       headers => { 'retry-after' => 1 }, body => '{}' });
    $t->chat for 1, 2;
    is($t->health(0)->{state}, 'paused', 'the key is paused');
    poll { !$t->health(0)->{penalty_active} } 'the penalty ends';
    $t->cloud->reset;
}


# well

penalty_ends();
$t->cloud->rules({ match => { key => $k[0] }, times => 1, delay_ms => 500,
                   status => 200, body => '{"done":true}',
                   headers => { 'content-type' => 'application/json' } });

my @chats = map { $t->start_chat(sim => { first_delay_ms => 100 }) } 1 .. 10;

Http::until(sub { ($t->cloud->spread(@k))[1] == 9 }, @chats);
is(join('/', $t->cloud->spread(@k)), '1/9', 'one request goes first');
Http::finish(@chats);
is(scalar(grep { $_->status != 200 } @chats), 0, 'the others need not wait');

my %after;
$after{$_}++ for $t->answered_by(8);
is($after{key_0}, 8, 'then the others follow');
is($t->health(0)->{state}, 'healthy', 'the key is well');
is($t->health(0)->{backoff_level}, 0, 'as if nothing had been');

# badly: the ladder begins, 15 s at first

penalty_ends();
$t->cloud->rules({ match => { key => $k[0] }, times => 1, status => 429,
                   body => '{}' });
is($t->chat->status, 200, 'a request whose key is not well yet') for 1 .. 3;
is(($t->cloud->spread(@k))[0], 1, 'is asked once');

my $key = $t->health(0);

is($key->{state}, 'paused', 'the key is paused again');
cmp_ok($key->{expires_in}, '>', 12, 'for longer');
is($key->{backoff_level}, 1, 'on the next step');

# a client that leaves proves nothing; the key is tried by the next request

penalty_ends();
$t->cloud->rules({ match => { key => $k[0] }, times => 1,
                   hold => JSON::PP::true });

@chats = map { $t->start_chat(sim => { first_delay_ms => 50 }) } 1 .. 4;
Http::until(sub { ($t->cloud->spread(@k))[1] == 3 }, @chats);
$_->abort for @chats;
poll { $t->in_flight == 0 } 'the client has left';

%after = ();
$after{$_}++ for $t->answered_by(6);
ok($after{key_0}, 'the next request is let through');

# what runs on the key since before the penalty is not what tries it out

my $u = Proxy->new(cloud => $t->cloud, keys => [ key_of(7) ])->run;
my %long = (stream => 1, sim => { words => 2000, delay_ms => 50 });
my @long = map { $u->start_chat(%long) } 1 .. 3;

Http::until(sub { 3 == grep { length $_->body } @long }, @long);
$u->cloud->rules({ times => 1, status => 429, headers => { 'retry-after' => 1 },
                   body => '{"error":"too many concurrent requests"}' });

my $r = $u->start_chat(timeout => 8);

Http::until(sub { $r->{ended} }, $r, @long);
is($r->status, 200, 'a key with three streams serves a fourth request');
is($r->header('x-ollama-attempts'), 2, 'after its pause');
is(scalar(grep { !$_->{ended} } @long), 3, 'while they run');
is($u->health(0)->{state}, 'healthy', 'the key is well again');
is($u->health(0)->{in_flight}, 3, 'and has the three');
$_->abort for @long;

# nor does their good answer prove anything

$t->cloud->reset;
$t->post("/health/keys/$_/reset", '') for 0, 1;
$t->cloud->rules({ match => { key => $k[0], model => 'old' }, times => 1,
                   delay_ms => 2500 },
                 { match => { key => $k[0], model => 'new' }, times => 1,
                   status => 429, headers => { 'retry-after' => 1 },
                   body => '{}' });

my $old = $t->start_chat(model => 'old');

poll { Http::turn(0, $old); $t->in_flight == 1 } 'it is sent';
is($t->chat(model => 'new')->header('x-ollama-key'), 'key_1',
   'the key is paused');
poll { !$t->health(0)->{penalty_active} } 'the penalty ends';
Http::finish($old);
is($old->header('x-ollama-key'), 'key_0', 'a good answer from before');
is($old->status, 200, 'comes late');
is($t->health(0)->{state}, 'half_open', 'and does not make the key well');
is($t->chat->header('x-ollama-key'), 'key_0', 'the next request tries it');
is($t->health(0)->{state}, 'healthy', 'and does');

finish();
