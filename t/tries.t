#!/usr/bin/perl

# Tests for the number of tries: each key once, and not more than configured.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(6);
my $cloud = Cloud->start;


sub tries {
    my ($n, $balancer, $rule) = @_;

    my $t = Proxy->new(cloud => $cloud, keys => [ @k[0 .. $n - 1] ],
                       balancer => $balancer)->run;

    $cloud->reset;
    $cloud->rules({ times => -1, %{ $rule // { preset => 'unauthorized' } } });

    my $r = $t->chat;
    my %used = map { $_->{key} => 1 } $cloud->requests;
    my $requests = $cloud->requests;

    return sprintf '%s: %s tries, %d requests, %d keys', $r->status,
                   $r->header('x-ollama-attempts') // 'no', scalar $requests,
                   scalar keys %used;
}


is(tries(6, 'ollama_keys;'), '401: 4 tries, 4 requests, 4 keys',
   'four by default');
is(tries(6, 'ollama_keys tries=2;'), '401: 2 tries, 2 requests, 2 keys',
   'tries=2');
is(tries(6, 'ollama_keys tries=1;'), '401: 1 tries, 1 requests, 1 keys',
   'tries=1');
is(tries(6, 'ollama_keys tries=6;'), '401: 6 tries, 6 requests, 6 keys',
   'tries=6');
is(tries(3, 'ollama_keys tries=6;'), '401: 3 tries, 3 requests, 3 keys',
   'each key once');
is(tries(1, 'ollama_keys;'), '401: 1 tries, 1 requests, 1 keys', 'one key');
is(tries(6, 'ollama_keys; keepalive 8;'), '401: 4 tries, 4 requests, 4 keys',
   'with keepalive');
is(tries(6, 'ollama_keys tries=6;', { preset => 'overloaded_503' }),
   '503: 2 tries, 2 requests, 2 keys', 'an overloaded cloud is tried twice');

# another error after the first: the request still ends

my $t = Proxy->new(cloud => $cloud, keys => \@k)->run;

$cloud->reset;
$cloud->rules({ times => 1, preset => 'overloaded_503' },
              { times => 1, preset => 'unauthorized' },
              { times => 1, preset => 'overloaded_503' },
              { times => 1, preset => 'unauthorized' });

my $r = $t->chat;

is($r->status, 503, 'a second overload is the last');
is($r->header('x-ollama-attempts'), 3, 'as the third try');

# once bytes have come, there is no other try

$cloud->reset;
$r = $t->chat(stream => 1, sim => { reset_after_bytes => 200 });
is($r->status, 200, 'an answer that breaks off');
ok(!$r->complete, 'is broken for the client as well');
is(scalar $cloud->requests, 1, 'and not asked for again');

# configuration

my ($code, $output) = Proxy->new(cloud => $cloud, balancer =>
                                 'ollama_keys tries=0;')->nginx('-t');

isnt($code, 0, 'tries=0 is refused');
like($output, qr/ollama_keys|tries/, 'with a reason');

finish();
