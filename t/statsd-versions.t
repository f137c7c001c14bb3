# Old and new, side by side: frames of a module of version 1 are all recorded,
# beside those of a new one, and what the old one cannot do is said once.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $s = Statsd->start;
my $keys = [ { key => 'a1b2c3d4', name => 'team-a' } ];

# an old one

my $old = $s->frames(hello => 0);

$old->{greets} = 1;
$old->{hello} = { instance => 'abc', keys => $keys, old => 1 };
ok($old->connect, 'an old module is welcome');

my ($welcome) = $old->seen('welcome');
is($welcome->{frames}, 2, 'the daemon says which frames it reads');

my @attempts = map { { key => 'a1b2c3d4', status => 429, ms => $_ } } 1 .. 3;

$old->request(seq => 1, old => 1, model => 'first', prompt => 10,
              attempts => \@attempts, has_body => 1);
$old->body(seq => 2, old => 1, id => 1, data => '{"old":1}');
$old->request(seq => 3, old => 1, end => 3, reason => 'closed');
ok($old->acked(3), 'what it sends is committed');

my @rows = @{ $s->json('/queries') };

is(scalar @rows, 2, '.. all of it');
is($rows[0]{end}, 'upstream_gone', '.. with its end');
is($rows[1]{attempts_total}, 3, '.. its attempts are all there are');
is("@{$rows[1]}{qw/ prompt_certainty completion_certainty certainty /}",
   'exact exact exact', '.. each half is as sure as the whole');
is(scalar @{ $rows[1]{attempts} }, 3, '.. and told');
is($s->get("/queries/$rows[1]{id}/body")->{body}, '{"old":1}',
   '.. and its body');

my $said = qr/proxy 0+abc: its module is older than this ollama-statsd/;
like($s->output, $said, 'that it is old is said');

$old->connect;
is(scalar(() = $s->output =~ /$said/g), 1, '.. once');

# a new one after it, of the same instance: nginx with a new binary

my $new = $s->frames(instance => 'abc', keys => $keys);

is($new->welcome, 3, 'a new module goes on');
$new->request(seq => 3, end => 3);
$new->request(seq => 4, certainty => 1, prompt_certainty => 1,
              completion_certainty => 3, end => 9, status => 0, attempts_all => 30,
              attempts => [ @attempts, @attempts ], has_body => 1);
$new->body(seq => 5, id => 4, data => '{"new":1}');
ok($new->acked(5), '.. with frames of its own');
is($s->health->{proxies}[0]{duplicates}, 1, '.. and none twice');

my $row = $s->json('/queries')->[0];

is($row->{end}, 'proxy_stopped', '.. and ends of its own');
is("@$row{qw/ prompt_certainty completion_certainty certainty /}",
   'estimated exact estimated', '.. and says of which half it is sure');
is($row->{attempts_total}, 30, '.. all attempts are counted');
is($s->get("/queries/$row->{id}/body")->{body}, '{"new":1}', '.. and a body');
is(scalar(() = $s->output =~ /is older than/g), 1,
   'nothing is said of a new one');

# and the old one again: nginx was taken back

$old->connect;
is($old->welcome, 5, 'the old module goes on after it');
$old->request(seq => 6, old => 1);
$old->body(seq => 7, old => 1, id => 6, fill => 100_000);
ok($old->acked(7), '.. in its own words');

is($s->health->{totals}{requests}, 4, 'all are counted, and once');
is($s->health->{ingest}{foreign}, 0, 'nothing was foreign');
is($s->health->{ingest}{damaged}, 0, '.. damaged');
is($s->health->{store}{malformed}, 0, '.. or malformed');

# a body is not summed up, what says whose it is is

$new->connect;
$new->damage('payload');
$new->body(seq => 8, id => 4, data => '{}');
$new->request(seq => 9);
ok($new->acked(9), 'a body with a damaged head is left out');
is($s->health->{ingest}{damaged}, 1, '.. and noted');

done_testing();
