#!/usr/bin/perl

# Tests for an upstream of several addresses of which some are dead: connecting
# goes through all of them, as plain nginx does, and holds nothing against a key.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my $cloud = Cloud->start;
my @dead = map { Process::port() } 1 .. 4;


sub servers {
    my ($alive, $more) = @_;

    return join "\n", map { "server 127.0.0.1:$_ $more;" }
           @dead, $alive ? $cloud->port : ();
}


sub states { join ' ', sort map { $_->{state} } values %{ $_[0]->health } }


for my $case ([ 'round robin', "ollama_keys;\nkeepalive 4;" ],
              [ 'least_conn', "least_conn;\nollama_keys;" ],
              [ 'random', "random;\nollama_keys;" ],
              [ 'a zone', "zone cloud 256k;\nollama_keys tries=1;" ],
              [ 'one key at most', 'ollama_keys tries=1;' ])
{
    my ($name, $balancer) = @$case;

    my $t = Proxy->new(cloud => $cloud, balancer => $balancer,
                       servers => servers(1, 'max_fails=0'))->run;

    $cloud->reset;

    my @r = map { $t->chat } 1 .. 12;

    is(join(' ', map { $_->status } @r), join(' ', (200) x 12),
       "$name, four dead and one alive: all are served");
    is(scalar(my @seen = $cloud->requests), 12, 'each once');
    is(join('/', $cloud->spread(keys_of(3))), '4/4/4', 'evenly over the keys');
    is(states($t), 'healthy healthy healthy', 'no key is to blame');
    is($t->in_flight, 0, 'nor holds a slot');
}

# keys that are refused are tried over all addresses as well

my $t = Proxy->new(cloud => $cloud, servers => servers(1, 'max_fails=0'),
                   balancer => 'ollama_keys;', daemon => 1,
                   allow => qr/statsd|http\.sock/)->run;

$cloud->reset;
$cloud->rules({ times => -1, preset => 'quota_session',
                match => { key => $_ } }) for map { key_of($_) } 0, 1;

my @r = map { $t->chat(model => "m$_") } 1 .. 6;

is(join(' ', map { $_->status } @r), join(' ', (200) x 6),
   'two keys are spent: the third one serves, whatever is dead');
is(join(' ', map { $t->health($_)->{state} } 0 .. 2),
   'exhausted exhausted healthy', 'which is known of them');

# the record tells what was tried

my ($q) = grep { grep { $_->{cause} eq 'connect' } @{ $_->{attempts} } }
          map { record($t, "m$_") // () } 1 .. 6;

ok($q, 'a connection that was not made is on record');

# none is alive

$t = Proxy->new(cloud => $cloud, servers => servers(0, 'max_fails=0'),
                balancer => 'ollama_keys;')->run;

my $r = $t->chat;

is($r->status, 502, 'none is alive');
like($r->json->{error}, qr/cannot be reached/, 'says so');
is($r->header('x-ollama-attempts'), 4, 'after each of them');
is(states($t), 'healthy healthy healthy', 'no key is to blame');

# and what plain nginx bounds, is bounded

$t = Proxy->new(cloud => $cloud, servers => servers(0, 'max_fails=0'),
                balancer => 'ollama_keys;',
                params => { proxy_next_upstream_tries => 2 })->run;

is($t->chat->header('x-ollama-attempts'), 2, 'proxy_next_upstream_tries');

# with the servers' own memory of what has failed

$t = Proxy->new(cloud => $cloud, servers => servers(1, ''),
                balancer => 'ollama_keys;')->run;

@r = map { $t->chat } 1 .. 12;

is(join(' ', map { $_->status } @r), join(' ', (200) x 12), 'max_fails=1');

# a backup is an address as well

$t = Proxy->new(cloud => $cloud, balancer => 'ollama_keys;', servers =>
                servers(0, 'max_fails=0') . ' server 127.0.0.1:'
                . $cloud->port . ' backup;')->run;

@r = map { $t->chat } 1 .. 6;

is(join(' ', map { $_->status } @r), join(' ', (200) x 6), 'a backup');

finish();
