#!/usr/bin/perl

# The power fails again and again: no record that was acknowledged is missing,
# none is there twice, and no row names a body that is not there.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use PowerCut;
use Statsd;
use Test::More;

my $seed = $ENV{SEED} // time;
my $rounds = $ENV{ROUNDS} // 12;

note("SEED=$seed");
srand $seed;

my @chance = map { [ rand, rand ] } 1 .. $rounds;
my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $cut = PowerCut->new($dir);
my $s;
my ($seq, $acked) = (0, 0);

for my $round (1 .. $rounds) {
    my ($stop, $when) = @{ $chance[$round - 1] };

    $cut->safe;
    $s //= Statsd->start(dir => $dir, env => $cut->env);

    if ($round > 1) {
        $s->{env} = $cut->env;
        $s->launch;
    }

    my $f = $s->frames(instance => 'cafe');

    # what it has lost, the proxy sends once more: maybe a body without record
    $seq = $f->welcome;
    request($f, $seq) if $seq % 2;

    my $until = $seq + 400 + int(1200 * $when);

    while ($seq < $until) {
        for (1 .. 20) {
            my $id = ++$seq;
            $f->body(seq => $id, id => $id, data => qq({"row":"row-$id"}));
            request($f, $id);
        }
    }

    # in the midst of it, or after a clean end
    if ($stop < 0.7) {
        $f->acked($seq - int(600 * $stop));
        $s->{process}->stop('KILL');
    } else {
        $f->acked($seq);
        $s->stop;
    }
    $acked = max($acked, map { $_->{seq} } $f->seen('ack'));
    $cut->fail($seed + $round);

    $s->{env} = undef;
    $s->launch;
    $f->connect;

    cmp_ok($f->welcome, '>=', $acked,
           "round $round: the numbers are as far as was acknowledged");

    my $rows = sql('SELECT count(*), count(DISTINCT rid) FROM request');
    my ($all, $distinct) = split /\t/, $rows;
    my $due = int($f->welcome / 2);

    is($all, $due, '.. and so are the records');
    is($distinct, $due, '.. each once');
    is($s->health->{totals}{prompt_tokens}, $due, '.. in the sums, too');
    is(missing_bodies(), 0, '.. each with its body');
    is(scalar(() = glob $s->dir . '/*damaged*'), 0, '.. undamaged');
    $s->stop;
}

done_testing();


sub request {
    my ($f, $id) = @_;

    $f->request(seq => ++$seq, id => $id, model => "row-$id", prompt => 1,
                has_body => 1);
}


# bodies that a row names, and that are not what was sent

sub missing_bodies {
    my $wrong = 0;

    for (split /\n/, sql('SELECT r.id, r.rid FROM request r JOIN body b'
                         . ' ON b.instance = r.instance AND b.rid = r.rid'
                         . ' ORDER BY r.id DESC LIMIT 800')) {
        my ($id, $rid) = split /\t/;

        $wrong++ if $s->get("/queries/$id/body")->{body}
                    ne qq({"row":"row-$rid"});
    }

    return $wrong;
}


sub sql {
    my ($statement) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $statement ]);

    die "$statement: $said\n" if $code;

    return $said =~ s/\n\z//r;
}


sub max {
    my ($max, @others) = @_;

    for (@others) { $max = $_ if $_ > $max }

    return $max;
}
