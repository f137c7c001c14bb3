#!/usr/bin/perl

# Tests for the balancer among nginx's own: several servers, a zone, least_conn,
# keepalive and its stale connections, and what is refused as configuration.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $cloud = Cloud->start;
my $other = Cloud->start;

my @servers = ('server 127.0.0.1:' . $cloud->port . ';',
               'server 127.0.0.1:' . $other->port . ';');


# answers at the third try, then many at once, with no key used in excess

sub works {
    my ($name, %conf) = @_;

    subtest $name => sub {
        my $t = Proxy->new(cloud => $cloud, keys => \@k, %conf)->run;

        for ($cloud, $other) {
            $_->reset;
            $_->rules({ match => { key => $k[0] }, times => -1,
                        preset => 'unauthorized' },
                      { match => { key => $k[1] }, times => -1,
                        preset => 'unauthorized' });
        }

        my @chats = map { $t->chat } 1 .. 3;

        is(join(' ', map { $_->status } @chats), '200 200 200', 'answered');
        is($t->health($_)->{state}, 'invalid', "key_$_ is found out") for 0, 1;
        is($t->health(2)->{state}, 'healthy', 'key_2 serves');

        $_->reset for $cloud, $other;
        $t->post("/health/keys/$_/reset", '') for 0 .. 2;

        @chats = map { $t->start_chat(sim => { first_delay_ms => 100 }) }
                 1 .. 12;
        Http::finish(@chats);
        is(scalar(grep { $_->status != 200 } @chats), 0, 'twelve at once');

        my @spread = $cloud->spread(@k);
        my @more = $other->spread(@k);

        is(join('/', map { $spread[$_] + $more[$_] } 0 .. 2), '4/4/4',
           'evenly over the keys');

        return unless $conf{servers};

        is($chats[0]->status, 200, 'with several servers');
        ok($cloud->ledger->{total}{requests}
           && $other->ledger->{total}{requests}, 'both of them are used');
    };
}


works('no keepalive', balancer => "ollama_keys; $Proxy::no_keepalive");
works('keepalive', balancer => "ollama_keys;\nkeepalive 4;");
works('keepalive first', balancer => "keepalive 4;\nollama_keys;");
works('a zone', balancer => "zone cloud 256k;\nollama_keys;\nkeepalive 4;");
works('several servers', servers => "@servers");
works('several servers in a zone', servers => "@servers",
      balancer => "zone cloud 256k;\nollama_keys;\nkeepalive 4;");
works('least_conn', servers => "@servers",
      balancer => "least_conn;\nollama_keys;\nkeepalive 4;");
works('least_conn in a zone', servers => "@servers",
      balancer => "zone cloud 256k;\nleast_conn;\nollama_keys;");
works('random', servers => "@servers", balancer => "random;\nollama_keys;");
works('weights and a backup', servers => "$servers[0]\n"
      . $servers[1] =~ s/;/ weight=3;/r . "\nserver 127.0.0.1:1 backup;");
works('two workers', workers => 2);

# a dead server is the network's fault, not the key's

my $t = Proxy->new(cloud => $cloud, servers => "server 127.0.0.1:1;\n$servers[0]")
        ->run;

my @statuses = map { $t->chat->status } 1 .. 6;

is("@statuses", '200 200 200 200 200 200', 'one server of two is dead');
is(scalar(grep { !$_->{eligible} } values %{ $t->health }), 0, 'no key suffers');

# keepalive: connections are used again

$t = Proxy->new(cloud => $cloud, keys => \@k)->run;
$cloud->reset;
$t->chat for 1 .. 6;

my %connections = map { $_->{connection} => 1 } $cloud->requests;

is(scalar keys %connections, 1, 'six requests on one connection');

# a connection gone stale is tried again with the same key, without penalty

$cloud->rules({ times => 1, close => 'before_headers' });

my $r = $t->chat;
my @two = $cloud->requests(2);

is($r->status, 200, 'a stale connection');
is($two[1]{key}, $two[0]{key}, 'the same key again');
isnt($two[1]{connection}, $two[0]{connection}, 'on another connection');
is(scalar(grep { !$_->{eligible} } values %{ $t->health }), 0, 'no penalty');

# the log tells which try met it

my $l = Proxy->new(cloud => $cloud, keys => \@k,
                   http => q(log_format statuses '$uri $upstream_status';),
                   server => 'access_log %DIR%/statuses.log statuses;')->run;

$cloud->reset;
$cloud->rules({ times => 1, preset => 'quota_session' },
              { times => 1, close => 'before_headers' });
is($l->chat->status, 200, 'a stale connection at a second try');

# it is written once the client has its answer

my $log;

poll { $log = Process::slurp($l->dir . '/statuses.log') } 'a line of the log';
like($log, qr!^/api/chat 429, 502, 200$!m, 'each has its own status');

# the cloud is restarted: kept connections are all stale

my @chats = map { $t->start_chat(sim => { first_delay_ms => 50 }) } 1 .. 8;

Http::finish(@chats);
$cloud->stop;
$cloud = Cloud->start(port => $cloud->port);
is($t->chat->status, 200, 'a restarted cloud') for 1 .. 3;

# configuration

for my $wrong ([ 'ollama_keys without a zone', qr/ollama_zone/,
                 sub { s/ollama_zone[^;]*;// } ],
               [ 'a zone too small', qr/zone/, sub { s/ollama 8m/ollama 8k/ } ],
               [ 'ollama_keys twice', qr/ollama_keys.*duplicate/,
                 sub { s/(ollama_keys;)/$1 $1/ } ],
               [ 'no config.yaml named', qr/ollama_config/,
                 sub { s/ollama_config[^;]*;// } ])
{
    my ($name, $reason, $edit) = @$wrong;
    my $conf = Proxy->new(cloud => 0)->default_conf;

    $edit->() for $conf;

    my ($code, $output) = Proxy->new(conf => $conf)->nginx('-t');

    is($code, 1, "refused: $name") or diag($output);
    like($output, $reason, 'with a reason');
}

finish();
