#!/usr/bin/perl

# Tests for reloads that are refused: nothing of them is left behind, whichever
# step failed, and what ran goes on as before.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use IO::Socket::INET;
use List::Util qw/ sum0 /;
use Poll;
use Process;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $cloud = Cloud->start;
my $made_up = 1000;
my $t;


sub proxy {
    $cloud->reset;

    return Proxy->new(cloud => $cloud, keys => \@k, zone => '512k', allow =>
                      qr/too small|no memory|in use|not bind/)->run;
}


# so many keys that nobody has seen before

sub more_keys {
    my ($n) = @_;
    return map { key_of($made_up++) } 1 .. $n;
}


# a reload that the master refuses for this reason

sub refused {
    my ($reason) = @_;
    my $before = length $t->log;
    my $old = join ' ', $t->workers;

    $t->{nginx}->signal('HUP');
    poll { substr($t->log, $before) =~ /\[(emerg|crit)\][^\n]*$reason/ }
         'the reload is refused', 20;

    return substr($t->log, $before) =~ /\[(emerg|crit)\][^\n]*$reason/
           && $old eq join ' ', $t->workers;
}


sub at_once {
    my ($n) = @_;
    my @chats = map { $t->start_chat(model => 'm', timeout => 30,
                                     sim => { first_delay_ms => 500 }) }
                1 .. $n;

    Http::finish(@chats);
    poll { $t->in_flight == 0 } 'they are over';
    return scalar grep { $_->status == 200 } @chats;
}


sub usage { return sum0(map { $_->{usage_2h} } values %{ $t->health }) }

sub history {
    my $all = $t->health;

    return join ', ', map {
        my $key = $all->{"key_$_"};
        "$key->{fingerprint} $key->{state} $key->{usage_2h} "
        . join ' ', map { $_->{model} } @{ $key->{blocked_models} }
    } 0 .. 2;
}


# what is known of the keys

$t = proxy();
$cloud->rules({ match => { model => 'dear' }, times => 1,
                preset => 'model_403' });
is($t->chat(model => 'dear')->status, 200, 'a model that a key may not serve');
is($t->chat->status, 200, 'a chat') for 1 .. 6;
$t->post('/health/keys/1/penalize?seconds=3000', '');

my $history = history();

like($history, qr/penalized/, 'a penalty is held against a key');
like($history, qr/ dear/, 'a model against another');

# a list that is too long for the zone

$t->write_config(@k, more_keys(900));
ok(refused('too small'), 'a list that is too long is refused');

my ($line) = $t->log =~ /(\[emerg\][^\n]*too small[^\n]*)/;
my ($n, $unit) = ($line // '') =~ /\b([1-9]\d*)\s?([km]|bytes)\b/i;

like($line, qr/"ollama".*\b903\b/, 'for the zone');
ok($n, 'which says how much it needs') or diag($line);
is(history(), $history, 'nothing is forgotten');
is(at_once(400), 400, '400 requests at once are served as before');

# with so much it fits

if ($n) {
    my $size = lc $unit eq 'bytes' ? $n : "$n$unit";
    my ($code, $output) = Proxy->new(cloud => $cloud, zone => $size,
                                     keys => [ @k, more_keys(900) ])
                          ->nginx('-t');

    is($code, 0, "a zone of $size is enough") or diag($output);
}

# a step that comes later, with a list that would fit

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
my $port = $taken->sockport;
my $servers = join '', map { "server 127.0.0.1:9 weight=$_ down;\n" } 1 .. 500;

my @later = (
    [ 'a port that is taken', 1, 'in use',
      "server { listen 127.0.0.1:$port; }\n" ],
    [ 'another zone that is too small', 20, 'crowd',
      "upstream crowd {\nzone crowd 32k;\n$servers}\n" ],
);

$t = proxy();
is($t->chat->status, 200, 'a chat') for 1 .. 6;
$t->post('/health/keys/1/penalize?seconds=3000', '');
$history = history();

my $file = $t->dir . '/nginx.conf';
my $conf = Process::slurp($file);

for (@later) {
    my ($step, $times, $reason, $lines) = @$_;
    my $same = 0;

    Process::spill($file, $conf =~ s/(?=^    server \{)/$lines/mr);

    for (1 .. $times) {
        $t->write_config(@k, more_keys(60));
        refused($reason) or last;
        $same++;
    }

    is($same, $times, "refused $times times: $step");
    is(history(), $history, 'nothing is forgotten');
}

Process::spill($file, $conf);
is(at_once(400), 400, '400 requests at once are served as before');

# and the next one that is right

my $before = usage();

$t->write_config(@k[2, 0, 1], more_keys(60));
ok($t->reload, 'a good reload');
is(scalar keys %{ $t->health }, 63, 'with sixty keys more');
is($t->health(2)->{state}, 'penalized', 'the penalty is kept');
is($t->health(2)->{fingerprint}, substr(sha256_hex($k[1]), 0, 8), "the key's");
is(usage(), $before, 'and the usage');
is(at_once(400), 400, '400 requests at once');

$t->write_config(@k);
ok($t->reload, 'and back');
is(scalar keys %{ $t->health }, 3, 'to the three');
is($t->chat->status, 200, 'a chat');

finish();
