# Money: what requests cost stands in each record and in every sum, exactly, with
# what has no price beside it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw/ sum0 /;
use Metrics;
use Poll;
use Schema;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $s = Statsd->start(config => "minute_age 2h\n");
my @keys = map { { key => "a000000$_", name => "team-$_" } } 0 .. 2;
my $f = $s->frames(keys => [ @keys ]);
my $now = int(time / 3600) * 3_600_000;
my ($seq, %cost, %unpriced) = (0);


sub sql {
    my ($dir, $sql) = @_;
    my $tool = Statsd::tool('sql');
    my $out = `$tool '$dir/usage.db' "$sql" 2>&1`;

    die $out if $?;
    return $out;
}


# nano-dollars as the JSON has them

sub nano { sprintf '%.0f', $_[0] * 1e9 }


sub request {
    my (%r) = @_;

    $f->request(seq => ++$seq, id => $seq, client => '10.0.0.1', %r);

    for (['all', ''], [ 'model', $r{model} ], [ 'client', '10.0.0.1' ],
         [ 'key', 'team-' . substr $r{key}, -1 ])
    {
        my ($kind, $name) = @$_;

        if (defined $r{cost}) {
            $cost{$kind}{$name} += $r{cost};
        } else {
            $unpriced{$kind}{$name} += $r{prompt} + $r{completion};
        }
    }
}


# over five days, so that all levels of sums have some

srand 7;
for my $i (1 .. 600) {
    my $priced = rand() < 0.8;

    request(time => $now - int rand 5 * 86_400_000, key => "a000000" . $i % 3,
            model => (qw/ gpt-oss:20b gpt-oss:120b kimi-k3 /)[rand 3],
            prompt => 1 + int rand 100_000, completion => int rand 5000,
            cached => 0, $priced ? (cost => int rand 2e9) : ());
}
request(time => $now, key => 'a0000001', model => 'kimi-k3', prompt => 1,
        completion => 0, cost => 1);
ok($f->acked($seq), 'requests with and without a price');

my $rows = $s->json('/queries?limit=2');

is(nano($rows->[0]{cost_usd}), 1, 'a nano-dollar is one');
is($s->get('/queries?limit=1')->{body} =~ /"cost_usd":0\.000000001,/, 1,
   '.. written out');
is((grep { !defined $_->{cost_usd} } @{ $s->json('/queries?limit=500') }) > 50,
   1, 'without a price it is null');


sub sums_are_right {
    my ($words, $hours) = @_;

    for my $by (qw/ model key client /) {
        my $field = $by eq 'client' ? 'client_ip' : $by;
        my (%c, %u);

        for my $row (@{ $s->json("/stats?by=$by") }) {
            $c{ $row->{$field} } += nano($row->{cost_usd});
            $u{ $row->{$field} } += $row->{unpriced_tokens};
        }
        is_deeply(\%c, $cost{$by}, "$words: by $by, to the nano-dollar");
        is_deeply(\%u, $unpriced{$by}, '.. and what has no price');
    }

    my ($c, $u) = (0, 0);

    for my $row (@{ $s->json("/stats?by=$hours&limit=5000&from="
                             . '2020-01-01T00:00:00Z') }) {
        $c += nano($row->{cost_usd});
        $u += $row->{unpriced_tokens};
    }
    is("$c $u", "$cost{all}{''} $unpriced{all}{''}", "$words: by $hours");

    my $total = $s->json('/stats/health')->{totals};
    is(nano($total->{cost_usd}), $cost{all}{''}, "$words: the total");
    is($total->{unpriced_tokens}, $unpriced{all}{''}, '.. its unpriced tokens');
}


sums_are_right('as they come', 'all');

my $minutes = $s->json('/stats/minute?window=120&by=all');
my $day = $s->json('/stats/24h');

is(scalar(grep { exists $_->{cost_usd} && exists $_->{unpriced_tokens} }
          @$minutes, @$day), @$minutes + @$day, 'minutes and hours have them');

# the metrics since the start

my $m = Metrics->new($s->get('/metrics')->{body});
my $sum = 0;

$sum += nano($_->{value}) for $m->samples('ollama_proxy_cost_usd_total');
is($sum, $cost{all}{''}, 'the metrics count them, too');
is_deeply([ $m->faults ], [], '.. no series twice');
is($m->sum('ollama_proxy_unpriced_tokens_total'), $unpriced{all}{''},
   '.. and what has no price');

# over a crash

$s->crash;
sums_are_right('after a crash', 'all');

# rolled up, and with nothing finer than days left of what is older than two

$s->stop;
$s->{config} = "minute_age 2h\nten_age 12h\ncube_age 1d\nhour_age 2d\n";
$s->launch;

my $least = $now / 3_600_000 - 49;
my %finer = ("usage_minute WHERE minute < 60 * ($least + 46)" => 'minutes',
             "usage_sum WHERE kind BETWEEN 8 AND 11 AND time < $least" => 'hours',
             "usage_hour WHERE hour < $least + 24" => 'hours of series');

for my $rows (sort keys %finer) {
    eventually { sql($s->dir, "SELECT count(*) FROM $rows") == 0 }
        "$finer{$rows} go", 30;
}
sums_are_right('rolled up', 'hour');
$s->crash;
sums_are_right('rolled up, after a crash', 'hour');

# names that become "(other)" have cost something, too

$f->connect;
request(time => $now, key => 'a0000001', model => "a$_", status => 404,
        prompt => 10, completion => 0, $_ % 2 ? (cost => 7_000 + $_) : ())
    for 1 .. 100;
ok($f->acked($seq), 'more names than one client may add');

my %named = map { $_->{model} => $_ } @{ $s->json('/stats?by=model&limit=500') };
my @gone = grep { !$named{"a$_"} } 1 .. 100;

cmp_ok(scalar @gone, '>', 1, 'some are others');
is(nano($named{'(other)'}{cost_usd}),
   sum0(map { $_ % 2 ? 7_000 + $_ : 0 } @gone), '.. which have their costs');
is($named{'(other)'}{unpriced_tokens}, 10 * grep({ $_ % 2 == 0 } @gone),
   '.. and what has no price');
is(sum0(map { nano($_->{cost_usd}) } @{ $s->json('/stats?by=model&limit=2') }),
   $cost{all}{''}, 'so has what is behind a limit');

# a ledger of before: all of it is unpriced

$s->stop;
sql($s->dir, Schema::back(5));
$s->launch;

my $total = $s->json('/stats/health')->{totals};

is($total->{cost_usd}, 0, 'an older ledger knows no prices');
is($total->{unpriced_tokens}, $total->{total_tokens},
   '.. so that all of its tokens are unpriced');
is($s->json('/queries?limit=1')->[0]{cost_usd}, undef, '.. and its requests');

$f = $s->frames(instance => 'beef', keys => [ @keys ]);
$f->request(seq => 1, id => 1, key => 'a0000001', model => 'kimi-k3',
            prompt => 10, completion => 1, cost => 77);
ok($f->acked(1), 'a request with a price');
is(nano($s->json('/stats/health')->{totals}{cost_usd}), 77, '.. is added');
is($s->json('/stats/health')->{totals}{unpriced_tokens},
   $total->{total_tokens}, '.. to what has none');

done_testing();
