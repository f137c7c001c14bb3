#!/usr/bin/perl

# A clock that is wrong, for seconds or for good: nothing is lost for it, and
# nothing is kept for ever.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use Poll;
use Statsd;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $day = 86400;
my $clocks = Clocks->new;
my $s = Statsd->start(env => $clocks->env);
my $f = $s->frames;
my $seq = 0;


# so many requests whose clients' clocks are as ours

sub requests {
    my ($n, %more) = @_;
    my $at = time() + $clocks->{day} - ($more{age} // 0);

    $f->request(seq => $seq + 1, id => $seq + 1, count => $n, prompt => 1,
                model => 'm', time => int($at * 1000), %more);
    $seq += $n;
    return $f->acked($seq);
}


sub rows {
    my ($n, $page) = 0;

    do {
        $page = @{ $s->json("/queries?limit=500&offset=$n") };
        $n += $page;
    } while ($page);

    return $n;
}

sub sums {
    my ($by) = @_;
    my $n = 0;

    $n += $_->{requests} for @{ $s->json('/stats?limit=10000') };
    return $n;
}

sub jumped { $s->health->{clock}{jump_seconds} != 0 }


# a time in which retention has its turns

sub turns {
    my $before = time();

    poll { time() > $before + 2.2 } 'two seconds', 10;
}


ok(requests(600, age => 20 * $day), 'requests of 20 days ago');
ok(requests(600), '.. and of today');
$f->penalty(seq => ++$seq, key => 'a1b2c3d4', state => 'exhausted',
            time => int(time() * 1000), until => int((time() + $day) * 1000));
ok($f->acked($seq), 'and a key that is exhausted for a day');

my $sums = sums();

for my $jump (40, -400) {
    my $before = rows();

    $clocks->day($jump * $day);
    turns();
    ok(jumped(), "$jump days: the jump is shown");
    like("@{ $s->health->{problems} }", qr/clock/, 'as a problem');
    is(rows(), $before, 'no row is gone');
    is(sums(), $sums, 'nor sum');
    ok(requests(10), 'requests are taken');
    $sums += 10;
    turns();
    is(rows(), $before + 10, 'and kept');

    $clocks->day(0);
    turns();
    ok(!jumped(), 'the jump is over');
    unlike("@{ $s->health->{problems} }", qr/clock/, 'and so is the problem');
    is(sums(), $sums, 'all sums are there');
}

# what had been acknowledged before is known as such

my $repeated = $s->health->{store}{repeated};

$f->request(seq => 1, id => 1, model => 'm', count => 10);
$f->request(seq => $seq + 1, id => 100_000, model => 'after');
ok($f->acked(++$seq), 'ten requests again, and a new one');
is($s->health->{totals}{requests}, $seq - 1, 'counted once');

# wrong at a start, and over several

$sums++;

for my $jump (40, -40) {
    my $before = rows();

    $s->stop;
    $clocks->day($jump * $day);
    $s->launch;
    $f->connect;
    turns();
    is(rows(), $before, "a start $jump days off: no row is gone");
    is(sums(), $sums, 'nor sum');
    ok(jumped(), 'it is shown');
    $s->stop;
    $s->launch;
    $f->connect;
    turns();
    is(rows(), $before, 'nor behind a second start');
    $s->stop;
    $clocks->day(0);
    $s->launch;
    $f->connect;
    ok(!jumped(), 'until the clock is right');
}

# one that stays is believed after an hour

my $before = rows();

$clocks->day(20 * $day);
turns();
is(rows(), $before, '20 days more');
$clocks->pass(59 * 60);
turns();
is(rows(), $before, '.. for nearly an hour');
$clocks->pass(2 * 60);
eventually { rows() < $before - 550 } '.. and more: rows of 40 days go', 20;
ok(!jumped(), 'it is no jump any more');

# rows from the future are no obstacle to those behind them

$s->stop;
$clocks = Clocks->new;
$s = Statsd->start(env => $clocks->env, config => "row_age 5m\n");
$f = $s->frames;
$seq = 0;

$clocks->day(300 * $day);
ok(requests(1200), 'rows from the future');
$clocks->day(0);
ok(requests(700), 'and of now');
is(rows(), 1900, 'are there');
$clocks->pass(6 * 60);
eventually { rows() == 0 } 'they grow old together', 20;
is($s->health->{totals}{requests}, 1900, 'and none is forgotten');

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();
