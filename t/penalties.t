#!/usr/bin/perl

# Tests for penalties: a deadline only grows, and a reload forgets nothing.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(4);
my $t = Proxy->new(keys => [ @k[0 .. 2] ])->run;


sub expires {
    my ($n, $seconds, $name) = @_;
    my $in = $t->health($n)->{expires_in};

    cmp_ok(abs($in - $seconds), '<=', 3, $name) or diag($in);
}


# max(old, new)

$t->post('/health/keys/0/penalize?seconds=500', '');
expires(0, 500, 'penalised for 500 s');
$t->post('/health/keys/0/penalize?seconds=5', '');
expires(0, 500, 'a shorter penalty takes nothing away');
$t->post('/health/keys/0/penalize?seconds=900', '');
expires(0, 900, 'a longer one adds');

# what the cloud says while requests overlap

$t->cloud->rules({ match => { key => $k[1] }, times => 1, delay_ms => 300,
                   status => 429, headers => { 'retry-after' => 20 },
                   body => '{}' },
                 { match => { key => $k[1] }, times => 1, status => 429,
                   headers => { 'retry-after' => 3000 }, body => '{}' });

$t->post('/health/keys/2/penalize?seconds=1000', '');

my @chats = ($t->start_chat, $t->start_chat);

Http::finish(@chats);
is($t->health(1)->{state}, 'paused', 'the later answer finds a paused key');
expires(1, 3000, 'and does not bring it back');

# what is held against a key, and the model

$t->post("/health/keys/$_/reset", '') for 0 .. 2;
$t->cloud->reset;
$t->cloud->rules({ match => { key => $k[0] }, times => 1,
                   preset => 'quota_monthly' },
                 { match => { key => $k[1] }, times => 1,
                   preset => 'model_403' });
$t->chat for 1 .. 20;

my $before = $t->health;

is($before->{key_0}{state}, 'exhausted', 'key_0 is exhausted');
is(scalar @{ $before->{key_1}{blocked_models} }, 1, 'key_1 has a block');

# a reload with the same keys

ok($t->reload, 'reload');

my $after = $t->health;

for my $n (0 .. 2) {
    for my $key (map { $_->{"key_$n"} } $before, $after) {
        delete $_->{expires_in} for $key, @{ $key->{blocked_models} };
    }

    is_deeply($after->{"key_$n"}, $before->{"key_$n"}, "key_$n is as it was");
}

is((grep { $_ eq 'key_0' } $t->answered_by(6)), 0, 'and stays out');

$before = $t->health;

# a reload with another order, one key less and one more

$t->write_config($k[3], $k[1], { key => $k[0], name => 'moved' });
ok($t->reload, 'reload with another list');

$after = $t->health;

is(join(' ', sort keys %$after), 'key_0 key_1 key_2', 'three keys');
is($after->{key_2}{name}, 'moved', 'a name that was changed');
is($after->{key_2}{state}, 'exhausted', 'state follows the key');
is($after->{key_2}{fingerprint}, $before->{key_0}{fingerprint},
   'which its fingerprint tells');
is(scalar @{ $after->{key_1}{blocked_models} }, 1, 'so do blocked models');
is($after->{key_1}{usage_2h}, $before->{key_1}{usage_2h}, 'and usage');
is($after->{key_0}{usage_2h}, 0, 'the new key has none');

$t->cloud->reset;
$t->answered_by(4, model => 'gpt-oss:120b');

my @spread = $t->cloud->spread(@k);

is($spread[2], 0, 'the key that was taken out is not used');
is($spread[0], 0, 'nor the exhausted one');
cmp_ok($spread[3], '>', 0, 'the new key is');

# a key that comes back is known again

$t->write_config(@k);
ok($t->reload, 'reload with all of them');
is($t->health(2)->{usage_2h}, $before->{key_2}{usage_2h}, 'its usage is known');

# a list with an error changes nothing

$t->write_config($k[0], $k[0]);
is(($t->nginx('-t'))[0], 1, 'a list with an error');
kill 'HUP', $t->pid;
Poll::poll { $t->log =~ /\[emerg\].*config\.yaml/ } 'the error is logged';
is(scalar keys %{ $t->health }, 4, 'the old list goes on');
is($t->chat->status, 200, 'requests too');

$t->{allow} = qr/config\.yaml/;

finish();
