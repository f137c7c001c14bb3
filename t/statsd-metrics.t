# GET /metrics: what Prometheus reads, right, complete, and bounded.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2;
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

check($s->get('/metrics')->{body});

# not more lines than there may be

for my $n (1 .. 300) {
    request(model => "made-up-$n", key => sprintf('%08x', 1000 + $n),
            status => 200, first_token => 1);
}
$f->acked($seq, 20000);

my $page = $s->get('/metrics')->{body};
my %models = map { $_ => 1 } $page =~ /model="([^"]*)"/g;
my %keys = map { $_ => 1 } $page =~ /key="([^"]*)"/g;

cmp_ok(scalar keys %models, '<=', 103, 'models are bounded');
cmp_ok(scalar keys %keys, '<=', 203, 'keys are bounded');
ok($models{'(other)'} && $keys{'(other)'}, 'the rest is summed up');

my $sum = 0;
$sum += $_ for $page =~ /^ollama_proxy_requests_total\{.*\} (\d+)$/mg;
is($sum, $seq, '.. and nothing is missing');
check($page);

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


sub check {
    my ($text) = @_;
    my (%type, %help, %seen, @bad);

    like($text, qr/\n\z/, 'ends with a newline');

    for (split /\n/, $text) {
        if (/^# HELP (\w+) (.+)/) { $help{$1}++ and push @bad, $_ }
        elsif (/^# TYPE (\w+) (counter|gauge|histogram)$/) {
            my ($name, $type) = ($1, $2);
            push @bad, $_ if $type{$name};
            push @bad, $_ if ($type eq 'counter') != ($name =~ /_total$/);
            $type{$name} = $type;
        }
        elsif (/^(\w+)(\{(?:\w+="(?:[^"\\]|\\["\\n])*",?)+\})? ([\d.e+-]+)$/) {
            my ($name, $labels) = ($1, $2 // '');
            push @bad, $_ if $seen{$name . $labels}++;
            $name =~ s/_(bucket|sum|count)$// unless $type{$name};
            push @bad, $_ unless $type{$name} && $help{$name};
        }
        else { push @bad, $_ }
    }

    is_deeply(\@bad, [], 'every line is well formed');

    SKIP: {
        my ($promtool) = grep { -x } map { "$_/promtool" }
                              split /:/, $ENV{PATH};
        skip 'promtool (Debian: prometheus) is not installed', 2
            unless $promtool;

        my $pid = open2(my $out, my $in, "$promtool check metrics 2>&1");
        print $in $text;
        close $in;
        my $said = join '', <$out>;
        waitpid $pid, 0;

        is($? >> 8, 0, 'promtool accepts it');
        is($said, '', '.. without a warning');
    }
}
