#!/usr/bin/perl

# Tests for errors however they are framed: in chunks, with trailers, packed,
# as plain text; and for answers that come before the answer.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Proxy;
use Records;
use Test::More;
use Time::HiRes qw/ time /;

my $t = Proxy->new(daemon => 1, allow => qr/statsd|http\.sock/)->run;
my $quota = 'you (someone) have reached your weekly usage limit, '
            . 'upgrade for higher limits: https://ollama.com/upgrade';
my $body = JSON::PP->new->canonical->encode({ error => $quota }) . "\n";
my $n = 0;


sub reset_all {
    $t->cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
}


# an error that the next key mends, at once, and what is known of the first key

sub mended {
    my ($name, $state, %rule) = @_;

    subtest $name => sub {
        reset_all();
        $t->cloud->rules({ times => 1, %rule });

        my $began = time();
        my $r = $t->chat(timeout => 15);
        my @requests = $t->cloud->requests;
        my ($first) = grep { key_of($_) eq $requests[0]{key} } 0 .. 2;

        is($r->status, 200, 'the next key serves');
        is($r->header('x-ollama-attempts'), 2, 'as the second one');
        cmp_ok(time() - $began, '<', 4, 'at once');
        is($t->health($first)->{state}, $state, "the first is $state");
    };
}


# an error that goes to the client

sub returned {
    my ($name, $status, $text, %rule) = @_;

    subtest $name => sub {
        reset_all();

        my $model = 'packed-' . ++$n;

        $t->cloud->rules({ times => -1, %rule });

        my $began = time();
        my $r = $t->chat(model => $model, timeout => 15);
        my $q = record($t, $model);

        is($r->status, $status, 'its status');
        ok($r->complete, 'whole');
        cmp_ok(time() - $began, '<', 4, 'at once');
        is($q->{status}, $status, 'the status on record');
        is($q->{reason}, $text, 'and the text');
        is($q->{attempts}[-1]{status}, $status, 'also of the last attempt')
            if $q->{attempts};
    };
}


my @halves = ('{"error":"you (someone) have reached your weekly us',
              'age limit"}');
my @bytes = split //, $body;

mended('two chunks', 'exhausted', status => 429, chunks => \@halves);
mended('two chunks, by and by', 'exhausted', status => 429,
       chunks => \@halves, chunk_ms => 100, body_ms => 100);
mended('a chunk for each byte', 'exhausted', status => 429,
       chunks => \@bytes);
mended('each of them on its own', 'exhausted', status => 429,
       chunks => \@bytes, chunk_ms => 1);
mended('a trailer', 'exhausted', status => 429, chunks => [ $body ],
       trailers => { 'x-took' => '7' });
mended('trailers behind two chunks', 'exhausted', status => 429,
       chunks => \@halves, chunk_ms => 50,
       trailers => { 'x-took' => '7', 'x-more' => 'a, b' });
mended('plain text', 'exhausted', status => 429, body => $quota,
       headers => { 'content-type' => 'text/plain; charset=utf-8' });
mended('JSON as plain text', 'exhausted', status => 429, body => $body,
       headers => { 'content-type' => 'text/plain' });
mended('plain text in chunks', 'exhausted', status => 429,
       chunks => [ unpack '(a20)*', $quota ],
       headers => { 'content-type' => 'text/plain' });
mended('no type at all, up to the end', 'exhausted', status => 429,
       body => $body, framing => 'close');
mended('gzip', 'exhausted', status => 429, body => $body, gzip => 1);
mended('gzip in chunks', 'exhausted', status => 429, chunks => \@halves,
       gzip => 1);
mended('gzip in chunks, by and by', 'exhausted', status => 429,
       chunks => \@halves, gzip => 1, chunk_ms => 50, body_ms => 50);
mended('gzip with a trailer', 'exhausted', status => 429, chunks => \@halves,
       gzip => 1, trailers => { 'x-took' => '7' });
mended('gzip up to the end', 'exhausted', status => 429, body => $body,
       gzip => 1, framing => 'close');
mended('deflate', 'exhausted', status => 429, body => $body, deflate => 1);
mended('deflate inside of a 200', 'exhausted', body => $body, deflate => 1);
mended('no gzip, though it says so', 'paused', status => 429,
       body => 'nothing of it', headers => { 'content-encoding' => 'gzip' });
mended('gzip inside of a 200', 'exhausted', body => $body, gzip => 1);

returned('a 400', 400, 'invalid request body', preset => 'bad_request_400');
returned('a 400 in chunks', 400, 'the prompt is too long', status => 400,
         chunks => [ '{"error":"the prompt ', 'is too long"}' ]);
returned('a 400 with a trailer', 400, 'the prompt is too long',
         status => 400, chunks => [ '{"error":"the prompt ',
         'is too long"}' ], chunk_ms => 20, trailers => { 'x-a' => 'b' });
returned('a packed 400', 400, 'the prompt is too long', status => 400,
         body => '{"error":"the prompt is too long"}', gzip => 1);
returned('a 413 of plain text in chunks', 413, 'too much of it',
         status => 413, chunks => [ 'too much', ' of it' ],
         headers => { 'content-type' => 'text/plain' });
returned('a packed quota of all keys', 429, $quota, status => 429,
         body => $body, gzip => 1);

# what a client gets is what came: unpacking is for us alone

reset_all();
$t->cloud->rules({ times => 1, status => 400, body => $body, gzip => 1 });

my $r = $t->chat;

is($r->header('content-encoding'), 'gzip', 'a packed error goes on packed');
is(substr($r->body, 0, 2), "\x1f\x8b", 'as it came');

# answers before the answer

for my $codes ([ 100 ], [ 102 ], [ 103 ], [ 100, 102, 103, 199 ], [ 150, 150 ])
{
    for my $how ({}, { body_ms => 20 }) {
        subtest "@$codes before it" . join('', %$how) => sub {
            reset_all();
            $t->cloud->rules({ times => 1, interim => $codes, status => 200,
                headers => { 'content-type' => 'application/x-ndjson' },
                chunks => [ qq({"model":"m","done":true,"eval_count":7,)
                . qq("prompt_eval_count":5}\n) ], %$how });

            my $model = 'interim-' . ++$n;
            my $r = $t->chat(stream => 1, model => $model);

            is($r->status, 200, 'the answer itself');
            is($r->header('x-ollama-attempts'), 1, 'at the first try');
            is(($r->lines)[0]{eval_count}, 7, 'whole');
            is($r->header('x-interim'), undef, 'without their headers');

            my $q = record($t, $model);

            is($q->{status}, 200, 'on record as well');
            is($q->{completion_tokens}, 7, 'and counted');
        };
    }

    mended("@$codes before an error", 'exhausted', interim => $codes,
           status => 429, body => $body);
}

finish();
