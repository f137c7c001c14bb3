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
# its state (healthy), its expires_in and its blocked models (none).  What sim
# says is for the simulator.

sub row {
    my ($name, $rule, %expected) = @_;

    subtest $name => sub {
        $t->cloud->reset;
        $t->post("/health/keys/$_/reset", '') for 0 .. 2;
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

        my @others = grep { $_ != $first } 0 .. 2;

        is(scalar(grep { $t->health($_)->{penalty_active} } @others), 0,
           'the other keys are not blamed');

        # the next requests go to who is left

        my %next = map { $_ => 1 } $t->answered_by(6, %native);

        # (one that has dropped a connection comes last for a moment)

        is($next{"key_$first"} // 0,
           defined $expected{expires} || $expected{blocked}
           || $expected{behind} ? 0 : 1,
           'the next requests') unless $expected{behind} && $next{"key_$first"};
    };
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

# the key

row('401 unauthorized', { preset => 'unauthorized' }, state => 'invalid', expires => 3600);

# the key with this model

row('402 model', { preset => 'model_402' }, blocked => [ 'gpt-oss:20b' ]);
row('403 model', { preset => 'model_403' }, blocked => [ 'gpt-oss:20b' ]);

subtest 'a blocked model' => sub {
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
row('401 without length and body', { status => 401 }, sim => $none,
    state => 'invalid', expires => 3600);
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
