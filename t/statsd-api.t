# The answers: what is in them, their order, their bounds.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use POSIX qw/ strftime /;
use Statsd;
use Test::More;

# sums by hour are compared below: not across the hour's end
sleep 1 while time % 3600 > 3585;

my $s = Statsd->start;

is_deeply($s->json('/stats'), [], 'no sums at first');
is_deeply($s->json('/stats/minute'), [], 'no minutes');
is_deeply($s->json('/queries'), [], 'no requests');
is(scalar @{ $s->json('/stats/24h') }, 24, 'but 24 hours');
is($s->health->{status}, 'degraded', 'nobody is connected');
like($s->health->{problems}[0], qr/no proxy/, '.. and it is said');

my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'team-a' },
                             { key => '00000b0b', name => 'team-b' } ]);
is($s->health->{status}, 'ok', 'all is well with a proxy');
is($s->health->{cloud}{status}, 'unknown', 'nothing is known of the cloud');

# one request with everything in it

my $now = int(time() * 1000);
my $hostile = "<script>alert(\"x\")</script>&\\\x{1f600}";

$f->request(seq => 1, id => 7000, time => $now, prompt => 100, completion => 20,
            cached => 60, bytes_in => 1234, bytes_out => 5678,
            key => '00000b0b', queue => 5, connect => 6, first_token => 700,
            total => 8000, status => 200, certainty => 3, streamed => 1,
            client => '2001:db8::1', client_name => 'alice',
            endpoint => '/v1/chat/completions', model => $hostile,
            model_answered => 'other', upstream_id => 'req-9',
            user_agent => 'curl/8', reason => '', has_body => 1,
            cost => 123456, affinity => 2,
            attempts => [ { key => 'a1b2c3d4', status => 429, ms => 12 },
                          { key => '00000001', cause => 1, ms => 3000 },
                          { key => '00000b0b', status => 200, ms => 4988 } ]);
$f->body(seq => 2, id => 7000, time => $now, data => "{\"model\":\"caf\x{e9}\"}",
         size => 2_000_000, truncated => 1);
ok($f->acked(2), 'a request and its body');

my $q = $s->json('/queries')->[0];
my $stamp = strftime('%Y-%m-%dT%H:%M:%S', gmtime(int($now / 1000)))
            . sprintf('.%03dZ', $now % 1000);

is_deeply($q, {
    id => 1, timestamp => $stamp, client_ip => '2001:db8::1',
    client_name => 'alice', method => 'POST',
    endpoint => '/v1/chat/completions', model => $hostile,
    model_answered => 'other', key => 'team-b', key_index => 1,
    key_fingerprint => '00000b0b', status => 200, end => 'done',
    reason => undef, prompt_tokens => 100, completion_tokens => 20,
    cached_tokens => 60, total_tokens => 120, certainty => 'exact',
    cost_usd => 0.000123456, affinity => 'kept',
    prompt_certainty => 'exact', completion_certainty => 'exact',
    streamed => JSON::PP::true, queue_ms => 5, connect_ms => 6,
    first_token_ms => 700, total_ms => 8000, bytes_in => 1234,
    bytes_out => 5678, upstream_id => 'req-9', user_agent => 'curl/8',
    body => { size => 2_000_000, truncated => JSON::PP::true },
    attempts => [
        { key => 'team-a', key_fingerprint => 'a1b2c3d4', status => 429,
          ms => 12, cause => 'answered' },
        { key => '00000001', key_fingerprint => '00000001', status => undef,
          ms => 3000, cause => 'connect' },
        { key => 'team-b', key_fingerprint => '00000b0b', status => 200,
          ms => 4988, cause => 'answered' } ],
    attempts_total => 3,
}, 'a request with all its fields');

is_deeply($s->json('/queries/1'), $q, 'and by its id');
unlike($s->get('/queries')->{body}, qr/[<>&]/, 'no markup in JSON');

my $body = $s->get('/queries/1/body');

is($body->{body}, "{\"model\":\"caf\xc3\xa9\"}", 'its body as it came');
is($body->{headers}{'x-ollama-body-truncated'}, 1, '.. is marked as cut');
is($body->{headers}{'x-ollama-body-size'}, 2_000_000, '.. with its size');
is($body->{headers}{'x-content-type-options'}, 'nosniff', '.. for no browser');
like($body->{headers}{'content-security-policy'}, qr/default-src 'none'/,
     '.. to make something of it');

$body = $s->get('/queries/1/body',
                headers => { 'Accept-Encoding' => 'gzip' });
is($body->{headers}{'content-encoding'}, 'gzip', 'compressed, if one may');
like($body->{body}, qr/^\x1f\x8b/, '.. as it lies on the disk');

my @files = glob $s->dir . '/requests/*/*';
is(scalar @files, 1, 'one file');
like($files[0], qr!/\d{4}-\d\d-\d\d/\d\d\.gz$!, '.. named after its hour');
is(`zcat $files[0]`, $s->get('/queries/1/body')->{body}, '.. for zcat as well');

is($s->get('/queries/1', method => 'HEAD')->{body}, '', 'HEAD has no body');
cmp_ok($s->get('/queries/1', method => 'HEAD')->{headers}{'content-length'},
       '>', 100, '.. but its length');

# the cloud, as real traffic shows it

is($s->health->{cloud}{status}, 'reachable', 'the cloud has answered');
$f->request(seq => 3, status => 502, end => 3,
            attempts => [ { key => 'a1b2c3d4', cause => 2, ms => 9 } ]);
$f->acked(3);
is($s->health->{cloud}{status}, 'unreachable', '.. and is silent');
is($s->health->{cloud}{last_cause}, 'timeout', '.. for a reason');
$f->request(seq => 4, status => 503,
            attempts => [ { key => 'a1b2c3d4', status => 503, ms => 9 } ]);
$f->acked(4);
is($s->health->{cloud}{status}, 'failing', '.. and says 503');

# filters

my $seq = 4;

for my $i (0 .. 59) {
    $f->request(seq => ++$seq, client => '10.0.0.' . $i % 3,
                model => 'm' . $i % 4, status => (200, 429, 404)[$i % 3],
                key => $i % 2 ? 'a1b2c3d4' : '00000b0b', prompt => $i);
}

# ends: 2 the client hung up, 3 cut off, 4 an error inside the stream,
# 9 nginx was stopped, 10 its worker was killed

$f->request(seq => ++$seq, %$_) for
    { end => 2, status => 499 }, { end => 2, status => 200 },
    { end => 3, status => 200 }, { end => 4, status => 200 },
    { end => 3, status => 502 }, { end => 9, status => 0 }, { end => 10 },
    map { { status => $_, key => 'a1b2c3d4', attempts => [
            { key => '00000b0b', status => 429 },
            { key => 'a1b2c3d4', status => $_ } ] } } 200, 503;
$f->acked($seq);

# as the sums count it

sub is_error {
    my ($q) = @_;

    return 0 if $q->{end} eq 'client_gone';
    return $q->{status} >= 400 || is_broken($q);
}


sub is_broken {
    my ($q) = @_;

    return $q->{end} =~ /^(upstream_gone|stream_error|proxy_stopped|worker_gone)$/;
}


sub ids { return map { $_->{id} } @{ $s->json('/queries?' . $_[0]) } }

my @all = ids('limit=500');
is_deeply(\@all, [ sort { $b <=> $a } @all ], 'newest first');
is(scalar @all, 72, 'all of them');
is(scalar ids(''), 50, '50 if nothing is said');
is_deeply([ ids('limit=3&offset=2') ], [ @all[2 .. 4] ], 'limit and offset');
is_deeply([ ids("before=$all[9]&limit=2") ], [ @all[10, 11] ], 'before an id');
is_deeply([ ids("after=$all[2]") ], [ @all[0, 1] ], 'after an id');

my $rows = $s->json('/queries?limit=500');

my ($errors, $summed) = (scalar ids('status=error&limit=500'), 0);

$summed += $_->{errors} for @{ $s->json('/stats?by=model') };
is($errors, $summed, 'the sums count the same errors');
cmp_ok($errors, '>', 40, '.. some');

my %filters = (
    'ip=10.0.0.1' => sub { $_[0]{client_ip} eq '10.0.0.1' },
    'client=10.0.0.1' => sub { $_[0]{client_ip} eq '10.0.0.1' },
    'client=alice' => sub { ($_[0]{client_name} // '') eq 'alice' },
    'client=alice&model=m1' => sub { 0 },
    'client=nobody' => sub { 0 },
    'model=m2' => sub { $_[0]{model} eq 'm2' },
    'key=team-a' => sub { ($_[0]{key} // '') eq 'team-a' },
    'key=a1b2c3d4' => sub { ($_[0]{key} // '') eq 'team-a' },
    'status=429' => sub { $_[0]{status} == 429 },
    'status=4xx' => sub { $_[0]{status} =~ /^4/ },
    'status=5xx' => sub { $_[0]{status} =~ /^5/ },
    'status=error' => \&is_error,
    'status=error&key=team-a' => sub { ($_[0]{key} // '') eq 'team-a'
                                       && is_error($_[0]) },
    'status=broken' => \&is_broken,
    'status=client_gone' => sub { $_[0]{end} eq 'client_gone' },
    'status=499' => sub { $_[0]{status} == 499 },
    'status=2xx' => sub { $_[0]{status} =~ /^2/ },
    'status=retried' => sub { @{ $_[0]{attempts} } > 1 },
    'ip=10.0.0.1&model=m1' => sub { $_[0]{client_ip} eq '10.0.0.1'
                                    && $_[0]{model} eq 'm1' },
    'model=m1&key=team-a&status=200&ip=10.0.0.0' =>
        sub { $_[0]{client_ip} eq '10.0.0.0' && $_[0]{model} eq 'm1'
              && $_[0]{status} == 200 && $_[0]{key} eq 'team-a' },
    'model=nobody' => sub { 0 },
    'key=nobody' => sub { 0 },
    'ip=1.2.3.4' => sub { 0 },
    'key=team-a&status=404' => sub { ($_[0]{key} // '') eq 'team-a'
                                     && $_[0]{status} == 404 },
);

for my $filter (sort keys %filters) {
    my @want = map { $_->{id} } grep { $filters{$filter}->($_) } @$rows;

    is_deeply([ ids("$filter&limit=500") ], \@want, "?$filter");
    is_deeply([ ids("$filter&limit=2&offset=1") ], [ grep { defined }
                                                     @want[1, 2] ],
              '.. a page of it');

    next unless @want > 3;
    is_deeply([ ids("$filter&limit=2&before=$want[1]") ], [ @want[2, 3] ],
              '.. before an id');
}

# sums

my ($hour) = grep { $_->{client_ip} eq '2001:db8::1' } @{ $s->json('/stats') };
my $bucket = strftime('%Y-%m-%dT%H:00:00Z', gmtime(int($now / 1000)));

is_deeply($hour, {
    bucket => $bucket, client_ip => '2001:db8::1', client_name => 'alice',
    key_index => 1, key => 'team-b', key_fingerprint => '00000b0b',
    model => $hostile, requests => 1, prompt_tokens => 100,
    completion_tokens => 20, cached_tokens => 60, estimated_tokens => 0,
    errors => 0, cost_usd => 0.000123456, unpriced_tokens => 0,
}, 'a row of /stats');

$f->request(seq => ++$seq, model => 'est', certainty => 1, prompt => 7,
            completion => 1);
$f->request(seq => ++$seq, model => 'est', certainty => 2, prompt => 10);
$f->request(seq => ++$seq, model => 'est', certainty => 3, prompt => 100);
$f->request(seq => ++$seq, model => 'est', certainty => 0, status => 500);
$f->request(seq => ++$seq, model => 'est', certainty => 1, prompt => 2000,
            prompt_certainty => 1, completion_certainty => 3,
            completion => 50000);
$f->request(seq => ++$seq, model => 'est', certainty => 1, prompt => 50000,
            prompt_certainty => 3, completion_certainty => 1,
            completion => 3000);
$f->request(seq => ++$seq, model => 'est', end => 2, status => 499);
$f->request(seq => ++$seq, model => 'est', end => 4);
$f->acked($seq);
($hour) = grep { $_->{model} eq 'est' } @{ $s->json('/stats') };
is($hour->{estimated_tokens}, 5018, 'tokens that nobody vouches for');
is($hour->{requests}, 8, 'all requests count');
is_deeply([ map { join ' ', @$_{qw/ prompt_certainty completion_certainty
                                    certainty /} }
                reverse @{ $s->json('/queries?model=est&limit=4') }[2, 3] ],
          [ 'estimated exact estimated', 'exact estimated estimated' ],
          'of each half, and the weaker of both');
is($hour->{errors}, 2,
   'a client that hangs up is no error, a broken stream is');

# hours and minutes of the past

my $t0 = $now - $now % 3600_000;

for my $ago (1, 2, 30, 50) {
    $f->request(seq => ++$seq, model => 'past', prompt => $ago,
                time => $t0 - $ago * 3600_000);
}
$f->acked($seq);

my @past = grep { $_->{model} eq 'past' } @{ $s->json('/stats') };
is_deeply([ map { $_->{prompt_tokens} } @past ], [ 1, 2, 30, 50 ],
          '/stats: newest first');

sub iso { strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($_[0] / 1000)) }

my $from = iso($t0 - 30 * 3600_000);
my $to = iso($t0 - 3600_000);
@past = grep { $_->{model} eq 'past' }
             @{ $s->json("/stats?from=$from&to=$to") };
is_deeply([ map { $_->{prompt_tokens} } @past ], [ 2, 30 ],
          '.. from and to, without its end');
my $seconds = int(($t0 - 30 * 3600_000) / 1000);
is(scalar @{ $s->json("/stats?from=$seconds&limit=1") }, 1, '.. in seconds');
ok(@{ $s->json('/stats?from=2020-01-01') }, '.. a date');
is(scalar @{ $s->json('/stats?to=2020-01-01') }, 0, '.. nothing before');

# put together by one of the four, it is the same in all

my @sums = @{ $s->json('/stats?limit=10000') };
my %of = (hour => sub { $_[0]{bucket} },
          client => sub { "$_[0]{client_ip} " . ($_[0]{client_name} // '') },
          model => sub { $_[0]{model} },
          key => sub { $_[0]{key_fingerprint} // '' });

for my $by (sort keys %of) {
    my (%wanted, %got);

    for my $field (qw/ requests prompt_tokens completion_tokens cached_tokens
                       estimated_tokens errors /) {
        $wanted{ $of{$by}->($_) }{$field} += $_->{$field} for @sums;
    }

    for my $row (@{ $s->json("/stats?by=$by") }) {
        $got{ $of{$by}->($row) } = { map { $_ => $row->{$_} }
            qw/ requests prompt_tokens completion_tokens cached_tokens
                estimated_tokens errors / };
    }
    is_deeply(\%got, \%wanted, "/stats?by=$by");
}
is_deeply($s->json('/stats?by=all&limit=10000'), \@sums, '/stats?by=all');
is($s->get('/stats?by=moon')->{status}, 400, '.. or nothing else');

my @hours = @{ $s->json('/stats/24h') };
is($hours[-1]{hour_bucket}, iso($t0), 'the last hour is the current one');
is($hours[-2]{total_tokens}, 1, '.. the one before');
is($hours[-3]{total_tokens}, 2, '.. and before that');
is($hours[-4]{total_tokens}, 0, '.. an hour without any is 0');
is(scalar @{ $s->json('/stats/24h?hours=48') }, 48, 'the day before as well');
is($s->json('/stats/24h?hours=48')->[-31]{total_tokens}, 30, '.. is in it');

my $m = $s->json('/stats/minute?window=1440');
is_deeply([ sort keys %{ $m->[0] } ],
          [ qw/ cost_usd errors minute model requests total_tokens
                unpriced_tokens / ],
          'a row of a minute');
is_deeply([ map { $_->{minute} } @$m ], [ sort map { $_->{minute} } @$m ],
          'minutes, oldest first');
is((grep { $_->{model} eq 'past' } @$m)[0]{minute}, iso($t0 - 2 * 3600_000),
   '.. from the window');
is(scalar(grep { $_->{model} eq 'past' } @{ $s->json('/stats/minute') }),
   0, 'an hour if nothing is said')
    if $now - $t0 > 60_000;
ok((grep { ($_->{key} // '') eq 'team-b' }
         @{ $s->json('/stats/minute?by=key') }), 'by key');
ok((grep { $_->{client_ip} eq '2001:db8::1' && $_->{client_name} eq 'alice' }
         @{ $s->json('/stats/minute?by=client') }), 'by client');

my $steps = $s->json('/stats/minute?window=1440&step=60&by=all');
is_deeply([ map { $_->{minute} } @$steps ],
          [ iso($t0 - 2 * 3600_000), iso($t0 - 3600_000), iso($t0) ],
          'in steps of an hour');

# what is wrong is said

my $times = 'from=yesterday from=2026-02-30 from=2026-01-01T25:00:00Z '
            . 'to=2026-1-1 from=1x to=99999999999999';

my %wrong = (
    '/stats' => [ qw/ limit=0 limit=10001 limit=x limit= limit=1.5
                      limit=-1 limit=99999999999999999999
                      from=2026-01-02&to=2026-01-01 /, split ' ', $times ],
    '/stats/minute' => [ qw/ window=0 window=1441 window=1h by=day step=0
                             step=61 / ],
    '/stats/24h' => [ qw/ hours=0 hours=745 / ],
    '/stats/events' => [ qw/ limit=1001 / ],
    '/queries' => [ qw/ limit=0 limit=501 offset=-1 offset=10001 status=20
                        status=6xx status=abc before=0 before=x after=-1 /,
                    'model=' . 'x' x 257, 'ip=' . '1' x 129, 'client=' . '1' x 129 ],
    '/logs' => [ qw/ level=loud limit=0 limit=1001 / ],
);

for my $page (sort keys %wrong) {
    for my $query (@{ $wrong{$page} }) {
        my $answer = $s->get("$page?$query");

        is($answer->{status}, 400, "$page?" . substr $query, 0, 40);
        like($Statsd::json->decode($answer->{body})->{error},
             qr/^\w[\w ]+ must .{8}/, '.. is said in a sentence');
    }
}

is($s->get('/queries/999999')->{status}, 404, 'no such request');
is($s->get('/queries/999999/body')->{status}, 404, '.. and no body');
is($s->get('/queries/2/body')->{status}, 404, 'a request without body');
is($s->get('/queries/0')->{status}, 400, 'id 0');
is($s->get('/queries/99999999999999999999')->{status}, 400, 'a long id');

for my $path ('/', '/queries/x', '/queries/1/', '/queries/1/body/',
              '/queries/1/../2', '/queries/%2e%2e/x', '/queries/',
              '/queries/-1', '/stats/', '/stats/../logs', '//stats',
              '/stat%73', '/etc/passwd') {
    is($s->get($path)->{status}, 404, "no such page: $path");
}

for my $method (qw/ POST PUT DELETE OPTIONS PATCH /) {
    my $answer = $s->get('/stats', method => $method,
                         headers => { 'Content-Length' => 0 });
    is($answer->{status}, 405, "$method is not served");
}
is($s->get('/stats?nonsense=1')->{status}, 200, 'an unknown name is ignored');
is($s->get('/stats?limit=%zz')->{status}, 400, 'half a percent');

# on one connection, one after another

my $two = "GET /stats/24h HTTP/1.1\r\nHost: a\r\n\r\n"
          . "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $answers = $s->get('', raw => $two)->{raw};
is(scalar(() = $answers =~ /^HTTP\/1\.1 200/mg), 2, 'a kept connection');

# names that somebody makes up do not fill the tables

my $made_up = 1100;
$f->request(seq => $seq + $_, model => "junk-$_", status => 404)
    for 1 .. $made_up;
$seq += $made_up;
$f->request(seq => ++$seq, model => 'new-and-fine', status => 200);
ok($f->acked($seq), 'many names');

my %model = map { $_->{model} => $_->{requests} }
                @{ $s->json('/stats?limit=10000') };
cmp_ok($model{'(other)'}, '>', 50, 'the last of them are summed up');
is($model{'new-and-fine'}, 1, '.. a good one is not');
is($s->json('/queries?limit=2')->[1]{model}, "junk-$made_up",
   '.. and each request keeps its name');

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

# until a time: what had ended by then

my $t = Statsd->start;
my $g = $t->frames;
my $base = int(time() * 1000) - 600 * 60_000;

$g->request(seq => $_, time => $base + $_ * 60_000, total => 30_000,
            model => 'm' . $_ % 2) for 1 .. 500;
$g->acked(500);

sub until_minute {
    my ($minute, $more) = @_;

    return scalar @{ $t->json('/queries?limit=500&until='
        . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($base / 1000 + $minute * 60))
        . ($more // '')) };
}

is(until_minute($_->[0]), $_->[1], "until minute $_->[0]: $_->[1]")
    for [ -10, 0 ], [ 1.2, 0 ], [ 1.8, 1 ], [ 250.2, 249 ], [ 250.8, 250 ],
        [ 499.8, 499 ], [ 520, 500 ], [ 5000, 500 ];
is(until_minute(250.8, '&model=m1'), 125, '.. with a filter');
is(until_minute(250.8, '&before=11'), 10, '.. or the nearer of two bounds');
is($t->get('/queries?until=yesterday')->{status}, 400, '.. no other words');

done_testing();
