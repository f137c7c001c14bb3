#!/usr/bin/perl

# Tests with HTTP/2 between proxy and cloud (proxy_http_version 2): an error is
# read out of the frames that carry it, and a connection is kept only when its
# frames have been read to the end.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use H2;
use Poll;
use Proxy;
use Records;
use Test::More;
use Time::HiRes qw/ time /;

# nginx 1.29.4 can, if it was built with HTTP/2

my $absent = qr/statsd|http\.sock/;
my ($code, $output) = Proxy->new(cloud => 0, params => {
    proxy_http_version => '2' })->nginx('-t');

plan(skip_all => "this nginx knows no HTTP/2 to an upstream")
    if $output =~ /invalid value "2"|unknown.*http_version/;

# (the daemon's pages do not come by HTTP/2)

my @uris = qw! /api/chat /api/generate /v1/chat/completions /v1/responses
               /v1/messages !;
my $locations = join "\n", map { <<"EOT" } @uris;
        location = $_ {
            ollama on;
            ollama_access on;
            proxy_http_version 2;
            proxy_pass \$ollama_upstream;
        }
EOT

# answers in frames: an error first, in each of the ways in which one can come

my $quota = '{"error":"you (someone) have reached your session usage limit, '
            . 'upgrade for higher limits"}';
my $spent = 'you (someone) have reached your session usage limit, '
            . 'upgrade for higher limits';
my @served = ('head:200 content-type=application/x-ndjson',
              qq(data:{"model":"m","message":{"content":"hi"},"done":false}\n),
              qq(+data:{"model":"m","done":true,"prompt_eval_count":5,)
              . qq("eval_count":7}\n));


sub head {
    my ($status, $body) = @_;

    return "head:$status content-type=application/json"
           . (defined $body ? ' content-length=' . length $body : '');
}


my @pieces = map { "data:$_" } unpack '(a10)*', $quota;

my %framed = (
    'one frame with the length' => [ head(429, $quota), "+data:$quota" ],
    'one frame' => [ head(429), "+data:$quota" ],
    'an end of its own' => [ head(429), "data:$quota", 'end' ],
    'an end that comes later' => [ head(429, $quota), "data:$quota", 'pause',
                                   'end' ],
    'many frames' => [ head(429), @pieces, 'end' ],
    'many frames with the length' => [ head(429, $quota), @pieces, 'end' ],
    'frames that come by and by' => [ head(429), map({ ($_, 'pause') }
                                      @pieces[0 .. 2]), @pieces[3 .. $#pieces],
                                      'end' ],
    'a frame in halves' => [ head(429), "half:$quota", 'end' ],
    'a frame in halves with the length' => [ head(429, $quota),
                                             "half:$quota", 'end' ],
    'a header alone at first' => [ head(429, $quota), 'pause',
                                   "+data:$quota" ],
    'padding' => [ head(429), "padded:$quota", 'end' ],
    'trailers' => [ head(429), "data:$quota", 'trailers' ],
    'a ping in its midst' => [ head(429), @pieces[0 .. 2], 'ping',
                               @pieces[3 .. $#pieces], 'end' ],
);
my %empty = (
    'no body' => [ '+head:401' ],
    'a body without bytes' => [ 'head:401', 'end' ],
    'a length of 0' => [ 'head:401 content-length=0', 'end' ],
    'an end that comes later' => [ 'head:401', 'pause', 'end' ],
    'no body, 402' => [ '+head:402' ],
    'no body, 429' => [ '+head:429' ],
);
my %broken = (
    'a frame that stops' => [ 'head:401', 'torn:{"error":"unauthorized"}' ],
    'a length that is not reached' => [ 'head:401 content-length=24',
                                        'torn:{"error":"unauthorized"}' ],
    'an end that never comes' => [ 'head:401',
                                   'data:{"error":"unauthorized"}' ],
    'a connection that is closed' => [ 'head:401',
                                       'torn:{"error":"unauthorized"}',
                                       'close' ],
);

sub model_of { ($_[0] =~ tr/a-zA-Z0-9/-/csr) . ".$_[1]" }

my $port = Process::port();
my $h2 = H2->start(port => $port, answers => {
    (map { (model_of($_, 'framed.once') => [ $framed{$_}, \@served ],
            model_of($_, 'framed.ever') => [ $framed{$_} ]) } keys %framed),
    (map { (model_of($_, 'empty') => [ $empty{$_}, \@served ]) } keys %empty),
    (map { (model_of($_, 'broken') => [ $broken{$_}, \@served ]) }
         keys %broken),
    served => [ \@served ] });
my $t = Proxy->new(daemon => 1, allow => $absent, cloud => 0,
                   servers => "server 127.0.0.1:$port max_fails=0;",
                   locations => $locations)->run;


sub reset_keys { $t->post("/health/keys/$_/reset", '') for 0 .. 2 }
sub states { join ' ', sort map { $_->{state} } values %{ $t->health } }
sub connections_of { map { /^(\d+):\d+ \Q$_[0]\E$/ ? $1 : () } $h2->seen }


# a chat that the second key serves, and not only after the five seconds for
# which an error's text is waited for; gives the exchange

sub second_serves {
    my ($model, $how) = @_;

    reset_keys();

    my $began = time();
    my $r = $t->chat(model => $model, timeout => 15);

    is($r->status, 200, 'the second key serves');
    is($r->header('x-ollama-attempts'), 2, 'after one attempt');
    cmp_ok(time() - $began, '<', 4, 'at once') unless $how;

    return $r;
}


sub goes_on {
    my $r = $t->chat(model => 'served', timeout => 15);

    is($r->status, 200, 'the next request');
    is(($r->lines)[-1]{eval_count}, 7, 'is answered whole');
}


is($t->chat(model => 'served')->status, 200, 'a chat') for 1 .. 2;
is(scalar(keys %{{ map { $_ => 1 } connections_of('served') }}), 1,
   'two on one connection');

for my $name (sort keys %framed) {
    subtest "an error in $name" => sub {
        second_serves(model_of($name, 'framed.once'));
        is(states(), 'exhausted healthy healthy',
           'the text is read: it was the quota');
        goes_on();

        # with no key left the client gets what the cloud has said

        reset_keys();

        my $began = time();
        my $model = model_of($name, 'framed.ever');
        my $r = $t->chat(model => $model, timeout => 25);

        cmp_ok(time() - $began, '<', 10, 'three attempts');
        is($r->status, 429, 'with no key left: the error');
        is($r->body, $quota, 'as it came');
        ok($r->complete, 'to its end');
        is(states(), 'exhausted exhausted exhausted', 'all quotas are spent');

        my $q = record($t, $model) // {};

        is($q->{reason}, $spent, 'its text is on record');
        is(join(' ', map { $_->{status} } @{ $q->{attempts} // [] }),
           '429 429 429', 'with three attempts');

        reset_keys();
        goes_on();
    };
}

for my $name (sort keys %empty) {
    subtest "an error with $name" => sub {
        second_serves(model_of($name, 'empty'));
        goes_on();
    };
}

# what does not come to its end is waited for, for a while, and its connection
# is not used again

for my $name (sort keys %broken) {
    subtest "an error with $name" => sub {
        my $model = model_of($name, 'broken');

        second_serves($model, 'waits');
        goes_on() for 1 .. 2;

        my ($connection, @later) = connections_of($model);

        push @later, (connections_of('served'))[-2, -1];
        is(scalar(grep { $_ == $connection } @later), 0,
           'its connection is not used again');
    };
}

# the simulator, behind an nginx that speaks HTTP/2 in small frames

my $front = Process::port();
my $sim = Proxy->new(daemon => 1, allow => $absent,
    servers => "server 127.0.0.1:$front max_fails=0;",
    params => { client_body_buffer_size => '16k' }, locations => $locations,
    http => <<"EOT")->run;
    server {
        listen 127.0.0.1:$front;
        http2 on;
        http2_chunk_size 64;

        location / {
            client_max_body_size 64m;
            client_body_buffer_size 1m;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$http_host;
            proxy_buffering off;
            proxy_pass http://127.0.0.1:%CLOUD%;
        }
    }
EOT
my $cloud = $sim->cloud;
my $direct = Http->new(port => $cloud->port, trusted => 1, headers =>
                       [ Authorization => 'Bearer direct' ]);


# bytes and tokens, whatever the API

for my $uri (@uris) {
    for my $stream (0, 1) {
        my $model = join '.', 'h2', substr($uri, 1) =~ tr!/!.!r, $stream;
        my %how = (uri => $uri, model => $model, stream => $stream,
                   sim => { words => 40 }, body => { max_tokens => 99,
                            prompt => 'why?', input => 'why?' });
        my $r = $sim->chat(%how);
        my $q = record($sim, $model) // {};

        is($r->status, 200, "$uri, " . ($stream ? 'streamed' : 'whole'));
        ok($r->complete, 'to its end');
        unlike($r->body, qr/"choices":\[\]/, 'no more than asked for');
        is(tokens($q), told_of($cloud, $model) . ' exact done', 'its tokens');
    }
}

is(booked($sim), told($cloud), 'all tokens are booked');

# errors: each key's are its own

for my $preset (qw/ unauthorized model_402 model_403 quota_session /) {
    my $model = "h2-$preset";

    $cloud->rules({ match => { model => $model }, times => 1,
                    preset => $preset });

    my $began = time();
    my $r = $sim->chat(model => $model);

    is($r->status, 200, "$preset: the second key serves");
    is($r->header('x-ollama-attempts'), 2, 'after one attempt');
    cmp_ok(time() - $began, '<', 4, 'at once');
    like(join(' ', map { $sim->health($_)->{state} } 0 .. 2), qr/exhausted/,
         'its text is read') if $preset =~ /quota/;
    $sim->post("/health/keys/$_/reset", '') for 0 .. 2;
}

# many at once, one of three keys refused each time

$cloud->reset;
$cloud->rules({ match => { key => key_of(1) }, times => -1,
                preset => 'unauthorized' });

my @chats = map { $sim->start_chat(stream => 1, text => 'x' x 5000,
                                   sim => { delay_ms => 5 }) } 1 .. 30;

Http::finish(@chats);
is(scalar(grep { $_->status == 200 && ($_->lines)[-1]{done} } @chats), 30,
   'thirty streams');
is($sim->health(1)->{state}, 'paused', 'without the key that is refused');

# a body from a file, sent twice

$sim->post("/health/keys/$_/reset", '') for 0 .. 2;
$cloud->reset;
$cloud->rules({ times => 1, preset => 'unauthorized' });

my $big = $sim->chat(text => 'x' x 2_000_000);
my @sizes = map { $_->{body_bytes} } $cloud->requests;

is($big->status, 200, '2 MB, sent twice');
is($big->header('x-ollama-attempts'), 2, 'after a refusal');
is(scalar @sizes, 2, 'whole');
is($sizes[0], $sizes[1], 'both times');

finish();
