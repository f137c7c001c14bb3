#!/usr/bin/perl

# Tests for the shared zone's bounds: what is remembered of models and keys is
# bounded, and when there is no room, requests go on.  A zone of another size is
# not an empty one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Proxy;
use Test::More;

my @k = keys_of(2);
my $t = Proxy->new(keys => \@k)->run;

# more blocked models than anybody has

$t->cloud->rules({ match => { key => $k[0] }, times => 200,
                   preset => 'model_403' });
is(scalar(grep { $_->status != 200 }
          map { $t->chat(model => "model-$_") } 1 .. 300), 0,
   'three hundred models, each unknown to one key');

my $blocked = @{ $t->health(0)->{blocked_models} };

cmp_ok($blocked, '>', 10, 'many blocks are remembered');
cmp_ok($blocked, '<', 200, 'not all of them');
is($t->post('/health/keys/0/reset', '')->status, 200, 'a reset');
is_deeply($t->health(0)->{blocked_models}, [], 'forgets them');

# names of models that are long, empty, or no names

for my $model ('m' x 1000, 'm' x 100_000, '', "\x01\x02", '../../etc', '"\\') {
    like($t->chat(model => $model)->status, qr/^(200|400|404)$/,
         'a model of ' . length($model) . ' letters');
}

# a zone as small as it may be, full of keys, under load

my ($code, $output) = Proxy->new(cloud => 0, zone => '8k')->nginx('-t');
my ($bytes) = $output =~ /at least (\d+) bytes/;
my $n = 2000;
my ($small, $ok);

# as many keys as just fit

my $cloud = $t->cloud;

$bytes = 1024 * int(($bytes + 1023) / 1024);

while (1) {
    $small = Proxy->new(cloud => $cloud, keys => [ keys_of($n) ],
                        zone => $bytes);
    ($code, $output) = $small->nginx('-t');
    last if $code == 0 || $n == 1;
    $n = int($n * 0.9);
}

is($code, 0, "$n keys in a zone of $bytes bytes") or diag($output);
$small->{allow} = qr/no memory|could not allocate/;
$small->run;
$cloud->reset;
$cloud->rules({ times => 20, preset => 'model_403' });

my @chats = map { $small->start_chat(model => "model-$_", sim =>
                  { first_delay_ms => 100 }) } 1 .. 300;

Http::finish(@chats);
cmp_ok(scalar(grep { $_->status == 200 } @chats), '>=', 280, 'requests go on');
ok($small->reload, 'a reload');
is($small->chat->status, 200, 'and a chat after it');

# a zone of another size is a new one; the daemon tells what was in the old

my $sized = Proxy->new(cloud => $cloud, keys => \@k, daemon => 1)->run;
my $conf = $sized->dir . '/nginx.conf';

$cloud->reset;
is($sized->chat->status, 200, 'a chat with a daemon') for 1 .. 4;
$sized->post('/health/keys/0/penalize', '');

my $total = $cloud->ledger->{total};
my $tokens = $total->{prompt} + $total->{completion};

poll { @{ $sized->get('/stats/events')->json // [] } } 'it knows the penalty';
poll { ($sized->get('/health')->json->{totals}{requests} // 0) == 4 }
     'and the usage';

Process::spill($conf, Process::slurp($conf)
                      =~ s/(ollama_zone \S+) 8m/$1 16m/r);

my @old = $sized->workers;
my ($key, $usage);

ok($sized->reload, 'a reload with a zone of another size');
poll { Process::gone(@old) } 'the old worker, which has the old zone, is gone';

poll { $key = $sized->health(0); $key->{state} eq 'penalized' }
     'the penalty is back';
poll { $usage = $sized->health(0)->{usage_2h} + $sized->health(1)->{usage_2h} }
     'so is the usage';
is($key->{state}, 'penalized', 'what is held against a key is restored');
ok(!$key->{eligible}, 'and holds');
is($usage, $tokens, 'so is what was used');
is(join(' ', $sized->answered_by(3)), 'key_1 key_1 key_1', 'and is heeded');

finish();
