#!/usr/bin/perl

# Tests for requests that wait: each thing that makes room lets the first go on
# whom it suits, those whom it does not suit are in nobody's way, and all are
# told when there is nothing left to wait for.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $cloud = Cloud->start;
my @k = keys_of(3);
my $hold = { match => { model => 'held' }, times => -1,
             hold => JSON::PP::true };


sub one { return { key => $k[$_[0] // 0], max_concurrent => 1 } }


sub proxy {
    my ($workers, @keys) = @_;

    $cloud->reset;
    $cloud->rules($hold);

    return Proxy->new(cloud => $cloud, keys => \@keys, workers => $workers,
                      balancer => "ollama_keys;\nkeepalive 8;")->run;
}


# a chat that the cloud has, and does not answer

sub held {
    my ($t) = @_;
    my $n = $cloud->requests;
    my $chat = $t->start_chat(model => 'held', timeout => 60);

    poll { Http::turn(0.01, $chat); $cloud->requests > $n } 'it is held';
    return $chat;
}


# chats that nginx has, in this order

sub waiters {
    my ($t, @chats) = @_;

    return map {
        my $chat = $t->start_chat(timeout => 15, %$_);

        Http::turn(0.01, $chat) while length $chat->{out};
        $t->get('/api/version');
        $chat;
    } @chats;
}


sub statuses {
    Http::finish(@_);
    return join ' ', map { $_->status } @_;
}


sub text_of { return $Http::json->decode($_[0]{body})->{messages}[0]{content} }

sub order { return join ' ', map { text_of($_) } $cloud->requests(@_) }


# key_1 may not serve this model

sub only_key_0 {
    my ($t) = @_;

    $cloud->rules({ match => { key => $k[1], model => 'only' }, times => 1,
                    preset => 'model_403' });
    $t->post('/health/keys/0/penalize', '');
    $t->chat(model => 'only');
    $t->post('/health/keys/0/reset', '');
    is($t->health(1)->{blocked_models}[0]{model}, 'only',
       'a model that one key may not serve');
}


# Two hundred who wait for a busy key, and requests for another one

my $t = proxy(2, one(0), $k[1]);

only_key_0($t);


# four at a time, as there are two workers

sub median {
    my @chats;

    for (1 .. 20) {
        my @four = map { $t->start_chat(model => 'other') } 1 .. 4;

        Http::finish(@four);
        push @chats, @four;
    }

    is(scalar(grep { $_->status != 200 } @chats), 0, 'requests are served');

    return (sort { $a <=> $b } map { $_->{ended} - $_->sent } @chats)[40];
}


$t->post('/health/keys/0/penalize', '');
median();

my $alone = median();

$t->post('/health/keys/0/reset', '');

my $held = $t->start_chat(model => 'only', timeout => 60,
                          sim => { first_delay_ms => 50_000 });

poll { Http::turn(0.01, $held); $t->health(0)->{in_flight} } 'key_0 is busy';

my @waiting = map { $t->start_chat(model => 'only') } 1 .. 200;

Http::turn(0, @waiting) for 1 .. 20;
$t->get('/api/version') for 1 .. 20;

my ($beside) = sort { $a <=> $b } map { median() } 1 .. 3;

is(scalar(grep { $_->{ended} } @waiting), 0, 'two hundred wait');
cmp_ok($beside, '<', 10 * $alone,
       sprintf 'a request that need not wait: %.1f ms, without them %.1f ms',
       1000 * $beside, 1000 * $alone);
$_->abort for @waiting, $held;

# in the order in which they came, but for those whom the key does not suit

$t = proxy(1, one(0), one(1));
only_key_0($t);

my ($one, $two) = map { held($t) } 1, 2;

($one, $two) = ($two, $one) if ($cloud->requests(2))[0]{key} ne $k[0];

my @four = waiters($t, map { { model => $_->[0], text => $_->[1] } }
                       [ only => 'a1' ], [ any => 'b1' ], [ only => 'a2' ],
                       [ any => 'b2' ]);

$two->abort;
Http::until(sub { $four[1]{ended} && $four[3]{ended} }, @four);
is(order(2), 'b1 b2', 'the first whom a key suits, then the next');
ok(!$four[0]{ended} && !$four[2]{ended}, 'the others wait');
$one->abort;
is(statuses(@four), '200 200 200 200', 'until there is a slot for them');
is(order(2), 'a1 a2', 'in their order');

# one who may be served, behind three hundred of sixty models who may not

$t = proxy(1, one(0), one(1));

my @models = map { "only-$_" } 1 .. 60;

$cloud->rules(map { { match => { key => $k[1], model => $_ }, times => 1,
                      preset => 'model_403' } } @models);
$t->post('/health/keys/0/penalize', '');
$t->chat(model => $_) for @models;
$t->post('/health/keys/0/reset', '');
is(scalar @{ $t->health(1)->{blocked_models} }, 60, 'sixty models');

($one, $two) = map { held($t) } 1, 2;
($one, $two) = ($two, $one) if ($cloud->requests(2))[0]{key} ne $k[0];

my @crowd = waiters($t, map { { model => $_, timeout => 60 } } (@models) x 5);
my ($any) = waiters($t, { model => 'any' });

$two->abort;
is(statuses($any), '200', 'one behind three hundred whom it does not suit');
Http::turn(0, @crowd);
is(scalar(grep { $_->{ended} } @crowd), 0, 'who wait');
$_->abort for @crowd, $one;

# a release

$t = proxy(1, one());
$held = held($t);

my @two = waiters($t, ({}) x 2);

$held->abort;
is(statuses(@two), '200 200', 'a slot that is given back serves them');

# the end of a pause, and the one request that tries the key out

$t = proxy(1, $k[0]);
$cloud->rules({ times => 1, status => 429, headers => { 'retry-after' => 1 },
                body => '{"error":"too many concurrent requests"}' },
              { times => 1, delay_ms => 6000 });

my @pause = waiters($t, ({}) x 4);

Http::until(sub { $cloud->requests >= 2 }, @pause);
Http::turn(0.05, @pause) for 1 .. 4;
is(scalar $cloud->requests, 2, 'a pause has ended: one goes first');
is(statuses(@pause), '200 200 200 200', 'and when it is answered, all');
is($pause[3]->header('x-ollama-attempts'), 1, 'none was refused a second time');

# a limit that is raised

$t = proxy(1, one());
$held = held($t);

my ($waits) = waiters($t, {});

$t->write_config({ key => $k[0], max_concurrent => 2 });
ok($t->reload, 'a reload with a slot more');
is(statuses($waits), '200', 'serves who waits');
ok(!$held->{ended}, 'beside the one that has the other');
$held->abort;

# a reload with another key

$t = proxy(1, one());
$held = held($t);
($waits) = waiters($t, {});
$t->write_config(one(), one(1));
ok($t->reload, 'a reload with a key more');
is(statuses($waits), '200', 'serves who waits');
is($cloud->last->{key}, $k[1], 'with this key');
$held->abort;

# an operator's word

$t = proxy(1, one(), one(1));
$t->post('/health/keys/1/penalize', '');
$held = held($t);
($waits) = waiters($t, {});
$t->post('/health/keys/1/reset', '');
is(statuses($waits), '200', 'a key that was reset serves who waits');
$held->abort;

# nothing to wait for any more

$t = proxy(1, one());
$cloud->rules({ match => { model => 'last' }, times => 1, delay_ms => 1000,
                preset => 'quota_session' });
$held = $t->start_chat(model => 'last');
poll { Http::turn(0.01, $held); $cloud->requests } 'it is sent';

my @vain = waiters($t, ({}) x 3);

is(statuses($held, @vain), '429 429 429 429', 'the last key is used up');
like($_->header('retry-after'), qr/^[1-9]\d*$/, 'one that waited is told when')
    for @vain;
is(scalar $cloud->requests, 1, 'and the cloud is not asked');

finish();
