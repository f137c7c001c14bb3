#!/usr/bin/perl

# Sums by ten minutes, hours and days: whatever time is asked for, they are those
# of the requests' rows, as long as there is something that fine; later what is
# coarser answers, and nothing is left out.  Each level goes when its time is
# over, and a name with the last of its hours.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use List::Util qw/ sum0 /;
use POSIX qw/ strftime /;
use Poll;
use Process;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $minute = 60_000;
my $hour = 60 * $minute;
my $day = 24 * $hour;
my $clocks = Clocks->new;
my $seed = $ENV{SEED} // int(time);

note("SEED=$seed");
srand $seed;

my $s = Statsd->start(env => $clocks->env);
my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'here' } ]);
my ($seq, @rows) = (0);

at_random();
as_they_grow_old();
limits();

done_testing();


sub now { return int(time * 1000) + 1000 * $clocks->{day} }


# requests of some days in no order, many of them late

sub at_random {
    my $now = now();

    for my $n (1 .. 600) {
        my $ago = $n % 3 ? rand 40 * $hour : rand 5 * $day;

        put($now - int $ago);
    }
    put($now) for 1 .. 5;
    ok($f->acked($seq), 'requests of some days');
    same('as they came');

    eventually { bound(4) > $now / $minute - 30 } 'they are rolled up', 20;
    is(sql('SELECT count(DISTINCT kind / 4) FROM usage_sum'), 3,
       '.. to three levels');
    is(sql('SELECT count(*) FROM (SELECT sum(requests) AS n FROM usage_sum'
           . ' GROUP BY kind) GROUP BY n'), 12, '.. each with the same');
    same('rolled up');

    put($now - int rand 30 * $hour) for 1 .. 50;
    ok($f->acked($seq), 'late ones');
    same('with late ones');

    $s->crash;
    $f->connect;
    put($now);
    $f->acked($seq);
    same('after a crash');
}


# the answers, and what the rows say

sub same {
    my ($when) = @_;
    my (@wrong, $n);
    my $now = now();
    my $least = $minute * (bound(0) || int(($now - 6 * $day) / $minute));

    for (1 .. 60) {
        my $from = $least + int rand($now - $least);
        my $to = $from + int rand(rand() < 0.5 ? 3 * $hour : 3 * $day);

        $_ -= $_ % ($minute, $minute, 10 * $minute, $hour)[rand 4] for $from, $to;
        $to = $from + $minute if $to <= $from;
        my $by = (qw/ model key client hour /)[rand 4];
        my $range = "from=${\ iso($from)}&to=${\ iso($to)}";
        my $got = words($s->json("/stats?by=$by&$range"), $by);
        my $wanted = rows($by, $from, $to);

        $n++;
        next if $got eq $wanted;
        # retention may have come meanwhile
        next if $from < $minute * bound(0);
        push @wrong, "$by $range: $got instead of $wanted";
    }
    for my $by (qw/ model key client hour /) {
        my $got = words($s->json("/stats?by=$by"), $by);
        my $wanted = rows($by, 0, 1e15);

        push @wrong, "$by: $got instead of $wanted" if $got ne $wanted;
    }

    # by steps
    for my $step (1, 2, 5, 10, 20, 30, 60) {
        my $window = 100 + int rand 1300;
        my $first = int(now() / $minute) - $window + 1;

        $first -= $first % $step;
        my $all = sum0 map { $_->{requests} }
            @{ $s->json("/stats/minute?by=all&window=$window&step=$step") };
        my $wanted = grep { $_->{time} >= $first * $minute } @rows;

        push @wrong, "step $step: $all instead of $wanted" if $all != $wanted;
    }
    my %hours;
    $hours{ iso($_->{time} - $_->{time} % $hour) }++ for @rows;
    for (@{ $s->json('/stats/24h?hours=130') }) {
        my $wanted = $hours{ $_->{hour_bucket} } // 0;

        push @wrong, "$_->{hour_bucket}: $_->{requests} instead of $wanted"
            if $_->{requests} != $wanted;
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply(\@wrong, [], "$when: $n questions at random");
}


# a clock that goes on, by days

sub as_they_grow_old {
    my $all = @rows;

    for my $age (3, 10, 20, 100) {
        later($age);
        my $now = now();

        put($now, 'today', '10.2.0.1');
        $f->acked($seq);
        $all++;
        eventually { oldest(0) >= $now - 49 * $hour } "$age days: minutes of 48 h",
                   30;
        eventually { oldest(1) >= $now - 14 * $day - $hour }
                   '.. tens of 14 days', 30;
        is(total('/stats?by=model'), $all, '.. no request is forgotten');
        is(total('/stats?by=hour'), $all, '.. by hour neither');
        is(total('/stats?by=client&from=2001-01-01'), $all, '.. nor with bounds');
        is(total('/stats/24h?hours=744') >= 1, 1, '.. hours of a month');
    }
    is(sql('SELECT count(*) FROM usage_hour WHERE hour < '
           . int((now() - 32 * $day) / $hour)), 0, 'hours by all of 31 days');
    is(sql('SELECT min(time) FROM usage_sum WHERE kind = 8'),
       int($rows[0]{least} / $hour), 'hours of 400');

    # a bound that nothing is fine enough for takes what lies across it, whole
    my ($time) = sql('SELECT time FROM usage_sum WHERE kind = 8 LIMIT 1');
    my $there = sql("SELECT requests FROM usage_sum WHERE kind = 8 AND time = $time");

    is(total('/stats?by=model&from=' . iso($time * $hour + 20 * $minute) . '&to='
             . iso($time * $hour + 21 * $minute)), $there,
       'a minute of then is its hour');

    # in the end days only: those of names are the others'
    later(300);
    put(now(), 'today', '10.2.0.1');
    $f->acked($seq);
    $all++;
    eventually { sql('SELECT min(time) FROM usage_sum WHERE kind = 8')
                 > int($rows[0]{least} / $hour) } 'hours go', 60;
    eventually { join(' ', sort map { $_->{model} }
                           @{ $s->json('/stats?by=model') }) eq '(other) today' }
               '.. and names with them', 60;
    is(join(' ', sort map { $_->{client_ip} } @{ $s->json('/stats?by=client') }),
       '(other) 10.2.0.1', '.. of clients, too');
    is((grep { ($_->{key_fingerprint} // '') eq 'a1b2c3d4' }
             @{ $s->json('/stats?by=key') })[0]{key}, 'here', '.. not of keys');
    is((map { $_->{key_name} // $_->{key} } grep { ($_->{key_fingerprint} // '')
                                               eq 'b1b2c3d4' }
             @{ $s->json('/stats?by=key') }) ? 1 : 0, 1,
       '.. even of one that is gone');
    is(total("/stats?by=$_"), $all, ".. each is counted by $_")
        for qw/ model client key hour /;
    is($s->health->{totals}{requests}, $all, '.. as the total is');
    is(sql('SELECT sum(requests) FROM usage_sum WHERE kind = 12')
       + sql('SELECT coalesce(sum(requests), 0) FROM usage_minute WHERE kind = 0'
             . ' AND minute >= (SELECT minute FROM usage_bound WHERE id = 4)'),
       $all, '.. in days for ever');
}


# ages of statsd.conf; coarser sums are never younger than finer ones

sub limits {
    for my $case ([ "minute_age 6h\nten_age 12h\nhour_age 2d\nday_age 3d\n",
                    [ 6 * $hour, 12 * $hour, 2 * $day, 3 * $day ] ],
                  [ "minute_age 1s\n", [ 121 * $minute, 14 * $day, 400 * $day ] ],
                  [ "hour_age 5d\n", [ 2 * $day, 5 * $day, 5 * $day ] ],
                  [ "minute_age 20d\nhour_age 10d\n",
                    [ 20 * $day, 20 * $day, 20 * $day ] ]) {
        my ($config, $ages) = @$case;
        my $d = Statsd->start(config => $config);
        my $g = $d->frames;
        my $now = int(time * 1000);
        my $n = 0;

        for my $ago (sort { $b <=> $a } map { ($_ + 2 * $day, $_ - $hour) }
                     @$ages) {
            $g->request(seq => ++$n, time => $now - $ago, model => 'm');
        }
        $g->request(seq => ++$n, time => $now, model => 'm');
        $g->acked($n);
        for my $level (0 .. $#$ages) {
            my $unit = ($minute, 10 * $minute, $hour, $day)[$level];
            my $sql = $level ? 'SELECT min(time) FROM usage_sum WHERE kind = '
                               . 4 * $level
                    : 'SELECT min(minute) FROM usage_minute WHERE kind = 0';
            my $age = $ages->[$level];

            eventually {
                my $least = $unit * (Process::run([ Statsd::tool('sql'), $d->dir
                                                    . '/usage.db', $sql ]))[1];

                return $least >= $now - $age - $unit
                       && $least <= $now - $age + $hour;
            } "level $level with " . $config =~ s/\n/ /gr, 20;
        }
        $d->stop;
    }
}


sub put {
    my ($time, $model, $client) = @_;
    my %row = (time => $time, model => $model // 'm' . int rand 4,
               client => $client // '10.1.0.' . int rand 6,
               key => (qw/ a1b2c3d4 b1b2c3d4 /)[rand 2], prompt => int rand 100);

    $f->request(seq => ++$seq, completion => 1, %row);
    push @rows, \%row;
    $rows[0]{least} = $time if $time < ($rows[0]{least} // 1e15);
}


# what a question gives: name=requests/tokens

sub words {
    my ($list, $by) = @_;
    my $name = { model => 'model', client => 'client_ip', hour => 'bucket',
                 key => 'key_fingerprint' }->{$by};

    return join ' ', sort map { "$_->{$name}=$_->{requests}/$_->{prompt_tokens}" }
                          @$list;
}


sub rows {
    my ($by, $from, $to) = @_;
    my %sum;

    for my $row (grep { $_->{time} >= $from && $_->{time} < $to } @rows) {
        my $name = $by eq 'hour' ? iso($row->{time} - $row->{time} % $hour)
                                 : $row->{$by};

        $sum{$name}[0]++;
        $sum{$name}[1] += $row->{prompt};
    }
    return join ' ', sort map { "$_=$sum{$_}[0]/$sum{$_}[1]" } keys %sum;
}


sub later {
    my ($days) = @_;

    $clocks->pass($days * 86400);
    $clocks->pass(3700);
    sleep 2;
    $f->connect;
}


sub total { return sum0 map { $_->{requests} } @{ $s->json($_[0]) } }

sub iso { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($_[0] / 1000)) }

sub bound { return sql("SELECT minute FROM usage_bound WHERE id = $_[0]") }

sub oldest {
    my ($level) = @_;
    my $time = $level
        ? sql('SELECT min(time) FROM usage_sum WHERE kind = ' . 4 * $level)
        : sql('SELECT min(minute) FROM usage_minute WHERE kind = 0');

    return 9e15 if $time eq ''; # none is left
    return $time * ($minute, 10 * $minute, $hour, $day)[$level];
}


sub sql {
    my ($statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $statements ]);

    die "$statements: $said\n" if $code;
    return $said =~ s/\n\z//r;
}
