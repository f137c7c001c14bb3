#!/usr/bin/perl

# Tests for ollama_keepalive: a stream that has to wait gets signs of life, and
# once it has got one hears of everything in the stream.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;

my $key = { key => key_of(0), max_concurrent => 1 };
my $other = { key => key_of(1), max_concurrent => 1 };
my $cloud = Cloud->start;
my $on = 'ollama_keepalive 200ms;';

my %ping = ('/v1/messages' => qq(event: ping\ndata: {"type":"ping"}\n\n));
my %error = (
    '/v1/messages' => qr/^event: error\ndata: (\{"type":"error".*\})\n\n\z/m,
    '/v1/responses' => qr/^event: response.failed\ndata: (\{.*\})\n\n\z/m,
);
my @paths = qw{ /v1/chat/completions /v1/completions /v1/messages
                /v1/responses };

sub ping { $ping{$_[0]} // ": ping\n\n" }
sub error { $error{$_[0]} // qr/^data: (\{"error":.*\})\n\n\z/m }


sub proxy {
    my ($queue, %how) = @_;
    my $keys = delete $how{keys} // [ $key ];

    return Proxy->new(cloud => $cloud, keys => $keys, http => $on,
                      balancer => "ollama_keys;\n$queue\nkeepalive 8;",
                      %how)->run;
}


sub start {
    my ($t, $path, %how) = @_;
    my $body = delete $how{body} // {};

    return $t->start_chat(uri => $path, stream => 1, %how, body =>
        { max_tokens => 9, input => 'hi', prompt => 'hi', %$body });
}


sub stream {
    my $r = start(@_);
    Http::finish($r);
    return $r;
}


# a stream without its pings, its ids and times

sub bare {
    my ($path, $body) = @_;
    my $ping = ping($path);

    $body =~ s/(?:^|(?<=\n\n)|(?<=\n\r\n))\Q$ping\E//g;

    return $body =~ s/("(?:created|created_at|completed_at)":)\d+/$1T/gr
                 =~ s/"(chatcmpl|cmpl|resp|msg|item|rs|req)[-_][-\w]*"/"$1"/gr;
}


sub pings {
    my ($path, $r) = @_;
    my $ping = ping($path);

    return scalar(() = $r->body =~ /(?:^|\n\n)(?=\Q$ping\E)/g);
}


sub occupy {
    my ($t, $ms) = @_;
    my $slow = $t->start_chat(sim => { first_delay_ms => $ms });

    poll { Http::turn(0.01, $slow); $t->in_flight } 'the slot is taken';

    return $slow;
}


my $t = proxy('ollama_queue 8 timeout=20s;', daemon => 1);
my $off = proxy('ollama_queue 8 timeout=20s;', http => '');

for my $path (@paths) {
    $cloud->reset;

    # silence of the cloud, before its header and in the middle

    my $plain = stream($off, $path);
    my $want = bare($path, $plain->body);

    is(pings($path, $plain), 0, "$path: off, no pings");
    is(pings($path, stream($off, $path, sim => { first_delay_ms => 900 })), 0,
       'also if it is slow');
    is(bare($path, (my $fast = stream($t, $path))->body), $want,
       'on, and nothing is silent');
    is(pings($path, $fast), 0, 'no pings');
    is($fast->header('x-ollama-key'), 'key_0', 'and all headers');

    my $r = stream($t, $path, sim => { first_delay_ms => 1300 },
                   model => 'silent' . $path =~ tr!/!-!r);

    cmp_ok(pings($path, $r), '>=', 2, 'silent before its header');
    is($r->status, 200, 'status 200');
    is($r->header('content-type'), 'text/event-stream', 'its type');
    is($r->header('x-accel-buffering'), 'no', 'not to be buffered');
    is($r->header('x-ollama-key'), undef, 'the key is not known yet');
    is($r->header('x-ollama-attempts'), undef, 'nor attempts');
    is(bare($path, $r->body) =~ s/"silent[-\w]*"/"gpt-oss:20b"/gr, $want,
       'the rest byte for byte');
    ok($r->complete, 'to its end');

    my $q = record($t, 'silent' . $path =~ tr!/!-!r);

    cmp_ok($q->{first_token_ms} // 0, '>=', 1000, 'a ping is no first token');
    is($q->{status}, 200, 'its status');
    like(tokens($q), qr/exact done/, 'counted');

    $r = stream($t, $path, sim => { delay_ms => 700, words => 2 });
    cmp_ok(pings($path, $r), '>=', 2, 'silent in the middle');
    is($r->header('x-ollama-key'), $path eq '/v1/responses' ? undef : 'key_0',
       'with all headers, unless its first event said nothing');
    is(bare($path, $r->body),
       bare($path, stream($off, $path, sim => { words => 2 })->body),
       'the rest byte for byte');

    # never within an event

    $r = stream($t, $path, sim => { delay_ms => 500, words => 1,
                                    crlf => JSON::PP::true });
    is(bare($path, $r->body),
       bare($path, stream($off, $path, sim => { words => 1, crlf =>
                                                JSON::PP::true })->body),
       'CR LF');

    # in the queue

    my $slow = occupy($t, 1200);

    $r = stream($t, $path);
    Http::finish($slow);
    cmp_ok(pings($path, $r), '>=', 2, 'waits in the queue');
    is(bare($path, $r->body), $want, 'and is served');

    # parked after an error

    $cloud->rules({ times => 1, status => 429, headers => { 'retry-after' => 2 },
                    body => '{"error":"too many concurrent requests"}' });
    $r = stream($t, $path);
    cmp_ok(pings($path, $r), '>=', 2, 'parked');
    is($r->status, 200, 'status 200');
    is(bare($path, $r->body), $want, 'and is served');

    # refusals of the cloud, after pings

    $cloud->rules({ times => -1, status => 400, delay_ms => 900,
                    body => '{"error":"no such thing"}' });
    $r = stream($t, $path, model => 'refused' . $path =~ tr!/!-!r);
    $cloud->reset;
    cmp_ok(pings($path, $r), '>=', 1, 'refused');
    is($r->status, 200, '200 for good');
    like($r->body, error($path), 'told');
    like($r->body, qr/no such thing/, 'in the words of the cloud');
    is(scalar(() = $r->body =~ /no such thing/g), 1, 'once');
    ok($r->complete, 'and ended');
    is(record($t, 'refused' . $path =~ tr!/!-!r)->{status}, 400,
       'the record has the true status');

    # an answer that is no stream

    $cloud->rules({ times => 1, delay_ms => 700, body => '{"id":"x"}',
                    headers => { 'content-type' => 'application/json' } });
    $r = stream($t, $path);
    like($r->body, error($path), 'no stream');

    # nobody answers

    $cloud->rules({ times => -1, delay_ms => 700, close => 'before_headers' });
    $r = stream($t, $path, model => 'closed' . $path =~ tr!/!-!r);
    $cloud->reset;
    cmp_ok(pings($path, $r), '>=', 1, 'cut off before it has begun');
    like($r->body, error($path), 'told');
    is(record($t, 'closed' . $path =~ tr!/!-!r)->{status}, 502, 'on record');
    $t->post('/health/keys/1/reset', '');
}

# waited in vain

my $short = proxy('ollama_queue 4 timeout=900ms;', daemon => 1);

for my $path (@paths) {
    my $slow = occupy($short, 2500);
    my $r = stream($short, $path, model => 'vain' . $path =~ tr!/!-!r);

    cmp_ok(pings($path, $r), '>=', 1, "$path: waited");
    is($r->status, 200, 'in vain: 200');
    like($r->body, error($path), 'told');
    like($r->body, qr/no key can serve this request/, 'why');
    ok($r->complete, 'and ended');

    my $q = record($short, 'vain' . $path =~ tr!/!-!r);

    is("$q->{status} $q->{end}", '429 local', 'on record');
    $slow->abort;
    poll { !$short->in_flight } 'the slot is free';
}

is($short->chat(uri => '/v1/embeddings', stream => 1,
                body => { input => 'x' })->header('x-accel-buffering'), undef,
   'what is no stream gets none');

# another key after pings

my $two = proxy('ollama_queue 8 timeout=20s;', keys => [ $key, $other ]);

$cloud->reset;
$cloud->rules({ times => 1, status => 429, delay_ms => 800,
                body => '{"error":"you (x) have reached your session usage '
                        . 'limit"}' });

my $r = stream($two, '/v1/chat/completions');

cmp_ok(pings('/v1/chat/completions', $r), '>=', 1, 'pings, then 429');
like($r->body, qr/\[DONE\]\n\n\z/, 'the other key answers');
is(scalar $cloud->requests, 2, 'in the second attempt');

# native streams, and what is no stream

unlike(stream($t, '/api/chat', sim => { first_delay_ms => 700 })->body,
       qr/ping/, 'native: none');
is(ref $t->chat(uri => '/v1/chat/completions',
                sim => { first_delay_ms => 700 })->json, 'HASH',
   'no stream: none');

# clients that leave

$cloud->reset;

for my $how ('in the queue', 'at the cloud') {
    my $slow = $how =~ /queue/ ? occupy($t, 1500) : undef;
    my $path = '/v1/chat/completions';
    my $model = $how =~ /queue/ ? 'left-queue' : 'left-early';

    $r = start($t, $path, model => $model, sim => { first_delay_ms => 3000 });
    poll { Http::turn(0.05, $r); length($r->{raw} // '') } 'a ping';
    $r->abort;

    my $q = record($t, $model);

    is($q->{end}, 'client_gone', "$how: a client leaves");
    is($q->{status}, 499, 'its status');
    Http::finish($slow) if $slow;
    poll { !$t->in_flight } 'the slot is free';
}

# HTTP/1.0, and another nginx in front that has less patience

my $message = $t->http->message('POST', '/v1/messages', json =>
    { model => 'm', max_tokens => 9, stream => JSON::PP::true,
      messages => [ { role => 'user', content => 'hi' } ],
      _sim => { first_delay_ms => 900 } });

$r = $t->start('POST', '/v1/messages', raw => $message =~ s!HTTP/1.1!HTTP/1.0!r);
Http::finish($r);
cmp_ok(pings('/v1/messages', $r), '>=', 1, 'HTTP/1.0');
is($r->header('transfer-encoding'), undef, 'without chunks');
like($r->body, qr/message_stop"\}\n\n\z/, 'to the end');

my $outer = Process::port();
my $inner = $t->port;

my $front = Proxy->new(cloud => $cloud, http => <<"END")->run;
    server {
        listen 127.0.0.1:$outer;
        location / {
            proxy_pass http://127.0.0.1:$inner;
            proxy_read_timeout 1s;
        }
    }
END

my $through = Http->new(port => $outer, headers =>
                        [ Authorization => "Bearer $Proxy::token" ]);

$r = $through->post('/v1/chat/completions',
    { model => 'm', stream => JSON::PP::true,
      messages => [ { role => 'user', content => 'hi' } ],
      _sim => { first_delay_ms => 3500 } });
is($r->status, 200, '3.5 times the patience of a proxy in front');
like($r->body, qr/\[DONE\]\n\n\z/, 'to the end');

# HTTP/2, packed

SKIP: {
    skip('curl knows no HTTP/2 here', 6)
        unless `curl --version 2>/dev/null` =~ /HTTP2/;

    my $port = Process::port();
    my $second = proxy('ollama_queue 8 timeout=20s;', server =>
        "listen 127.0.0.1:$port http2;", params => { gzip => 'on',
        gzip_types => '*', gzip_min_length => 1 });

    for my $how ([ '--http2-prior-knowledge' ],
                 [ '--http2-prior-knowledge', '--compressed' ],
                 [ '--compressed' ])
    {
        my ($code, $output) = Process::run([ qw/ curl -sS --max-time 20 /,
            @$how, 'http://127.0.0.1:' . ("@$how" =~ /http2/ ? $port
                                                    : $second->port)
            . '/v1/chat/completions',
            '-H', "Authorization: Bearer $Proxy::token",
            '-d', '{"model":"m","stream":true,"_sim":{"first_delay_ms":700},'
                  . '"messages":[{"role":"user","content":"hi"}]}' ]);

        is($code, 0, "@$how");
        like($output, qr/\A: ping\n\n.*\[DONE\]\n\n\z/s, 'pings and the answer');
    }
}

finish();
