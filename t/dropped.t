#!/usr/bin/perl

# Tests for connections that are lost after the request was sent and before a
# byte came: nothing is held against the key, but others are asked before it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new(keys => \@k,
                   balancer => "ollama_keys;\n$Proxy::no_keepalive")->run;
my $cloud = $t->cloud;


# connections of these keys are dropped

sub drops {
    my ($how, @n) = @_;

    $cloud->reset;
    $cloud->rules(map { { match => { key => $k[$_] }, times => -1,
                          close => $how } } @n);
}


sub states {
    my $all = $t->health;

    return join ', ', map {
        my $key = $all->{"key_$_"};
        $key->{state} . ($key->{eligible} ? '' : ', not eligible')
        . ($key->{reason} ? ", $key->{reason}" : '')
    } 0 .. 2;
}


for my $how ('reset_before_headers', 'before_headers') {
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
    drops($how, 0, 1);

    my @chats = map { $t->chat } 1 .. 6;
    my $failed = grep { $_->status != 200 } @chats;

    cmp_ok($failed, '<=', 2, "two of three drop ($how): $failed of 6 fail");
    is(scalar(grep { $_->status == 200
                     && $_->header('x-ollama-key') ne 'key_2' } @chats), 0,
       'the third serves');
    is(states(), 'healthy, healthy, healthy', 'all are healthy');
    is($t->in_flight, 0, 'nothing is in flight');
}

# one that came last is still one that serves

drops('reset_before_headers', 0, 1);
$t->chat for 1 .. 3;
$t->post('/health/keys/2/penalize', '');
$cloud->reset;

my $r = $t->chat;

is($r->status, 200, 'with nobody else they are asked all the same');
like($r->header('x-ollama-key'), qr/^key_[01]$/, 'and serve');
is($r->header('x-ollama-attempts'), 1, 'at once');

# and is as good as the others after its next success

my %used;

ok(poll(sub { $used{$t->chat->header('x-ollama-key')}++;
              $used{key_0} && $used{key_1} }, 'both serve', 40),
   'both serve after a while');
$t->post('/health/keys/2/reset', '');

# the next request goes to whom it would go anyway: the one used least

my @wrong = grep {
    my $health = $t->health;
    my ($least) = sort { $a <=> $b } map { $_->{usage_2h} } values %$health;

    $health->{$t->chat->header('x-ollama-key')}{usage_2h} != $least;
} 1 .. 20;

is(scalar @wrong, 0, 'and are used like any other');

# no connection at all is the address's business

my $w = Proxy->new(cloud => $cloud, keys => \@k, servers =>
                   'server 127.0.0.1:1 max_fails=0;')->run;

is($w->chat->status, 502, 'nobody listens there') for 1 .. 3;
is($w->health($_)->{state}, 'healthy', "key_$_ is well") for 0 .. 2;


$w = Proxy->new(cloud => $cloud, keys => \@k, servers =>
                'server 127.0.0.1:%CLOUD% max_fails=0;'
                . ' server 127.0.0.1:1 max_fails=0;')->run;
$cloud->reset;
is(scalar(grep { $w->chat->status != 200 } 1 .. 24), 0,
   'one of two addresses is dead');
is(scalar(grep { $_ < 4 } $cloud->spread(@k)), 0, 'all keys are used');

finish();
