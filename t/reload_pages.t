#!/usr/bin/perl

# A reload cuts no answer of the daemon: the worker that goes stays until it has
# sent what it began. See WRITE_AT_MOST in stats-daemon/web/http_conns.c.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $t = Proxy->new(daemon => 1, workers => 2, log => 'notice')->run;
my $s = bless { dir => $t->dir }, 'Statsd';

no warnings 'redefine';
*Statsd::path = sub { $t->dir . "/$_[1].sock" };
use warnings 'redefine';

my $f = $s->frames(instance => 'feed', proxy => 'test');

$f->request(seq => 1, count => 3000, clients => 20, models => 3);
ok($f->acked(3000, 60_000), 'a ledger');

my $page = '/queries?limit=500';
my $length = length $t->get($page)->body;

cmp_ok($length, '>', 200_000, 'a long page');

my ($reloads, $pages, $next) = (0, 0, 0);
my %seen;

while ($reloads < 40) {
    if (time() >= $next) {
        kill 'HUP', $t->pid;
        $reloads++;
        $next = time() + 0.15;
    }

    for my $exchange (map { $t->start('GET', $page) } 1 .. 4) {
        Http::finish($exchange);
        $pages++;
        $seen{$exchange->complete && length $exchange->body == $length
              ? 'whole' : length($exchange->raw) . ' bytes'}++;
    }
}

is_deeply(\%seen, { whole => $pages }, "each of $pages pages came whole");
unlike($t->log, qr/open socket/, 'no worker left one behind');

finish();
