#!/usr/bin/perl

# Tests for balances: what the cloud tells of accounts, however it tells it, and
# that it is never asked more often than once a minute and account.  The
# daemon's clock is the test's.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use JSON::PP;
use Poll;
use Proxy;
use Statsd;
use Test::More;

# accounts by who they are, each with a key or two

my @names = qw/ alice alice bob carl dora emil fred gina hans /;
my @k = keys_of(scalar @names);
my %keys;

push @{ $keys{$names[$_]} }, $k[$_] for 0 .. $#k;

my $clocks = Clocks->new;
my $t = Proxy->new(daemon => 1, private => 1, statsd => $clocks->env,
                   http => 'ollama_balance on interval=2m;', workers => 2,
                   keys => [ map { { key => $k[$_], name => "key$_",
                                     account => $names[$_] } } 0 .. $#k ]);

my %answers = (
    $k[0] => { preset => 'unauthorized' },
    $k[1] => { body => '{"included":{"balance_usd":72.5,"allowance_usd":100,
        "period":{"from":"2026-11-01T00:00:00Z","until":"2026-12-01T00:00:00Z"}},
        "purchased":{"balance_usd":0.000000001}}' },
    $k[2] => { body => '{"included":{"session":{"remaining_percent":75,
        "resets_at":"2026-11-27T15:00:00Z"},"weekly":{"remaining_percent":40,
        "resets_at":"2026-11-30T00:00:00Z"}}}' },
    $k[3] => { body => '{"credits":[{"left":3}]}' },
    $k[4] => { status => 403, body => '{"error":"account suspended"}' },
    $k[5] => { status => 429, headers => { 'retry-after' => '600' },
               body => '{"error":"too many requests"}' },
    $k[6] => { status => 404, body => '{"error":"path not found"}' },
    $k[7] => { hold => JSON::PP::true },
    $k[8] => { status => 500, body => '<html>' },
);


sub rules {
    $t->cloud->rules(map { { match => { key => $_, path => '/api/balance' },
                             times => -1, %{ $answers{$_} } } } sort keys %answers);
}


# how often the cloud was asked, of all or of some accounts

sub asked {
    my @of = map { @{ $keys{$_} } } @_ ? @_ : keys %keys;
    my %of = map { ("Bearer $_" => 1) } @of;

    return scalar grep { $_->{uri} eq '/api/balance'
                         && $of{(Cloud::headers($_, 'authorization'))[0]} }
                  $t->cloud->requests;
}


# time passes in steps, which the daemon notices when it is asked something

my $time = 0;

sub elapse {
    my ($seconds, $step) = @_;

    for (my $left = $seconds; $left > 0; $left -= $step) {
        $clocks->pass($step);
        $time += $step;
        $t->get('/stats/running') for 1 .. 2;

        # answers come in real time; the one that never comes has had enough

        poll { $t->get('/stats/health')->json->{balances}{asking} == 0 }
             undef, 0.5;
    }
}


sub balance {
    my ($n) = @_;
    my ($key) = grep { $_->{key} eq "key$n" } @{ $t->get('/stats/keys')->json };

    return $key->{balance};
}


rules();
$t->run;
eventually { @{ $t->get('/stats/keys')->json // [] } == @k } 'keys are told';

elapse(40, 5);
is(asked(), 0, 'nothing is asked in the first minute');
is(balance(1), undef, 'nor known');
is($t->get('/api/balance')->status, 503, 'also not of the pool');

elapse(20, 5);
eventually { asked() } 'a first question', 20;
my $first = asked();
cmp_ok($first, '<', 8, "which come one after the other: $first");

elapse(80, 5);
for my $account (sort keys %keys) {
    eventually { asked($account) } "the account of $account is asked", 20;
}

# what they told

eventually { balance(2) && balance(4) } 'what is told is known', 20;
is_deeply({ map { $_ => balance(2)->{$_} } qw/ kind session_left weekly_left
            session_resets_at weekly_resets_at included_usd renews_at / },
          { kind => 'windows', session_left => 0.75, weekly_left => 0.4,
            session_resets_at => '2026-11-27T15:00:00Z', included_usd => undef,
            weekly_resets_at => '2026-11-30T00:00:00Z', renews_at => undef },
          'a legacy plan: windows');
is(balance(4)->{kind}, 'suspended', '403: the account is suspended');

elapse(60, 5);
eventually { balance(1) } 'after a 401 the account\'s next key is asked with', 20;
is_deeply({ map { $_ => balance(1)->{$_} } qw/ kind included_usd allowance_usd
            purchased_usd renews_at / },
          { kind => 'money', included_usd => 72.5, allowance_usd => 100,
            purchased_usd => 1e-9, renews_at => '2026-12-01T00:00:00Z' },
          'money');
is_deeply(balance(0), balance(1), 'of all keys of the account');
is(balance($_), undef, "nothing is known of $names[$_]") for 5 .. 8;
is(balance(3)->{kind}, 'unknown', 'a shape that nobody knows');

# nginx has heard of it

eventually { $t->health(1)->{balance} } 'in /health/keys as well';
is($t->health(0)->{balance}{included_usd}, 72.5, 'of each key');
is($t->health(2)->{balance}{session_left}, 0.75, 'windows, too');
is($t->health(4)->{state}, 'suspended', 'a suspended account');
is($t->health(3)->{balance}, undef, 'an unknown shape says nothing');

# it is asked on, but not sooner than it may

my ($emil, $fred, $carl) = (asked('emil'), asked('fred'), asked('carl'));

for (1 .. 200) {
    $t->get($_ % 2 ? '/api/balance' : '/v1/api/usage?range=24h');
}

for (1 .. 5) {
    ok($t->reload, "reload $_");
    elapse(40, 5);
}

$t->{nginx}->stop;
$t->{nginx} = $t->start_nginx;
eventually { $t->listening && $t->health(1)->{balance} }
           'a new nginx is told again';
elapse(30, 5);

eventually { asked('carl') > $carl } 'what was not understood is asked on', 20;
is(asked('emil'), $emil, '429: Retry-After is obeyed');
is(asked('fred'), $fred, '404: not for a day');

for my $account (sort keys %keys) {
    cmp_ok(asked($account), '<=', 1 + int($time / 60 + 0.5),
           "$account: " . asked($account) . " questions in $time s, with 200 of "
           . 'clients, 5 reloads and a restart');
}

cmp_ok(asked('bob'), '<=', 1 + ($time - 60) / 120 + 1, 'bob: once an interval');

# an hour without an answer, then all is well again

my ($gina, $hans) = (asked('gina'), asked('hans'));

elapse(3600, 10);
cmp_ok(asked('hans') - $hans, '<=', 7, 'errors: asked ever less often');
cmp_ok(asked('gina') - $gina, '<=', 7, 'silence as well');
cmp_ok(asked('gina') - $gina, '>=', 1, 'but asked');
is(asked('fred'), $fred, 'and a 404 still not');
cmp_ok(asked('emil'), '>=', $emil + 2, 'the one with Retry-After again');

$answers{$_} = $answers{$k[1]} for @k[4 .. 8];
$t->cloud->reset;
rules();
elapse(3700, 10);
eventually { !grep { !balance($_) || balance($_)->{kind} ne 'money' } 4, 5, 7, 8 }
     'an hour later all are known', 20;
is(balance(6), undef, 'but not the one that a day is waited for');
elapse(86400, 60);
eventually { balance(6) } 'which is over', 20;

# the daemon comes again: it does not know when it has asked last

my $all = asked();

$t->{daemon}->stop('KILL');
$t->start_daemon;
eventually { @{ $t->get('/stats/keys')->json // [] } == @k } 'keys are told again';
elapse(40, 10);
is(asked(), $all, 'no question in its first minute');
is($t->chat->status, 200, 'and clients never noticed');

# no key in what others can see; finish() looks into all files

my @seen = map { Process::slurp("/proc/$_/cmdline") . Process::slurp("/proc/$_/environ") }
           Process::family($t->pid, $t->{daemon}->pid);

unlike("@seen", Proxy::secrets(), 'processes show no key');

my $data = join '', map { Process::slurp($_) } glob $t->dir . '/data/*';

unlike($data, Proxy::secrets(), 'nor does what the daemon keeps');

finish();
