# A request's id is given once, whatever was deleted and however often the
# daemon has ended; and no filter hides a row that is there.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Poll;
use Process;
use Schema;
use Statsd;
use Test::More;

my $day = 86400_000;
my @status = (200, 503, 429);

for my $again ('', 'stop', 'crash', 'gone') {
    nothing_left($again);
}
out_of_order();
late();
ahead();
older();
other_names();

done_testing();


# all rows age out, with a restart or without one; then the filters

sub nothing_left {
    my ($again) = @_;
    my $name = $again || 'no restart';
    my $s = Statsd->start;
    my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'team-a' } ]);
    my $old = int(time * 1000) - 40 * $day;
    my $seq = 0;

    # the answer of the first rows, before anything of it is too old
    for my $n (1 .. 30) {
        $f->request(seq => ++$seq, time => $old, status => $status[$n % 3],
                    model => 'm' . $n % 5, client => '10.0.0.' . $n % 7,
                    client_name => 'anna', key => 'a1b2c3d4');
    }
    $f->acked($seq);
    eventually { !@{ $s->json('/queries') } } "$name: all rows age out", 20;

    my $cursor = last_id($s);
    is($cursor, $seq, '.. which a live page knows by their last id');
    my $next = 31;

    if ($again eq 'gone') {
        unlink glob $s->dir . '/usage.db*';
    } elsif ($again eq 'stop') {
        $s->stop;
        $s->launch;
    } elsif ($again eq 'crash') {
        $s->crash;
    }
    $f->connect;

    $f->request(seq => $seq + 1, status => 503, model => 'm3', end => 0,
                client => '10.0.0.3', client_name => 'anna',
                key => 'a1b2c3d4', attempts => [
                    { key => 'a1b2c3d4', status => 429 },
                    { key => 'a1b2c3d4', status => 503 } ]);
    $f->acked($seq + 1);

    my $rows = $s->json('/queries');
    is($rows->[0]{id}, $next, "$name: a new row has the next id");
    is(last_id($s), $next, '.. which live pages hear');

    my $soon = iso(time + 60);
    for my $filter (qw/ status=error status=503 status=5xx status=retried
                        model=m3 client=10.0.0.3 client=anna ip=10.0.0.3
                        key=team-a key=a1b2c3d4 after=30 before=32
                        model=m3&status=error&client=anna&key=team-a /,
                    "until=$soon", "until=$soon&status=error") {
        for my $limit (1, 50) {
            is(ids($s, "$filter&limit=$limit"), $next, "$filter of $limit");
        }
    }
    is(resumed($s, "$cursor.0"), $next, "a page that was told $cursor");
    ok($s->stop == 0, 'a clean end');
}


# rows come in another order than that of their age: the newest combos have no
# row any more, the others have

sub out_of_order {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $now = int(time * 1000);
    my $seq = 0;

    $f->request(seq => ++$seq, time => $now, model => 'kept', status => 500,
                client => '10.1.1.1');
    for my $n (1 .. 60) {
        $f->request(seq => ++$seq, time => $now - 40 * $day, status => 500,
                    model => "late-$n", client => '10.1.1.1');
    }
    $f->acked($seq);
    eventually { @{ $s->json('/queries?limit=100') } == 1 }
               'late ones age out before one with a lower id', 20;
    for my $filter (qw/ status=error status=500 client=10.1.1.1 /) {
        is(ids($s, "$filter&limit=1"), 1, "$filter finds it");
    }
}


# an outbox that was full for hours comes behind younger records

sub late {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $now = int(time * 1000);
    my $hour = 3600_000;

    for my $n (1 .. 10) {
        $f->request(seq => $n, time => $now - 10 * $hour + $n * $hour / 2,
                    model => 'a', total => 10);
    }
    $f->acked(10);

    my $g = $s->frames(instance => 'b');
    for my $n (1 .. 10) {
        $g->request(seq => $n, time => $now - 10 * $hour + $n * $hour / 2,
                    model => 'b', total => 10);
    }
    $g->acked(10);

    my $until = iso(int(($now - 8 * $hour) / 1000) + 60);
    is(ids($s, "until=$until"), '14 13 12 11 4 3 2 1',
       'until: those of both that had ended');
    is(ids($s, "until=$until&model=a"), '4 3 2 1', '.. with another filter');
    is(ids($s, "until=$until&status=200&limit=2&offset=3"), '11 4',
       '.. page by page');
    is(ids($s, "until=$until&before=13&after=2"), '12 11 4 3', '.. of a span');
    is(ids($s, 'until=' . iso(int($now / 1000) - 100 * 3600)), '',
       '.. none had');

    # one that ran for long began before
    $f->request(seq => 11, time => $now - 9 * $hour, total => 5 * $hour);
    $f->acked(11);
    is(ids($s, "until=$until"), '14 13 12 11 4 3 2 1', 'it counts when it ends');
    is(ids($s, 'until=' . iso(int($now / 1000) + 60) . '&limit=1'), 21,
       '.. and not before');
}


# some rows were written while the clock was ahead

sub ahead {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $now = int(time * 1000);

    $f->request(seq => $_, time => $now - 1000 * (100 - $_)) for 1 .. 40;
    $f->acked(40);
    $s->stop;
    sql($s, 'UPDATE request SET time = time + 40 * 86400000'
            . ' WHERE id BETWEEN 11 AND 30');
    $s->launch;
    is(ids($s, 'until=' . iso(int($now / 1000) + 60) . '&limit=3'), '40 39 38',
       'rows of a time to come hide none behind them');
}


# a ledger whose ids began anew: what an older version left

sub older {
    my $s = Statsd->start;
    my $f = $s->frames;

    $f->request(seq => 1, count => 50, status => 503, model => 'x');
    $f->acked(50);
    $f->request(seq => 51, status => 503, model => 'y');
    $f->acked(51);
    $s->stop;
    sql($s, 'DELETE FROM request WHERE id <= 50;'
            . ' UPDATE request SET id = 1; UPDATE combo SET last = 1 WHERE'
            . ' last = 51; DELETE FROM given; ' . Schema::back(4));
    $s->launch;
    is(ids($s, 'status=error&limit=1'), 1, 'an older ledger hides none');
    is(ids($s, 'until=' . iso(time + 60)), 1, '.. nor by the time');
    $f->connect;
    $f->request(seq => 52, status => 503, model => 'z');
    $f->acked(52);
    is(ids($s, 'status=error'), '51 1', '.. and gives no id twice');
}


# names that are summed up as "(other)" are those of the rows, all the same

sub other_names {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $seq = 0;

    for my $n (0 .. 1199) {
        $f->request(seq => ++$seq, id => $seq, status => 404,
                    model => "nobody-$n", client => '10.2.0.' . $n % 100);
    }
    $f->request(seq => ++$seq, id => $seq, status => 404, model => 'unheard-of',
                client => '10.2.1.1', key => 'a1b2c3d4');
    $f->request(seq => ++$seq, id => $seq, status => 404, model => 'unheard-of',
                client => '10.2.1.2');
    $f->acked($seq);

    my ($row) = @{ $s->json('/queries?limit=1') };
    is($row->{model}, 'unheard-of', 'the row has its name');
    is($s->json('/stats?by=all&limit=10000')->[0]{model}, '(other)',
       '.. the sum has none');
    is(ids($s, 'model=unheard-of'), '1202 1201', '.. and it is found');
    is(ids($s, 'model=unheard-of&client=10.2.1.1'), '1201', '.. with a client');
    is(ids($s, 'model=unheard-of&key=a1b2c3d4'), '1201', '.. with a key');
    is(ids($s, 'model=unheard-of&status=error&limit=1'), '1202',
       '.. with a status');
    is(ids($s, 'model=unheard-of&status=200'), '', '.. and not with another');
    is(ids($s, 'model=unheard-of&before=1202'), '1201', '.. before another');
    is(ids($s, 'model=unheard-of&until=' . iso(time + 60)), '1202 1201',
       '.. with a time');
    is(ids($s, 'model=(other)&limit=1'), '1202', '.. as one of the others, too');
}


sub ids {
    my ($s, $filter) = @_;
    return join ' ', map { $_->{id} } @{ $s->json("/queries?$filter") };
}


sub last_id {
    my ($s) = @_;
    return events($s, '', qr/"last_id":(\d+)/);
}


# the newest request that a page hears of when it comes back

sub resumed {
    my ($s, $last) = @_;
    return events($s, $last, qr/event: queries.*?"id":(\d+)/s);
}


sub events {
    my ($s, $last, $wanted) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $s->path('http')) or die;
    my ($got, $until) = ('', time + 10);

    print $socket "GET /events HTTP/1.1\r\nHost: localhost\r\n",
                  $last ? "Last-Event-ID: $last\r\n" : '', "\r\n";
    $socket->flush;
    while (time < $until && $got !~ $wanted) {
        my $in = '';
        vec($in, fileno $socket, 1) = 1;
        next unless select $in, undef, undef, 0.5;
        last unless sysread $socket, $got, 65536, length $got;
    }
    return $got =~ $wanted ? $1 : undef;
}


sub sql {
    my ($s, $statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $statements ]);

    die "$statements: $said\n" if $code;
    return $said =~ s/\n\z//r;
}


sub iso {
    my @t = gmtime $_[0];
    return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1,
                   @t[3, 2, 1, 0];
}
