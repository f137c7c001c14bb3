# What it gives to keep conversations with their accounts: shares of cached
# tokens, and whether their difference says anything.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw/ strftime /;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my ($new, $kept, $moved) = 1 .. 3;
my $s = Statsd->start;
my $f = $s->frames(keys => [ { key => 'a0000001', name => 'team-a' } ]);
my $seq = 0;


sub turns {
    my ($n, %r) = @_;

    $f->request(seq => $seq + 1, count => $n, key => 'a0000001', prompt => 1000,
                completion => 10, cost => 5000, cached_saves => 136, %r);
    $seq += $n;
}


sub told {
    my ($model, $query) = @_;
    my $all = $s->json('/stats/affinity' . ($query // ''));

    return $all unless defined $model;
    return (grep { $_->{model} eq $model } @{ $all->{models} })[0];
}


is_deeply(told()->{models}, [], 'nothing yet');
is(told()->{saved_usd}, undef, '.. is not 0');

# clearly better: 90 % against 10 %, with some spread

for my $share (85, 90, 95) {
    turns(20, model => 'good', affinity => $kept, cached => 10 * $share);
    turns(20, model => 'good', affinity => $moved, cached => 10 * (100 - $share));
}
turns(30, model => 'good', affinity => $new, cached => 0);
$f->acked($seq);

my $good = told('good');

is_deeply($good->{kept}, { turns => 60, prompt_tokens => 60_000,
                           cached_tokens => 54_000, cached_share => 0.9 },
          'turns that were kept');
is($good->{moved}{cached_share}, 0.1, 'turns that moved');
is($good->{new}{cached_share}, 0, 'new ones');
ok($good->{significant}, 'the difference is significant');
is(sprintf('%.9f', $good->{saved_usd}), sprintf('%.9f', 48_000 * 136e-9),
   '.. and this much was saved');

# the same shares, and few turns

turns(29, model => 'few', affinity => $kept, cached => 900);
turns(29, model => 'few', affinity => $moved, cached => 100);

# many turns, hardly a difference, a wide spread

for my $i (0 .. 39) {
    turns(1, model => 'same', affinity => $kept, cached => 25 * $i);
    turns(1, model => 'same', affinity => $moved, cached => 25 * (39 - $i));
}
turns(1, model => 'same', affinity => $kept, cached => 990);

# long prompts have the same in either case, and nearly all of the tokens

for my $n (0 .. 59) {
    turns(1, model => 'long', affinity => $kept, prompt => 100, cached => 30 + $n % 21);
    turns(1, model => 'long', affinity => $moved, prompt => 100, cached => 0);
    turns(1, model => 'long', affinity => $_, prompt => 100_000, cached => 90_000)
        for $kept, $moved;
}

# a cache for all accounts: none is better

turns(40, model => 'shared', affinity => $kept, cached => 500);
turns(40, model => 'shared', affinity => $moved, cached => 500);

# without a price

turns(40, model => 'unpriced', affinity => $kept, cached => 800,
      priced => 0, cached_saves => 0);
turns(40, model => 'unpriced', affinity => $moved, cached => 100,
      priced => 0, cached_saves => 0);

# and what tells nothing

turns(50, model => 'good', affinity => $kept, cached => 0, status => 503);
turns(50, model => 'good', affinity => $kept, cached => 0,
      prompt_certainty => 1);
turns(50, model => 'good', affinity => $kept, cached => 0, prompt => 0);
turns(50, model => 'good', affinity => 0, cached => 0);
ok($f->acked($seq), 'other models');

ok(!told('few')->{significant}, 'few turns are not enough');
is(told('few')->{saved_usd}, undef, '.. so that nothing is said of dollars');
is(told('few')->{kept}{cached_share}, 0.9, '.. but the numbers are shown');
ok(!told('same')->{significant}, 'nor is a difference that may be chance');
ok(!told('shared')->{significant}, 'nor none at all');
ok(told('unpriced')->{significant}, 'without a price it is significant');
is(told('unpriced')->{saved_usd}, undef, '.. but no dollars');
is(told('good')->{kept}{turns}, 60, 'errors, guesses and the rest do not count');

my $long = told('long');

ok($long->{significant}, 'short prompts alone are significant');
is($long->{moved}{cached_share}, 0.45, '.. by the share of each turn');
cmp_ok(abs($long->{saved_usd} - 60 * 40 * 136e-9), '<', 60 * 136e-9,
       '.. and dollars go by tokens: what was saved is theirs');

my $all = told();

ok($all->{significant}, 'of all models it is significant');
cmp_ok(abs($all->{saved_usd} - $good->{saved_usd} - $long->{saved_usd}), '<', 1e-8,
       '.. the sum of the models');
is_deeply([ map { $_->{model} } @{ $all->{models} } ],
          [ qw/ few good long same shared unpriced / ], 'models by their names');

# windows, and over a crash

is_deeply(told(undef, '?to=2020-01-01T00:00:00Z')->{models}, [], 'another time');
is($s->get('/stats/affinity?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z')
     ->{status}, 400, 'from behind to is refused');
$s->crash;
is_deeply(told('good'), $good, 'a crash changes nothing');

my @lines = $s->get('/metrics')->{body} =~ /^(ollama_proxy_affinity\S+)/mg;

is(scalar @lines, 0, 'the metrics begin anew with the daemon');
$f = $s->frames(instance => 'beef');
$seq = 0;
turns(3, model => 'good', affinity => $kept, cached => 900,
      attempts => [ { key => 'a0000001', status => 200 } ]);
$f->acked($seq);
like($s->get('/metrics')->{body}, qr/^ollama_proxy_affinity_$_\{model="good",
                                     affinity="kept"\}\ /mx, "metrics: $_")
    for qw/ turns_total prompt_tokens_total cached_tokens_total /;


# they go with the sums by hour

my $now = int(time * 1000);
my $old = 'from=' . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($now / 1000 - 30 * 86400));

turns(10, model => 'aged', affinity => $_->[0], time => $now - $_->[1] * 86_400_000)
    for [ $kept, 20 ], [ $moved, 1 ];
$f->acked($seq);
is(told('aged', "?$old")->{kept}{turns}, 10, 'turns of before');
is(told('aged')->{kept}{turns}, 0, '.. are not of this week');
$s->stop;
$s->{config} = "hour_age 10d\n";
$s->launch;
eventually { told('aged', "?$old")->{kept}{turns} == 0 } 'they go in time', 30;
is(told('aged', "?$old")->{moved}{turns}, 10, '.. and later ones stay');

done_testing();
