#!/usr/bin/perl

# The whole product under load, while parts of it are killed: the ledger's
# sums are those of the cloud.
#
# First the daemon gets kill -9 every second and nginx a reload every other
# second: nothing may be missing, and no client may notice.  Then a worker is
# killed every second: only what it had in flight may be missing.
#
#     CRASH_REQUESTS=5000 prove t/statsd-crash.t      for a short look

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $requests = $ENV{CRASH_REQUESTS} // ($ENV{SANITIZE} ? 5_000 : 50_000);
my $connections = 32;
my @models = qw/ gpt-oss:20b gpt-oss:120b qwen3-coder:480b /;

my $t = Proxy->new(daemon => 1, workers => 2, log => 'notice',
                   # nginx itself tells of a worker that died within a lock
                   allow => qr/exited on signal 9|was locked by \d+/)->run;


# the daemon's answers, without nginx in between

sub daemon {
    my ($uri) = @_;
    my $s = bless { dir => $t->dir }, 'Statsd';

    no warnings 'redefine';
    local *Statsd::path = sub { $t->dir . "/$_[1].sock" };

    return eval { $s->json($uri) };
}


sub restart_daemon {
    kill 'KILL', $t->{daemon}->pid;
    $t->{daemon}->wait(10);
    $t->start_daemon;
}


# n chats from all connections; every second something happens to somebody,
# for the first time soon

sub load {
    my ($n, $happens) = @_;
    my ($sent, $failed, $times) = (0, 0, 0);
    my $next = time() + 0.2;
    my @running;

    while ($sent < $n || @running) {
        while (@running < $connections && $sent < $n) {
            push @running, $t->start_chat(model => $models[$sent % 3],
                                          stream => $sent % 2,
                                          text => 'x' x ($sent % 400),
                                          sim => { words => 1 + $sent % 9 });
            $sent++;
        }

        Http::turn(0.05, @running);

        my @left;

        for my $exchange (@running) {
            if (!$exchange->{ended}) {
                push @left, $exchange;

            } elsif ($exchange->status != 200 || !$exchange->complete) {
                $failed++;
            }
        }

        @running = @left;

        if (time() >= $next) {
            $happens->(++$times);
            $next = time() + 1;
        }
    }

    return ($failed, $times);
}


sub counted {
    my $health = daemon('/health') or return { requests => -1 };
    return $health->{totals};
}


sub ledger { $t->cloud->ledger->{total} }


# the daemon dies, nginx reloads

my ($failed, $times) = load($requests, sub {
    my ($n) = @_;

    restart_daemon();
    kill 'HUP', $t->pid if $n % 2 == 0;
});

diag("$requests requests, the daemon was killed $times times");
cmp_ok($times, '>', 0, 'the daemon was killed');
is($failed, 0, '.. and no client noticed');

my $ledger = ledger();

is($ledger->{requests}, $requests, 'each request went to the cloud once');
eventually { counted()->{requests} >= $ledger->{requests} } 'all are counted',
           60;

my $totals = counted();

is($totals->{requests}, $ledger->{requests}, 'requests, exactly');
is($totals->{prompt_tokens}, $ledger->{prompt}, '.. their prompts');
is($totals->{completion_tokens}, $ledger->{completion}, '.. their answers');

my (%of_model, %of_key);

for my $row (@{ daemon('/stats?limit=10000') }) {
    $of_model{$row->{model}} += $row->{prompt_tokens}
                                + $row->{completion_tokens};
    $of_key{$row->{key_index}} += $row->{requests};
}

my (%want_model, %want_key);

for my $n (0 .. $#{ $t->{keys} }) {
    my $key = $t->cloud->ledger->{keys}{$t->{keys}[$n]} or next;

    $want_key{$n} = $key->{requests};
    $want_model{$_} += $key->{models}{$_}{prompt}
                       + $key->{models}{$_}{completion}
        for keys %{ $key->{models} };
}

is_deeply(\%of_model, \%want_model, 'tokens by model');
is_deeply(\%of_key, \%want_key, 'requests by key');

# every answer of the daemon agrees with itself

my $sum = sub {
    my ($uri, $field) = @_;
    my $n = 0;
    $n += $_->{$field} for @{ daemon($uri) };
    return $n;
};

is($sum->('/stats/24h', 'total_tokens'),
   $totals->{prompt_tokens} + $totals->{completion_tokens}, '24 h');
is($sum->("/stats/minute?window=1440&by=$_", 'requests'), $requests,
   "minutes by $_") for qw/ all key model client /;

# the proxy tells of its outbox once a second, to a new daemon as well

my $proxy;

poll { ($proxy) = grep { $_->{connected} && $_->{outbox} }
                  @{ daemon('/health')->{proxies} } } 'the outbox is told';
is($proxy->{outbox}{dropped_records}, 0, 'the outbox dropped no record');

# a worker dies

my $few = $requests / 5;
my $before = $totals;

$t->cloud->reset;
($failed, $times) = load($few, sub {
    my @workers = $t->workers;
    kill 'KILL', $workers[0] if @workers;
});

diag("$few requests, a worker was killed $times times, $failed failed");
cmp_ok($times, '>', 0, 'a worker was killed');

my $last = -1;

# until nothing more comes
poll {
    my $now = counted()->{requests};
    my $same = $now == $last;

    $last = $now;
    select undef, undef, undef, 0.5 unless $same;
    $same;
} 'the rest is counted', 30;

$ledger = ledger();

my $missing = $ledger->{requests} - ($last - $before->{requests});

cmp_ok($missing, '<=', $connections * $times,
       "missing: no more than was in flight ($missing)");
cmp_ok($missing, '>=', 0, '.. and nothing twice');

finish();
