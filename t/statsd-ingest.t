# What comes in is counted once: however often it is sent, and whatever
# happens to the daemon meanwhile.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $s = Statsd->start;
my $keys = [ { key => 'a1b2c3d4', name => 'team-a', account => 'alice' },
             { key => '00000b0b', name => 'team-b' } ];
my $f = $s->frames(instance => 'abc', keys => $keys);

is($f->welcome, 0, 'a new instance begins with nothing');

$f->request(seq => 1, key => 'a1b2c3d4', prompt => 10, completion => 5,
            cached => 3);
ok($f->acked(1), 'a request is acknowledged');

is_deeply(totals(), [ 1, 10, 5, 3 ], '.. and counted');
is($s->json('/stats')->[0]{key}, 'team-a', '.. with the name of its key');
is($s->json('/stats')->[0]{key_index}, 0, '.. and the key\'s position');

# the same again, and out of order

$f->request(seq => 1, prompt => 10, completion => 5);
$f->request(seq => 2, key => '00000b0b', prompt => 100);
$f->request(seq => 1, count => 2, prompt => 10);
ok($f->acked(2), 'what is new among the old is acknowledged');
is_deeply(totals(), [ 2, 110, 5, 3 ], 'what was sent again is not counted');
is($s->health->{proxies}[0]{duplicates}, 3, '.. but is seen');

# another instance has numbers of its own; two connections of one share them

my $g = $s->frames(instance => 'def');
$g->request(seq => 1, prompt => 1000);
ok($g->acked(1), 'another instance counts for itself');
is_deeply(totals(), [ 3, 1110, 5, 3 ], '.. with the same numbers');

my $h = $s->frames(instance => 'abc', keys => $keys);
is($h->welcome, 2, 'a second connection hears what is committed');
$h->request(seq => 2, count => 2, prompt => 1);
ok($h->acked(3), 'and goes on from there');
ok($f->acked(3), 'the first one hears of it too');
is_deeply(totals(), [ 4, 1111, 5, 3 ], 'each number once');

# numbers that never come

$f->request(seq => 10, prompt => 1);
ok($f->acked(10), 'a gap is no obstacle');
is($s->health->{proxies}[-1]{missing} + $s->health->{proxies}[0]{missing}, 6,
   '.. and is counted');

# .. but what an older ledger got is not missing in a new one

my $old = $s->frames(instance => '77');
$old->request(seq => 1000, prompt => 1);
ok($old->acked(1000), 'a proxy that had another ledger before');
is(proxy('77')->{missing}, 0, '.. is not accused of gaps');

# kill -9 in the middle of the stream, again and again

is(proxy('abc')->{committed}, 10, 'committed so far');

my $seq = 10;
my $before = totals();

for my $round (1 .. 5) {
    # no acknowledgement is waited for: some of these are lost on the way
    $f->request(seq => $seq + 1, count => 3000, prompt => 3, completion => 2);
    select undef, undef, undef, 0.03 * $round;

    $s->crash;
    ok($f->connect, "round $round: connected again");

    my $last = $f->welcome;
    cmp_ok($last, '<=', $seq + 3000, '.. nothing is invented');
    cmp_ok($last, '>=', $seq, '.. nothing committed is forgotten');

    $f->request(seq => $last + 1, count => $seq + 3000 - $last, prompt => 3,
                completion => 2) if $last < $seq + 3000;
    $seq += 3000;
    ok($f->acked($seq), '.. the rest was sent again');

    is_deeply(totals(), [ $before->[0] + 3000 * $round,
                          $before->[1] + 9000 * $round,
                          $before->[2] + 6000 * $round, 3 ],
              '.. each counted once');
}

# sums of all kinds agree

is(sum('/stats?limit=10000', 'requests'), totals()->[0], 'the sums by hour');
is(sum('/stats/24h', 'prompt_tokens'), totals()->[1], '.. by 24 h');
is(sum('/stats/minute?window=1440&by=model', 'total_tokens'),
   totals()->[1] + totals()->[2], '.. by minute and model');
is(sum('/stats/minute?window=1440&by=key', 'requests'), totals()->[0],
   '.. by minute and key');
is(sum('/stats/minute?window=1440&by=client', 'requests'), totals()->[0],
   '.. by minute and client');
is(sum('/stats/minute?window=1440&by=all&step=60', 'requests'), totals()->[0],
   '.. by hours of minutes');

# damaged frames

my $log = length $s->output;
$before = totals();

for my $what (qw/ payload header length cut version /) {
    $f->damage($what);
    $f->request(seq => ++$seq, prompt => 1000000);
    $f->request(seq => ++$seq, prompt => 1);
    ok($f->acked($seq), "$what damaged: the next frame is taken");
    $before->[0]++;
    $before->[1]++;
    is_deeply(totals(), $before, '.. and only that one');
}

my $ingest = $s->health->{ingest};
cmp_ok($ingest->{damaged}, '>=', 4, 'damage is counted');
is($ingest->{foreign}, 1, 'another version is counted');
like(substr($s->output, $log), qr/damaged frame/, '.. and said in the log');
like(substr($s->output, $log), qr/version 3.*knows them up to version 2/,
     '.. with the versions');

# well sealed, but not what it says: acknowledged, counted, left out

for my $what (qw/ content type /) {
    $f->damage($what);
    $f->request(seq => ++$seq, prompt => 1000000);
    ok($f->acked($seq), "wrong $what: acknowledged");
}

is_deeply(totals(), $before, '.. and not counted');
is($s->health->{store}{malformed}, 2, '.. but noted');

# what is no frame at all

my $x = $s->frames(hello => 0);
$x->do('raw', hex => '474554202f20485454502f312e310d0a0d0a');
ok($x->closed, 'HTTP on the ingest socket is refused');

$x->connect;
$x->request(seq => 1);
ok($x->closed, 'a request before HELLO is refused');

ok($f->request(seq => ++$seq) && $f->acked($seq), 'others do not notice');

# the state that a cold nginx gets

my $now = int(time() * 1000);

$f->penalty(seq => ++$seq, key => 'a1b2c3d4', until => $now + 600_000,
            status => 'exhausted', reason => 'session usage limit', level => 3,
            state => 2, extra => 99, max_concurrent => 3, time => $now);
$f->penalty(seq => ++$seq, key => 'a1b2c3d4', model => 'big',
            until => $now + 600_000, status => 'blocked');
$f->penalty(seq => ++$seq, key => '00000b0b', until => $now + 600_000);
$f->penalty(seq => ++$seq, key => '00000b0b', until => 0, status => 'ok');
$f->penalty(seq => ++$seq, key => '00000b0b', model => 'old',
            until => $now - 1000);
ok($f->acked($seq), 'penalties are records');

$s->crash;
$f->connect;

my %penalty = map { $_->{model} => $_ } $f->seen('penalty');

is_deeply([ sort keys %penalty ], [ '', 'big' ],
          'those that stand come back, lifted and ended ones do not');
is($penalty{''}{key}, 'a1b2c3d4', '.. the key');
is($penalty{''}{until}, $now + 600_000, '.. the deadline');
is($penalty{''}{level}, 3, '.. the level');
is($penalty{''}{state}, 2, '.. the state');
is($penalty{''}{extra}, 99, '.. what the module keeps in it');
is($penalty{''}{max_concurrent}, 3, '.. the slots');
is($penalty{''}{reason}, 'session usage limit', '.. the reason');
is(scalar @{ $s->json('/stats/events') }, 5, 'all changes are history');

my %usage = map { my $u = $_; my $n = 0; $n += $_->[1] for @{ $u->{minutes} };
                  ($u->{key} => $n) } $f->seen('usage');

is($usage{'a1b2c3d4'}, 15, 'usage of the last 2 h by key');
is($usage{'00000b0b'}, 100, '.. of each');

# old requests are not in the window

$f->request(seq => ++$seq, key => 'a1b2c3d4', prompt => 777,
            time => $now - 3 * 3600 * 1000);
$f->acked($seq);
$f->connect;
%usage = map { $_->{key} => $_ } $f->seen('usage');
ok(!grep({ $_->[1] == 777 } @{ $usage{'a1b2c3d4'}{minutes} }),
   'what is older than 2 h is not in it');

# keys that are no longer configured keep their history, without a position

$g = $s->frames(instance => 'fed', keys => [ $keys->[1] ]);
$g->request(seq => 1, key => '00000b0b');
$g->acked(1);

my %index = map { ($_->{key} // '') => $_->{key_index} }
                @{ $s->json('/stats') };
is($index{'team-b'}, 0, 'a key that moved up');
is($index{'team-a'}, undef, 'a key that is gone');

done_testing();


sub totals {
    my $t = $s->health->{totals};
    return [ @$t{qw/ requests prompt_tokens completion_tokens
                     cached_tokens /} ];
}


sub sum {
    my ($uri, $field) = @_;
    my $n = 0;

    $n += $_->{$field} for @{ $s->json($uri) };

    return $n;
}


sub proxy {
    my ($instance) = @_;
    return (grep { $_->{instance} =~ /0$instance$/ }
                 @{ $s->health->{proxies} })[0];
}
