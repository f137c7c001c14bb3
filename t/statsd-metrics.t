# GET /metrics: what Prometheus reads, right, complete, and bounded.

use warnings;
use strict;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2;
use Metrics;
use Poll;
use Statsd;
use Test::More;

my $s = Statsd->start;
my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'team-a' },
                             { key => '00000b0b', name => "b\"\\\n" } ]);
my $seq = 0;

sub request { $f->request(seq => ++$seq, @_) }

request(key => 'a1b2c3d4', model => 'm1', prompt => 100, completion => 20,
        cached => 60, first_token => 300, total => 2000, bytes_in => 11,
        bytes_out => 22,
        attempts => [ { key => '00000b0b', status => 429 },
                      { key => 'a1b2c3d4', status => 200 } ]);
request(key => 'a1b2c3d4', model => 'm1', prompt => 1, completion => 1,
        first_token => 60, total => 70);
request(key => 'a1b2c3d4', model => 'm1', status => 429, certainty => 0);
request(key => '00000b0b', model => 'm"1\\', status => 502, certainty => 0);
request(key => '00000b0b', model => 'm1', status => 404, certainty => 0);
request(key => '00000b0b', model => 'm1', end => 2, certainty => 2,
        prompt => 5);
request(key => '00000b0b', model => 'm1', end => 3);
request(key => '00000b0b', model => 'm1', end => 9, status => 0,
        certainty => 0, attempts_all => 20);
request(key => '00000b0b', model => 'm1', end => 10, certainty => 0);
$f->acked($seq);

$f->do('outbox', size => 1000, used => 10, last_seq => $seq, lag => 1500,
       dropped_records => 3, dropped_bodies => 4, resent => 5, running => 6,
       waiting => 7);
$f->do('keystate', key => 'a1b2c3d4', in_flight => 2, slots => 3,
       usage => 122, reserved => 9, eligible => 1, status => 'ok');
$f->do('keystate', key => '00000b0b', eligible => 0, status => 'exhausted',
       until => (time() + 100) * 1000);

eventually { metrics()->{'ollama_proxy_requests_waiting'} } 'figures arrive', 5;

my $m = metrics();
my $r = 'ollama_proxy_requests_total';

is($m->{qq($r\{key="team-a",model="m1",outcome="ok"})}, 2, 'good requests');
is($m->{qq($r\{key="team-a",model="m1",outcome="rate_limited"})}, 1,
   'requests over a limit');
is($m->{$r . '{key="b\\"\\\\\\n",model="m\\"1\\\\",outcome="upstream_error"}'}, 1,
   '502, with labels that need escapes');

my %outcome;
/outcome="(\w+)"/ and $outcome{$1} += $m->{$_} for keys %$m;
is_deeply(\%outcome, { ok => 2, rate_limited => 1, upstream_error => 2,
                       client_error => 1, client_gone => 1,
                       proxy_stopped => 1, worker_gone => 1 }, 'all outcomes');

is($m->{'ollama_proxy_prompt_tokens_total{key="team-a",model="m1"}'}, 101,
   'prompt tokens');
is($m->{'ollama_proxy_completion_tokens_total{key="team-a",model="m1"}'}, 21,
   'completion tokens');
is($m->{'ollama_proxy_cached_tokens_total{key="team-a",model="m1"}'}, 60,
   'cached tokens');
is($m->{'ollama_proxy_answers_total{certainty="exact"}'}, 3, 'exact answers');
is($m->{'ollama_proxy_answers_total{certainty="partial"}'}, 1, 'partial ones');
is($m->{'ollama_proxy_upstream_attempts_total'}, 22, 'attempts');
is($m->{'ollama_proxy_upstream_retries_total'}, 20, 'retries');

my $h = 'ollama_proxy_first_token_seconds';
is($m->{qq(${h}_bucket{model="m1",le="0.05"})}, 0, 'first token: no sooner');
is($m->{qq(${h}_bucket{model="m1",le="0.1"})}, 1, '.. one within 100 ms');
is($m->{qq(${h}_bucket{model="m1",le="0.5"})}, 2, '.. two within 500 ms');
is($m->{qq(${h}_bucket{model="m1",le="+Inf"})}, 2, '.. and no more');
is($m->{qq(${h}_count{model="m1"})}, 2, '.. which is their count');
cmp_ok(abs($m->{qq(${h}_sum{model="m1"})} - 0.36), '<', 1e-9, '.. and sum');
is($m->{'ollama_proxy_request_tokens_bucket{model="m1",le="64"}'}, 3,
   'small requests');

is($m->{'ollama_proxy_key_eligible{key="team-a"}'}, 1, 'a key that serves');
is($m->{'ollama_proxy_key_in_flight{key="team-a"}'}, 2, '.. in flight');
is($m->{'ollama_proxy_key_slots{key="team-a"}'}, 3, '.. slots');
is($m->{'ollama_proxy_key_window_tokens{key="team-a"}'}, 122, '.. 2 h');
is((grep { /key_eligible/ && $m->{$_} == 0 } keys %$m), 1, 'one that does not');
ok((grep { /key_info.*fingerprint="00000b0b",status="exhausted"/ } keys %$m),
   '.. and why');
my ($left) = map { $m->{$_} } grep { /penalty_seconds\{key="b/ } keys %$m;
cmp_ok($left, '>', 90, '.. and for how long');

is($m->{ollama_proxy_outbox_size_bytes}, 1000, 'the outbox');
is($m->{ollama_proxy_outbox_used_bytes}, 10, '.. its fill');
is($m->{ollama_proxy_outbox_lag_seconds}, 1.5, '.. its lag');
is($m->{ollama_proxy_outbox_dropped_records_total}, 3, '.. its drops');
is($m->{ollama_proxy_outbox_dropped_bodies_total}, 4, '.. of bodies');
is($m->{ollama_proxy_requests_in_flight}, 6, 'in flight');
is($m->{ollama_proxy_connected}, 1, 'one proxy');
is($m->{ollama_statsd_store_up}, 1, 'the ledger is written');
ok((grep { /build_info\{version="[\d.]+"\}/ } keys %$m), 'the version');

like($s->get('/metrics')->{headers}{'content-type'},
     qr!^text/plain; version=0\.0\.4!, 'the type that Prometheus wants');

# the format, by our own reading and by Prometheus' own tool

page();

for my $bad ([ 'a series twice', qq(a{x="1",y="2"} 1\na{y="2",x="1"} 1\n) ],
             [ 'a wrong escape', qq(a{x="\\t"} 1\n) ],
             [ 'a wrong name', qq(a{x-y="1"} 1\n) ],
             [ 'a label twice', qq(a{x="1",x="2"} 1\n) ],
             [ 'no value', qq(a{x="1"}\n) ],
             [ 'no newline', 'a 1' ], [ 'an empty line', "a 1\n\n" ],
             [ 'Latin-1', qq(a{x="\xe4"} 1\n) ],
             [ 'another family', qq(b 1\n) ],
             [ 'HELP again', qq(a 1\n# HELP a b\n# TYPE a gauge\n) ],
             [ 'buckets that shrink', qq(h_bucket{le="1"} 2\n)
               . qq(h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n), 'h' ],
             [ 'no +Inf', qq(h_bucket{le="1"} 2\nh_sum 1\nh_count 2\n), 'h' ],
             [ 'another count', qq(h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n),
               'h' ])
{
    my ($name, $text, $type) = @$bad;
    my $head = $type ? "# HELP h a\n# TYPE h histogram\n"
                     : "# HELP a b\n# TYPE a gauge\n";

    ok(scalar(Metrics->new($head . $text)->faults), "would be found: $name");
}

is_deeply([ Metrics->new("# HELP a b\n# TYPE a gauge\na{x=\"\\n\"} 1\n")->faults ],
          [], '.. and what is right is not');

# names of any script, each with lines of its own

my @names = ('模型甲', '模型乙', 'größe', 'grösse', "\x{1f600}", "tab\tbed",
             "tab\x01bed", 'back\\slash', "new\nline", '"quoted"', '(other)');

request(key => 'a1b2c3d4', model => $_, prompt => 7, total => 3) for @names;
$f->acked($seq);
$m = page('names of any script');

for my $name (@names) {
    is($m->value($r, model => $name), 1, 'requests of ' . shown($name));
    is($m->value("${h}_count" =~ s/first_token/request_duration/r,
                 model => $name), 1, '.. and how long they took');
}

# as long as a name may be, of characters of three bytes

my ($one, $two) = map { ('模' x 84) . $_ } qw/ 甲 乙 /;

request(key => 'a1b2c3d4', model => $_) for $one, $two;
$f->acked($seq);
$m = page('long names');
is($m->value($r, model => $_), 1, 'a long name') for $one, $two;

# a key replaced under its name: one line, which goes on

my $before = page('before')->sum($r, key => 'team-a', model => 'm1');

keys_told({ key => 'a1b2c3d5', name => 'team-a' },
          { key => '00000b0b', name => "b\"\\\n" });
request(key => 'a1b2c3d5', model => 'm1');
request(key => 'a1b2c3d4', model => 'm1'); # was in flight
$f->acked($seq);
$f->do('keystate', key => 'a1b2c3d5', in_flight => 1, eligible => 1);

eventually { page()->value('ollama_proxy_key_info',
                           fingerprint => 'a1b2c3d5') } 'the new key', 5;
$m = page('a key replaced under its name');
is($m->sum($r, key => 'team-a', model => 'm1'), $before + 2,
   '.. its requests and those of the one before are one number');
is($m->value('ollama_proxy_key_in_flight', key => 'team-a'), 1,
   '.. what is in flight is the new one\'s');
is(scalar $m->samples('ollama_proxy_key_info', key => 'team-a'), 1,
   '.. the old one has left');
is((grep { $_->{key_fingerprint} eq 'a1b2c3d4' } @{ $s->json('/stats/keys') }),
   0, '.. from /stats/keys, too');

# two proxies, each with a key of one name

my $g = $s->frames(instance => '2', proxy => 'two', keys => [
    { key => '0000feed', name => 'team-a' },
    { key => '0000beef', name => '钥匙乙' }, { key => '0000dead', name => '钥匙丙' }]);

$g->do('keystate', key => '0000feed', in_flight => 4, slots => 2, usage => 10,
       reserved => 1, eligible => 1, status => 'ok',
       until => (time() + 500) * 1000);
$g->do('keystate', key => $_, in_flight => 5, slots => 6, eligible => 1)
    for qw/ 0000beef 0000dead /;
$g->request(seq => 1, key => '0000feed', model => 'm1');
$g->request(seq => 2, key => '0000dead', model => 'm1');
$g->acked(2);

eventually { page()->value('ollama_proxy_key_in_flight', key => '钥匙丙') }
           'keys of another proxy', 5;
$m = page('two keys of one name');
is($m->value('ollama_proxy_key_in_flight', key => 'team-a'), 5,
   '.. in flight with both');
is($m->value('ollama_proxy_key_window_tokens', key => 'team-a'), 10, '.. used');
is($m->value('ollama_proxy_key_eligible', key => 'team-a'), 2, '.. both serve');
is($m->value('ollama_proxy_key_slots', key => 'team-a'), 0,
   '.. slots: those of one are not limited');
cmp_ok($m->value('ollama_proxy_key_penalty_seconds', key => 'team-a'), '>', 400,
       '.. the longer penalty');
is(scalar $m->samples('ollama_proxy_key_info', key => 'team-a'), 2,
   '.. told apart by their fingerprints');
is($m->sum($r, key => 'team-a', model => 'm1'), $before + 3, '.. one sum');
is($m->value('ollama_proxy_key_slots', key => '钥匙乙'), 6, 'names in UTF-8');

# a key that is removed leaves, whatever other proxies have; so does a name

$g->do('hello', instance => '2', proxy => 'two', keys => [{ key => '0000feed', name => 'team-a' },
                                          { key => '0000beef', name => '新' }]);
$g->request(seq => 3, key => '0000beef', model => 'm1');
$g->acked(3);
eventually { !grep { $_ eq '钥匙丙' } page()->labels('key') }
           'a removed key has left every line', 5;
$m = page('keys removed and renamed');
is((grep { $_ eq '钥匙乙' } $m->labels('key')), 0, '.. and a name that none has');
is($m->sum($r, key => '新'), 1, '.. the new one is there');
is($m->sum($r, key => 'team-a', model => 'm1'), $before + 3,
   '.. the other keys stay');
ok($m->value('ollama_proxy_key_info', fingerprint => '00000b0b'),
   '.. those of the other proxy, too');

# what the cloud was not asked is no latency

my $duration = 'ollama_proxy_request_duration_seconds';

request(key => '00000000', model => 'refused', status => 503, end => 1,
        certainty => 0, total => 1);
request(key => '00000000', model => 'refused', status => 200, end => 1,
        certainty => 0, total => 1);
request(key => '00000000', model => 'refused', status => 429, certainty => 0,
        total => 1);
request(key => '00000000', model => 'refused', status => 499, end => 2,
        certainty => 0, total => 50000);
request(key => '00000b0b', model => 'asked', status => 503, certainty => 0,
        total => 1700000, attempts => [{ key => '00000b0b', status => 503 }]);
request(key => '00000b0b', model => 'asked', total => 20, first_token => 20);
$f->acked($seq);
$m = page('refused requests');
is($m->value("${duration}_count", model => 'refused'), undef,
   '.. are no latencies');
is($m->sum($r, model => 'refused'), 4, '.. but requests');
is($m->value("${duration}_count", model => 'asked'), 2, 'what was asked is one');
is($m->value("${duration}_bucket", model => 'asked', le => '0.025'), 1,
   '.. the first bucket is 25 ms');
is($m->value("${duration}_bucket", model => 'asked', le => '600'), 1, '.. 600 s');
is($m->value("${duration}_bucket", model => 'asked', le => '1800'), 2,
   '.. the last one 1800 s');
is($m->value("ollama_proxy_first_token_seconds_bucket", model => 'asked',
             le => '0.025'), 1, '.. of first tokens, too');

# the daemon itself

$f->body(seq => ++$seq, id => 1, data => '{}');
$f->acked($seq);
$s->json('/stats');
$m = page('of the daemon');
cmp_ok($m->value('ollama_statsd_commit_seconds_count'), '>', 0, 'commits');
is($m->value('ollama_statsd_commit_seconds_count'),
   $m->value('ollama_statsd_batches_total'), '.. each of them');
cmp_ok($m->value('ollama_statsd_commit_seconds_sum'), '>', 0, '.. take a while');

my $reads = $m->value('ollama_statsd_read_seconds_count');

$s->json('/stats?limit=7');
cmp_ok(page()->value('ollama_statsd_read_seconds_count'), '>', $reads,
       'reads are counted');
eventually { page()->value('ollama_statsd_wal_size_bytes') } 'the WAL', 10;
is($m->value('ollama_statsd_lost_bodies_total'), 0, 'bodies lost');
is($m->value('ollama_statsd_event_streams'), 0, 'nobody listens');

my @streams = map { IO::Socket::UNIX->new(Peer => $s->path('http')) } 1 .. 3;

print $_ "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n" for @streams;
$_->flush for @streams;
eventually { page()->value('ollama_statsd_event_streams') == 3 } 'three do', 5;
close $_ for splice @streams, 0, 2;
eventually { page()->value('ollama_statsd_event_streams') == 1 } 'one is left', 10;

# as the kernel says it

my $pid = $s->pid;
my $is = proc($pid);

$m = page('of the process');
cmp_ok(abs($m->value('process_open_fds') - $is->{fds}), '<=', 3, 'descriptors');
is($m->value('process_max_fds'), $is->{max}, '.. of at most');
cmp_ok(abs($m->value('process_resident_memory_bytes') / $is->{rss} - 1), '<', 0.3,
       'memory');
cmp_ok(abs($m->value('process_cpu_seconds_total') - $is->{cpu}), '<', 2,
       'processor time');
cmp_ok(abs($m->value('process_start_time_seconds') - $is->{start}), '<', 5,
       'start');
is(page()->value('process_start_time_seconds'),
   $m->value('process_start_time_seconds'), '.. which stays');
cmp_ok(page()->value('process_cpu_seconds_total'), '>',
       $m->value('process_cpu_seconds_total'), '.. while time goes by');

# not more lines than there may be

for my $n (1 .. 300) {
    request(model => "made-up-$n", key => sprintf('%08x', 1000 + $n),
            status => 200, first_token => 1);
}
$f->acked($seq, 20000);

$m = page('many keys and models');
cmp_ok(scalar(() = $m->labels('model')), '<=', 103, 'models are bounded');
cmp_ok(scalar(() = $m->labels('key')), '<=', 203, 'keys are bounded');
ok($m->sum($r, key => '(other)') && $m->sum($r, model => '(other)'),
   'the rest is summed up');

# the lines of a removed key were all that has left since

is($m->sum($r), $seq - 1 + 2, '.. and nothing is missing');

# a hundred keys come and go: they take no other's place

my $line = 0;

for my $turn (1 .. 4) {
    my @told = map { { key => sprintf('%08x', 5000 + 100 * $turn + $_),
                       name => "turn-$turn-$_" } } 1 .. 60;
    $g->do('hello', instance => '2', proxy => 'two', keys => \@told);
    $g->request(seq => 3 + ++$line, key => $_->{key}, model => 'm1') for @told;
    $g->acked(3 + $line);
    # which keys a proxy has is read when they are in the ledger
    eventually { !grep { /^turn-\d/ && !/^turn-$turn-/ } page()->labels('key') }
        "keys that are gone leave, $turn", 10;
    $m = page("keys come and go, $turn");
    is((grep { /^turn-\d/ } $m->labels('key')),
       (grep { /^turn-$turn-/ } $m->labels('key')), '.. none of those before');
}

# README names each of them

my $readme = Process::slurp("$Process::root/README.md");
my ($list) = $readme =~ /^## Metrics\n(.*?)^## /ms;
my %listed;

for my $part (split /^(?=\| `ollama_)/m, $list) {
    my $prefix = $part =~ /^\| `(ollama_\w+_)` \|/ ? $1 : '';
    $listed{$_}++ for map { ($_, "$prefix$_") } $part =~ /`([a-z_]+)`/g;
}

is(join(' ', grep { !$listed{$_} } $m->families), '', 'README knows them all');

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();


sub metrics {
    my %value;

    for (split /\n/, $s->get('/metrics')->{body}) {
        next if /^#/;
        my ($name, $value) = /^(.*) (\S+)$/ or next;
        $value{$name} = $value;
    }

    return \%value;
}


# the page, once it is well formed

sub page {
    my ($name) = @_;
    my $body = $s->get('/metrics')->{body};
    my $page = Metrics->new($body);

    return $page unless defined $name || !defined wantarray;
    $name //= 'the page';
    is_deeply([ $page->faults ], [], "$name: every line is well formed");

    my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};

    if ($promtool) { # Debian: prometheus
        my $pid = open2(my $out, my $in, "$promtool check metrics 2>&1");
        print $in $body;
        close $in;
        my $said = join '', <$out>;
        waitpid $pid, 0;
        is(($? >> 8) . $said, '0', '.. promtool says so, too');
    }

    return $page;
}


sub keys_told { $f->do('hello', instance => '1', keys => [ @_ ]) }
sub shown { $_[0] =~ s/([^ -~])/sprintf '\\x{%x}', ord $1/ger }


sub proc {
    my ($pid) = @_;
    my ($max) = Process::slurp("/proc/$pid/limits") =~ /^Max open files\s+(\d+)/m;
    my ($rss) = Process::slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
    my ($stat) = Process::slurp("/proc/$pid/stat") =~ /.*\)(.*)/s;
    my (undef, @field) = split ' ', $stat; # from the fourth on
    my ($boot) = Process::slurp('/proc/stat') =~ /^btime (\d+)/m;
    my @fds = glob "/proc/$pid/fd/*";

    return { max => $max, rss => $rss * 1024, fds => scalar @fds,
             cpu => ($field[10] + $field[11]) / 100,
             start => $boot + $field[18] / 100 };
}
