#!/usr/bin/perl

# Sums of more names than are asked for: the largest, and the rest as "(other)".

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw/ sum0 /;
use Process;
use Statsd;
use Test::More;

my $hour = 3600_000;
my $now = int(time) * 1000;
my $s = Statsd->start;
my $f = $s->frames(keys => [ map { { key => "a000000$_", name => "key-$_" } }
                                 1 .. 6 ]);
my $seq = 0;

# the smallest first, and the largest in the middle; each a minute in two

my %size = (a => 1, b => 5, c => 50, d => 40, e => 3, f => 20);
my @names = sort keys %size;

for my $n (0 .. $#names) {
    for my $ago (0, 2) {
        $f->request(seq => ++$seq, time => $now - $ago * 60_000,
                    model => $names[$n], client => "10.0.0.$n",
                    client_name => $names[$n], key => sprintf('a%07d', $n + 1),
                    prompt => $size{ $names[$n] } * 100, completion => 0);
    }
}
$f->acked($seq);

my $all = 2 * 100 * sum0 values %size;
my %name = (model => sub { $_[0]{model} },
            key => sub { $_[0]{key} =~ s/^key-(\d)$/$names[$1 - 1]/r },
            client => sub { $_[0]{client_name} // $_[0]{client_ip} });

for my $by (sort keys %name) {
    is(words($by, "/stats?by=$by"), 'c d f b e a', "by $by: the largest first");
    is($s->get("/stats?by=$by")->{headers}{'x-cut'}, undef, '.. all of them');
    ok(!grep({ exists $_->{others} } @{ $s->json("/stats?by=$by") }),
       '.. each for itself');

    my $uri = "/stats?by=$by&limit=2";

    is(words($by, $uri), 'c d (other)', '.. two, and the others');
    is($s->get($uri)->{headers}{'x-cut'}, 4, '.. how many is said');
    is($s->json($uri)->[-1]{others}, 4, '.. and in the row');
    is(sum0(map { $_->{prompt_tokens} } @{ $s->json($uri) }), $all,
       '.. the sum is true');
    is(words($by, "/stats?by=$by&limit=6"), 'c d f b e a',
       '.. as many as there are');

    $uri = "/stats/minute?by=$by&top=2&window=10";
    my @rows = @{ $s->json($uri) };

    is(join(' ', sort keys %{{ map { $name{$by}->($_) => 1 } @rows }}),
       '(other) c d', "the last minutes by $by: two of the window");
    is(sum0(map { $_->{total_tokens} } @rows), $all, '.. the sum is true');
    is(scalar(@rows), 6, '.. and others in each minute');
    is($rows[2]{others}, 4, '.. which are four');
    is($s->get($uri)->{headers}{'x-cut'}, 4, '.. and said');
    is_deeply([ map { $_->{minute} } @rows ],
              [ sort map { $_->{minute} } @rows ], '.. oldest first');

    my $plain = $s->json("/stats/minute?by=$by&window=10");

    is(scalar @$plain, 12, '.. without top= all');
    is_deeply($s->json("/stats/minute?by=$by&window=10&top=6"), $plain,
              '.. with all of them the same');
    is(sum0(map { $_->{total_tokens} }
            @{ $s->json("/stats/minute?by=$by&top=1&step=60&window=60") }),
       $all, '.. and in steps');
}
is(sum0(map { $_->{total_tokens} }
        @{ $s->json('/stats/minute?by=all&top=1') }), $all, 'all has no others');
is($s->get("/stats/minute?$_")->{status}, 400, $_)
    for qw/ top=0 top=-1 top=x top=1001 /;

# by all, by hour: the newest, and that there are more

is($s->get('/stats?limit=3')->{headers}{'x-cut'}, 1, 'by all: cut is said');
is(@{ $s->json('/stats?limit=3') }, 3, '.. no row more');
is($s->get('/stats')->{headers}{'x-cut'}, undef, '.. not cut');
$f->request(seq => ++$seq, time => $now - $_ * $hour, model => 'past')
    for 30, 3, 700;
$f->acked($seq);
my @hours = map { $_->{bucket} } @{ $s->json('/stats?by=hour') };
is_deeply(\@hours, [ reverse sort @hours ], 'hours, newest first');
my $cut = $s->get('/stats?by=hour&limit=2');
is(scalar(@hours) - 2, $cut->{headers}{'x-cut'}, '.. cut is said');
is_deeply([ map { $_->{bucket} } @{ $s->json('/stats?by=hour&limit=2') } ],
          [ @hours[0, 1] ], '.. the newest stay');

# without from: all there is, also of a time to come; more than can be read is
# said

is((grep { $_->{model} eq 'past' } @{ $s->json('/stats?by=model') })[0]
   {requests}, 3, 'without from: all time');
$s->stop;
sql('PRAGMA synchronous = OFF; PRAGMA cache_size = -400000;'
    . ' DROP INDEX usage_sum_ref;'
    . ' WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n'
    . ' WHERE i < 6000000) INSERT OR IGNORE INTO usage_sum SELECT 15, '
    . int($now / 24 / $hour) . ' - 402 + i / 15000, 1000 + i % 15000, 1, 0, 1, 0,'
    . ' 0, 0, 0, 0 FROM n; WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1'
    . ' FROM n WHERE i < 14999) INSERT INTO client SELECT 1000 + i, i, 0 FROM n;'
    # names that have hours, too
    . ' INSERT INTO usage_sum SELECT 11, 24 * ('
    . int($now / 24 / $hour) . ' - 2) + 1, id, 1, 0, 1, 0, 0, 0, 0, 0 FROM client'
    . ' WHERE id >= 1000;'
    . ' CREATE INDEX usage_sum_ref ON usage_sum(kind, ref) WHERE kind >= 12;'
    # as a clock that was ahead has left them
    . ' INSERT INTO usage_minute SELECT 2, ' . int($now / 60_000)
    . " + 1800, id, 7, 0, 0, 0, 0, 0, 0, 0 FROM model WHERE name = 'a'");
$s->launch;
my $got = $s->get('/stats?by=client&limit=3');
is($got->{status}, 200, 'more than can be read: an answer');
my $read = $got->{headers}{'x-from'};
like($read, qr/^20\d\d-\d\d-\d\dT00:00:00Z$/, '.. from when on is said');
is(scalar @{ $s->json('/stats?by=client&limit=3') }, 4, '.. as any other');
my $old = (grep { $_->{model} eq 'a' } @{ $s->json('/stats?by=model') })[0];
cmp_ok($old->{requests}, '>=', 9, '.. hours to come are in it');

done_testing();


sub words {
    my ($by, $uri) = @_;
    return join ' ', map { $name{$by}->($_) } @{ $s->json($uri) };
}


sub sql {
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $_[0] ]);
    die "$_[0]: $said\n" if $code;
}
