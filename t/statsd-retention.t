# What is too old, or too much, goes by itself, while the rest goes on.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $day = 86400_000;
my $now = int(time() * 1000);

# the default: 7 days and 1 GiB of bodies, 31 days of rows and of hours by all,
# 400 of hours, then days for ever without names of models

my $s = Statsd->start;
my $f = $s->frames;
my $seq = 0;

for my $age (401, 399, 32, 30, 8, 6, 0) {
    $f->request(seq => ++$seq, id => 100 + $age, model => "old-$age",
                prompt => 1, time => $now - $age * $day);
}
ok($f->acked($seq), 'things of all ages');

eventually { models('/queries') eq '0 6 8 30' } 'rows of 31 days', 10;
is(models('/queries'), '0 6 8 30', 'rows of 31 days are kept');
eventually { models('/stats') eq '0 6 8 30' } 'hours by all of 31 days', 10;
eventually { models('/stats?by=model') eq '0 6 8 30 32 399' }
           'hours of 400 days', 10;
is(models('/stats?by=model'), '0 6 8 30 32 399', 'hours of 400 days are kept');
is(total('/stats?by=model'), 7, '.. and days for ever');
is(total('/stats?by=hour'), 7, '.. which are no hours');
is($s->health->{totals}{requests}, 7, 'totals are for ever');

# bodies: a segment goes when its hour is old enough, and so do those that the
# ledger does not know

for my $hours (0, 7 * 24 - 1, 7 * 24 + 2) {
    my ($folder, $name) = segment($hours);

    mkdir $folder;
    Process::spill("$folder/$name", '') if $hours;
    $f->body(seq => ++$seq, id => 100, data => '{}') unless $hours;
}
ok($f->acked($seq), 'bodies of all ages');
eventually { !-e join '/', segment(7 * 24 + 2) } 'one of 7 days and 2 hours',
           10;
ok(-e join('/', segment(7 * 24 - 1)), 'is gone, but not a younger one');
is($s->get('/queries/' . (map { $_->{id} } grep { $_->{model} eq 'old-0' }
                              @{ $s->json('/queries') })[0] . '/body')->{body},
   '{}', 'nor a new one');
eventually { $s->health->{disk}{bodies} == 1 } 'bodies are counted', 10;

my $left = $s->dir . '/requests/2020-02-02';

mkdir $left;
Process::spill("$left/0000000000000001-1.json.gz", 'left by a dead daemon');
eventually { !-e $left } 'an orphan goes', 10;
mkdir $s->dir . '/requests/mine';
Process::spill($s->dir . '/requests/mine/file', '');

# bytes: the oldest go first

$s->stop;
$s->{config} = "# a small box\nbody_bytes 100k\nbody_age 7d\n";
$s->launch;
$f->connect;

for my $n (1 .. 30) {
    $f->request(seq => ++$seq, id => 1000 + $n, model => "big-$n");
    $f->body(seq => ++$seq, id => 1000 + $n, fill => 9000);
}
ok($f->acked($seq), 'more bodies than there is room');
eventually { on_disk() <= 102400 } 'down to 100k', 10;

my %body = map { $_->{model} => $_->{body} } @{ $s->json('/queries?limit=100') };
ok($body{'big-30'}, 'the newest is kept');
ok(!$body{'big-1'}, 'the oldest is not');
is($s->health->{disk}{body_limit}, 102400, 'the limit is shown');

cmp_ok(on_disk(), '>', 60_000, '.. and used');
ok(-e $s->dir . '/requests/mine/file', 'what is not ours is left alone');

# while it runs: seconds instead of days, and no pause in between

$s->stop;
$s->{config} = "row_age 2s\nhour_age 400d\nbody_age 2s\n";
$s->launch;
$f->connect;

my $slowest = 0;

for my $round (1 .. 40) {
    $f->request(seq => $seq + 1, id => 100_000 + $seq, count => 2000,
                clients => 20, models => 5, prompt => 1);
    $seq += 2000;

    my $answer = $s->get('/queries');
    $slowest = $answer->{seconds} if $answer->{seconds} > $slowest;
    select undef, undef, undef, 0.05;
}
ok($f->acked($seq), '80,000 requests, most of them too old soon');
cmp_ok($slowest, '<', 0.5, '.. nobody waits for their end');
eventually { @{ $s->json('/queries') } == 0 }
           'in the end all rows are gone', 30;
is($s->health->{totals}{requests}, 7 + 30 + 80_000, '.. and none forgotten');

is(total('/stats?limit=10000'), 4 + 30 + 80_000, '.. in the hours by all');
is(total('/stats?by=client&limit=10000'), 7 + 30 + 80_000, '.. in the sums');
is($s->health->{store}{status}, 'ok', 'all is well');
is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();


sub models {
    my ($page) = @_;
    return join ' ', sort { $a <=> $b }
                     map { $_->{model} =~ /^old-(\d+)/ } @{ $s->json($page) };
}


sub total {
    my ($page) = @_;
    my $n = 0;
    $n += $_->{requests} for @{ $s->json($page) };
    return $n;
}


# folder and file of bodies that were written so many hours ago

sub segment {
    my ($hours) = @_;
    my @t = gmtime time - $hours * 3600;

    return sprintf('%s/requests/%04d-%02d-%02d', $s->dir, $t[5] + 1900,
                   $t[4] + 1, $t[3]), sprintf('%02d.gz', $t[2]);
}


sub on_disk {
    my $n = 0;
    $n += -s $_ // 0 for glob $s->dir . '/requests/*/*.gz';
    return $n;
}
