#!/usr/bin/perl

# Tests for ollama_hold: requests that wait for a key which returns, and are let
# go by the ramp of its account: 1, 2, 4 .. at once.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my @k = keys_of(2);
my $quota = '{"error":"you (a) have reached your usage limit, upgrade"}';


sub proxy {
    my ($hold, %how) = @_;

    return Proxy->new(workers => 2, daemon => 1, keys => [ @k ], balancer =>
        "ollama_keys; $hold keepalive 32;", %how)->run;
}


# each key once: its account is used up for so many seconds

sub used_up {
    my ($seconds, $times) = @_;

    return map { { match => { key => $_ }, times => $times // 1, status => 429,
                   body => $quota, headers => { 'retry-after' => $seconds,
                       'content-type' => 'application/json' } } } @k;
}


sub waiting {
    my ($t, $n, @r) = @_;

    Http::until(sub { $t->get('/stats/running')->json->{waiting} >= $n }, @r);
}


sub all_used_up {
    my ($t, @r) = @_;

    Http::until(sub { my $h = $t->health;
                      2 == grep { $_->{status} =~ /quota/ } values %$h }, @r);
}


# one finds out that all are used up, and waits; how many wait is told once a
# second, so the daemon may still know of those before

sub dry {
    my ($t) = @_;

    my $r = $t->start_chat;

    all_used_up($t, $r);
    return $r;
}


sub statuses {
    my %n;

    $n{ $_->status }++ for @_;
    return join ' ', map { "$n{$_} x $_" } sort keys %n;
}


# one that finds it out waits, and so do those that come later

my $t = proxy('ollama_hold 30s;');

$t->cloud->rules(used_up(3),
                 map { { match => { key => $_ }, times => 1, delay_ms => 600 } }
                     @k);

my $first = dry($t);
my @chats = map { $t->start_chat(sim => { first_delay_ms => 50 }) } 1 .. 320;

waiting($t, 300, $first, @chats);
is(scalar $t->cloud->requests, 2, 'each account has refused once');
like($t->health(0)->{status}, qr/quota/, 'and is used up');

# until it is proven an account is asked once, though 300 wait

my $most = 0;
my $proven = sub { grep { $_->status == 200 } $first, @chats };

Http::until(sub {
    my @seen = $t->cloud->requests;
    $most = @seen if !$proven->() && @seen > $most;
    return $proven->();
}, $first, @chats);
cmp_ok($most, '<=', 4, 'before the first answer each account was asked once');
Http::finish($first, @chats);
is(statuses($first, @chats), '321 x 200', 'all are answered');
is(scalar $t->cloud->requests, 2 + 321, '.. with nothing wasted');
is($t->health(0)->{status}, 'healthy', 'the ramp is over');

# good at first, then used up again: few are wasted

$t->cloud->reset;
$t->cloud->rules(used_up(2), (map { { match => { key => $_ }, times => 1,
                                      delay_ms => 10 } } @k), used_up(3, -1));
@chats = (dry($t), map { $t->start_chat } 1 .. 99);
Http::until(sub { grep { $_->status == 200 } @chats }, @chats);
all_used_up($t, @chats);

my $refused = grep { $_->{status} == 429 } $t->cloud->requests;

cmp_ok($refused, '<=', 2 + 2 * 3, "used up again: $refused refusals in all");
$t->cloud->reset;
Http::finish(@chats);
is(statuses(@chats), '100 x 200', 'and nobody has heard of it');

# a window that ends too late is no reason to wait

$t->cloud->reset;
$t->cloud->rules(used_up(300));

my $began = time;
my $r = $t->chat;

is($r->status, 429, 'a key that is back too late');
cmp_ok(time - $began, '<', 20, '.. is not waited for');
is($t->chat->status, 429, 'nor by the next one');
cmp_ok(abs($t->chat->header('retry-after') - 300), '<', 30, 'with a true time');

# who waits may go

$t = proxy('ollama_hold 60s max=3;', cloud => $t->cloud);
$t->cloud->reset;
$t->cloud->rules(used_up(30));
@chats = (dry($t), map { $t->start_chat } 1 .. 5);
Http::until(sub { 3 <= grep { $_->status } @chats }, @chats);
is(statuses(grep { $_->status } @chats), '3 x 429', 'no more than max= wait');

my ($held) = grep { !$_->status } @chats;

$held->abort;
poll { $t->get('/stats/running')->json->{waiting} == 2 } 'one has hung up';

my $late = $t->start_chat;

waiting($t, 3, $late);
is($t->chat->status, 429, 'its place is taken');
$_->abort for grep { !$_->status } @chats, $late;

# only those that say so

$t = proxy('ollama_hold 60s header;', cloud => $t->cloud);
$t->cloud->reset;
$t->cloud->rules(used_up(2));
is($t->chat->status, 429, 'without the header nobody waits');
is($t->chat(headers => [ 'X-Ollama-Wait' => $_ ])->status, 429,
   "nor with \"$_\"") for 0, 'long', '-5', '';
is($t->chat(headers => [ 'X-Ollama-Wait' => 20 ])->status, 200, 'with it one does');
is(scalar(grep { Cloud::headers($_, 'x-ollama-wait') } $t->cloud->requests), 0,
   'which is nobody else\'s business');
$t->cloud->reset;
$t->cloud->rules(used_up(30));
is($t->chat(headers => [ 'X-Ollama-Wait' => 5 ])->status, 429,
   'less than it takes is not waited for');

# streams that wait are told so

$t = proxy('ollama_hold 60s;', cloud => $t->cloud,
           server => 'ollama_keepalive 1s;');
$t->cloud->reset;
$t->cloud->rules(used_up(4));

my $stream = $t->start_chat(uri => '/v1/chat/completions', stream => 1);

Http::until(sub { $stream->body =~ /^:/ }, $stream);
like($stream->body, qr/^:/, 'a ping while it is held');
Http::finish($stream);
like($stream->body, qr/\[DONE\]/, '.. and the answer');

finish();
