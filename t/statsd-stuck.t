# A disk that does not answer: whoever asks is told so in time, what needs no disk
# is answered as always, and when it answers again all is well.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp;
use Poll;
use Process;
use Statsd;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $stuck = File::Temp::tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1)
            . '/stuck';
my $s = Statsd->start(env => Statsd::preload('stuckdisk.so',
                                             STUCKDISK => $stuck));
my $f = $s->frames;

# more than a reader keeps in memory

$f->request(seq => 1, count => 60_000, clients => 20_000, models => 20);
ok($f->acked(60_000, 60_000), 'a ledger');
is($s->get('/stats?limit=10')->{status}, 200, 'it is read');

Process::spill($stuck, '');

my @asked = map { $s->ask('/stats?by=client&to=' . (4e9 + 3600 * $_)) } 1 .. 6;
my @same;

# again and again, as pages do

for (1 .. 4) {
    push @same, $s->ask('/stats?by=client&to=' . (4e9 + 3600));
    sleep 0.6;
}
my $running = $s->get('/stats/running');

is($running->{status}, 200, 'stuck: what needs no disk');
cmp_ok($running->{seconds}, '<', 2, '.. at once');

my $health = $s->get('/health', timeout => 30);

is($health->{status}, 200, 'health');
like($health->{body}, qr/the ledger cannot be read/, '.. says so');

my @answers = map { $s->answer($_, timeout => 40) } @asked;

is(scalar(grep { $_->{status} == 503 } @answers), 6, 'who asks is told so');
is(scalar(grep { $_->{headers}{'retry-after'} } @answers), 6, '.. for a while');
is(scalar(grep { $_->{status} == 503 } map { $s->answer($_, timeout => 40) } @same),
   4, '.. however often');
is($s->get('/logs')->{status}, 200, '.. and it goes on');

unlink $stuck;
eventually { $s->get('/stats?limit=11')->{status} == 200 } 'it is read again', 20;
eventually { "@{ $s->health->{problems} }" !~ /read/ } '.. and health says so';
$f->request(seq => 60_001);
ok($f->acked(60_001), 'records come in');

# an end in the midst of it

$f->request(seq => 60_002, count => 20_000, clients => 20_000, models => 20);
$f->acked(80_001, 60_000);
Process::spill($stuck, '');
@asked = map { $s->ask('/stats?by=client&to=' . (4e9 + 3600 * $_)) } 11 .. 16;
sleep 0.5;

my $began = time;
my $status = $s->stop;

cmp_ok(time() - $began, '<', 25, 'it ends without the disk');
ok(!-e $s->path('http'), '.. and leaves no socket behind') or diag($status);
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
done_testing();
