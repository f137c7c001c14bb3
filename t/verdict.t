#!/usr/bin/perl

# Tests for re-dispatch and blame: each kind of answer, what the client gets
# for it, and what is held against which key.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new(http => q(log_format statuses '$uri $status';),
                   server => 'access_log %DIR%/statuses.log statuses;',
                   balancer => "ollama_keys; $Proxy::no_keepalive",
                   params => { proxy_read_timeout => '1s',
                               proxy_connect_timeout => '1s' })->run;

my %native = (model => 'gpt-oss:20b');


# One row: the first key that is tried meets the rule.  Expected are the
# client's status (200), the number of attempts (2) and, of the key blamed,
# its state (healthy), its expires_in and its blocked models (none; for a minute).
# What sim says is for the simulator; worked: all keys are seen working before;
# short: the penalty may be over before one looks.

sub row {
    my ($name, $rule, %expected) = @_;

    subtest $name => sub {
        $t->cloud->reset;
        $t->post("/health/keys/$_/reset", '') for 0 .. 2;
        all_work() if $expected{worked};
        $t->cloud->reset;
        $t->cloud->rules({ times => 1, %$rule });

        my $r = $t->chat(%native, sim => $expected{sim});
        my @requests = $t->cloud->requests;
        my ($first) = grep { key_of($_) eq $requests[0]{key} } 0 .. 2;
        my $key = $t->health($first);

        is($r->status, $expected{status} // 200, "the client's status");
        is((Process::slurp($t->dir . '/statuses.log') =~ m!^/api/chat (.*)!mg)
           [-1], $r->status, 'and that of the log');
        is($r->header('x-ollama-attempts'), $expected{attempts} // 2, 'tries');
        is(scalar @requests, $expected{attempts} // 2, 'so does the cloud see');

        if (@requests > 1) {
            isnt($requests[1]{key}, $requests[0]{key}, 'with another key');
            is($requests[1]{body}, $requests[0]{body}, 'and the same body');
        }

        like($r->body, $expected{body}, 'the error as it came')
            if $expected{body};

        if ($expected{short} && !$key->{penalty_active}) {
            is($key->{state}, 'half_open', 'the penalty is over');
            return;
        }

        is($key->{state}, $expected{state} // 'healthy', "the key's state");
        is(!!$key->{penalty_active}, defined $expected{expires}, 'a penalty');

        if (defined $expected{expires}) {
            cmp_ok(abs($key->{expires_in} - $expected{expires}), '<=', 2,
                   "ends in $expected{expires} s")
                or diag($key->{expires_in});
            like($key->{reason}, qr/\w/, 'for a reason');
            ok(!$key->{eligible}, 'it is out');

        } else {
            ok($key->{eligible}, 'it stays in');
        }

        is_deeply([ map { ref ? $_->{model} : $_ } @{ $key->{blocked_models} } ],
                  $expected{blocked} // [], 'blocked models');
        cmp_ok(abs($_->{expires_in} - 60), '<=', 2, 'for a minute')
            for @{ $key->{blocked_models} };

        my @others = grep { $_ != $first } 0 .. 2;

        is(scalar(grep { $t->health($_)->{penalty_active} } @others), 0,
           'the other keys are not blamed');

        # the next requests go to who is left

        my %next = map { $_ => 1 } $t->answered_by(6, %native);

        # (one that has dropped a connection comes last for a moment)

        is($next{"key_$first"} // 0,
           defined $expected{expires} || $expected{blocked}
           || $expected{behind} ? 0 : 1,
           'the next requests')
            unless $next{"key_$first"} && ($expected{behind}
                                           || $expected{short});
    };
}


# each key has answered at least once

sub all_work {
    my %seen;

    for (1 .. 60) {
        last if keys %seen == 3;
        $seen{$_} = 1 for $t->answered_by(1, %native);
    }
}


# the end of a window of so many seconds; its first moments are not believed

sub window {
    my ($seconds, $offset) = @_;
    my $since = (time() - ($offset // 0)) % $seconds;

    return $since < 10 ? 30 : $seconds - $since;
}


# quota

row('429 session', { preset => 'quota_session' },
    state => 'exhausted', expires => window(18000));
row('429 hourly', { preset => 'quota_hourly' },
    state => 'exhausted', expires => window(3600));
row('429 weekly', { preset => 'quota_weekly' },
    state => 'exhausted', expires => window(7 * 86400, 4 * 86400));
row('429 monthly', { preset => 'quota_monthly' },
    state => 'exhausted', expires => 900);
row('429 monthly, Retry-After', { preset => 'quota_monthly',
                                  headers => { 'retry-after' => 1234 } },
    state => 'exhausted', expires => 1234);

# slots

row('429 concurrent', { preset => 'concurrent' },
    state => 'slots', expires => 10);
row('429 queued too long', { preset => 'queue_timeout' },
    state => 'slots', expires => 10);

# any other 429

row('429 unknown', { preset => 'unknown_429',
                     headers => { 'retry-after' => 77 } },
    state => 'paused', expires => 77);
row('429 unknown, no Retry-After', { status => 429, body => '{"error":"no"}' },
    state => 'paused', expires => 15);

my @date = split ' ', gmtime time() + 100;

row('429 unknown, Retry-After as a date',
    { preset => 'unknown_429', headers => { 'retry-after' =>
      "$date[0], " . sprintf('%02d', $date[2])
      . " $date[1] $date[4] $date[3] GMT" } },
    state => 'paused', expires => 100);

for my $scale (1, 1000) {
    row("429 unknown, Retry-After as a Unix time, by $scale",
        { preset => 'unknown_429',
          headers => { 'retry-after' => $scale * (time() + 200) } },
        state => 'paused', expires => 200);
}

# the key: one that has worked, and one that nobody has seen working

row('401 unauthorized', { preset => 'unauthorized' }, worked => 1,
    short => 1, state => 'paused', expires => 2);

subtest '401 of a key never seen working' => sub {
    my @k = (key_of(10), key_of(11));
    my $fresh = Proxy->new(cloud => $t->cloud,
                           keys => [ { key => $k[0], weight => 1000 },
                                     $k[1] ])->run;

    $t->cloud->reset;
    $t->cloud->rules({ match => { key => $k[0] }, times => -1,
                       preset => 'unauthorized' });

    is($fresh->chat->header('x-ollama-attempts'), 2, 'another key is tried');

    my $key = $fresh->health(0);

    is($key->{state}, 'invalid', 'invalid');
    cmp_ok(abs($key->{expires_in} - 10), '<=', 2, 'for ten seconds');

    $fresh->post('/health/keys/0/penalize?seconds=1', '');
    $fresh->post('/health/keys/0/reset', '');
    $fresh->chat for 1 .. 3;
    is($fresh->health(0)->{state}, 'invalid', 'again, after a reset');
};

# the key with this model

row('402 model', { preset => 'model_402' }, blocked => [ 'gpt-oss:20b' ]);
row('403 model', { preset => 'model_403' }, blocked => [ 'gpt-oss:20b' ]);
row('402 of any text', { status => 402, body => '{"error":"pay"}' },
    blocked => [ 'gpt-oss:20b' ]);

for my $text ('requires a subscription', 'not in your plan', 'Upgrade, please',
              'this model needs credits', 'not included in your usage')
{
    row("403 $text", { status => 403, body => qq!{"error":"$text"}! },
        blocked => [ 'gpt-oss:20b' ]);
}

# the request

row('403 of any other text',
    { status => 403, body => '{"error":"this prompt is not allowed"}' });
row('403 of any other text, twice',
    { status => 403, times => 2,
      body => '{"error":"against our usage policies"}' },
    status => 403, body => qr/usage policies/);

# the account

row('402 balance', { status => 402, body => '{"error":"extra usage balance is '
                                    . 'empty, add extra usage"}' },
    state => 'exhausted', expires => 900);
row('403 credits', { status => 403, body => '{"error":"add credits first"}' },
    state => 'exhausted', expires => 900);
row('402 balance, but of this model',
    { status => 402, body => '{"error":"this model uses extra usage only and '
                             . 'your extra usage balance is empty"}' },
    blocked => [ 'gpt-oss:20b' ]);
row('402 that is a quota',
    { status => 402, body => '{"error":"you (x) have reached your session '
                             . 'usage limit"}' },
    state => 'exhausted', expires => window(18000));

subtest 'a blocked model' => sub {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
    $t->cloud->rules({ times => 1, preset => 'model_403' });
    $t->chat(%native);

    my ($blocked) = grep { @{ $t->health($_)->{blocked_models} } } 0 .. 2;
    my %next = map { $_ => 1 } $t->answered_by(6, model => 'gpt-oss:120b');

    is($next{"key_$blocked"}, 1, 'the key serves other models');
};

# the model or the cloud

for my $preset (qw/ internal_500 bad_gateway_html_502 overloaded_503
                    gateway_504 gateway_timeout_524 /)
{
    my ($status) = $preset =~ /(\d+)/;

    row("$status once", { preset => $preset });
    row("$status twice", { preset => $preset, times => 2 },
        status => $status, body => qr/\w/);
}

row('400 Internal Server Error',
    { status => 400, body => '{"error":"Internal Server Error (ref: 1)"}' });
row('403 in HTML', { status => 403, body => '<html>forbidden</html>',
                     headers => { 'content-type' => 'text/html' } });
row('429 in HTML', { status => 429, body => '<html>slow down</html>',
                     headers => { 'content-type' => 'text/html' } });

# the network

row('closed before the headers', { close => 'before_headers' }, behind => 1);
row('reset before the headers', { close => 'reset_before_headers' },
    behind => 1);
row('closed twice', { close => 'before_headers', times => 2 },
    status => 502, body => qr/^\{"error":"/, behind => 1);
row('silence', { hold => JSON::PP::true });
row('silence twice', { hold => JSON::PP::true, times => 2 },
    status => 504, body => qr/^\{"error":"/);

# the request

for my $preset (qw/ bad_request_400 not_found_404 gone_410 too_large_413 /) {
    my ($status) = $preset =~ /(\d+)/;

    row("$status as it is", { preset => $preset }, status => $status, attempts => 1,
        body => qr/^\{"error":"/);
}

row('501 as it is', { status => 501, body => '{"error":"never"}' },
    status => 501, attempts => 1, body => qr/never/);

# errors that break off: the status is an answer all the same

my $none = { http10_close => JSON::PP::true };

row('503 without length and body', { status => 503, times => 2 }, sim => $none,
    status => 503, body => qr/^\{"error":"/);
row('401 without length and body', { status => 401 }, sim => $none, worked => 1,
    short => 1, state => 'paused', expires => 2);
row('400 without length and body', { status => 400 }, sim => $none,
    status => 400, attempts => 1, body => qr/^\{"error":"/);
row('503 shorter than its length',
    { status => 503, times => 2, body => '{"error"',
      headers => { 'content-length' => 100 } },
    status => 503, body => qr/^\{"error":"/);
row('503 closed after the headers',
    { status => 503, times => 2, close => 'after_headers' },
    status => 503, body => qr/^\{"error":"/);

# an endpoint where the cloud answers 401 to good keys

subtest '401 where it says nothing' => sub {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;

    my $r = $t->post('/api/embed', { model => 'm', input => 'x' });

    is($r->status, 401, 'arrives');
    is(scalar(grep { !$_->{eligible} } values %{ $t->health }), 0,
       'and no key is blamed');
};

# a request that names no model

subtest '403 without a model' => sub {
    $t->cloud->reset;
    $t->cloud->rules({ times => 1, preset => 'model_403' });

    my $r = $t->post('/api/web_search', { query => 'x' });

    is($r->status, 200, 'is tried with another key');
    is(scalar $t->cloud->requests, 2, 'once');
    is_deeply([ map { @{ $_->{blocked_models} } } values %{ $t->health } ], [],
              'and nothing is blocked');
};

# a server that is not there

my $gone = Proxy->new(cloud => $t->cloud, servers => 'server 127.0.0.1:1;',
                      balancer => 'ollama_keys;')->run;
my $r = $gone->chat;

is($r->status, 502, 'no connection');
is($r->header('x-ollama-attempts'), 2, 'two keys are tried');
like($r->json->{error}, qr/\w/, 'the answer is JSON');
is(scalar(grep { !$_->{eligible} } values %{ $gone->health }), 0,
   'and no key is blamed');

finish();
