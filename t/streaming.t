#!/usr/bin/perl

# Tests for streaming: bytes leave when they arrive.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new->run;


sub gaps {
    my @times = map { $_->[0] } @_;
    return map { $times[$_] - $times[$_ - 1] } 1 .. $#times;
}


sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[@sorted / 2];
}


# one piece each 100 ms

for my $uri (qw! /api/chat /v1/chat/completions /v1/messages /v1/responses !) {
    my $r = $t->chat(uri => $uri, stream => 1,
                     body => { max_tokens => 9, input => 'hi' },
                     sim => { words => 8, delay_ms => 100 });
    my @gaps = grep { $_ > 0.02 } gaps($r->pieces);

    ok($r->complete, "$uri streams to its end");

    # two events of a response say nothing yet: the third one tells

    cmp_ok(($r->pieces)[0][0] - $r->sent, '<',
           $uri =~ /responses/ ? 0.29 : 0.09, 'the first bytes at once');
    cmp_ok(scalar @gaps, '>=', 7, 'each word on its own');
    cmp_ok(abs(median(@gaps) - 0.1), '<', 0.03, 'in the rhythm of the cloud');
}

# nothing waits for a delayed ACK: 40 ms would make one piece of eight words

my $r = $t->chat(stream => 1, sim => { words => 60, delay_ms => 5 });

cmp_ok(scalar($r->pieces), '>', 30, 'small pieces are not collected');

my @first = map {
    $r = $t->chat(stream => 1, text => 'x' x 500 x $_);
    ($r->pieces)[0][0] - $r->sent
} 1 .. 15;

cmp_ok(median(@first), '<', 0.02, 'the first byte comes within 20 ms');

# a long silence, before and within

$r = $t->chat(stream => 1, sim => { words => 2, first_delay_ms => 1500,
                                    delay_ms => 1500 });
is(($r->lines)[-1]{done}, JSON::PP::true, 'silence is waited for');

# pieces of one byte, and of many

for my $bytes (1, 7, 1000, 65536) {
    $r = $t->chat(stream => 1, sim => { words => 30, chunk_bytes => $bytes });

    my @lines = $r->lines;

    is(scalar(grep { !defined } @lines), 0, "by $bytes bytes");
    is($lines[-1]{eval_count}, 30, 'whole');
    ok($r->complete, 'and ended in order');
}

# much, to a client that reads slowly

my $slow = $t->start_chat(stream => 1, sim => { words => 30000 }, timeout => 60);

$slow->first;
select undef, undef, undef, 0.5;
Http::finish($slow);
is(($slow->lines)[-1]{eval_count}, 30000, 'four megabytes, read slowly');
cmp_ok($t->health->{$_}{in_flight}, '==', 0, "$_ is free") for 'key_0';

# the end by closing, by length, without its last line end

for my $how (qw/ http10_close content_length no_final_newline crlf /) {
    $r = $t->chat(stream => 1, sim => { $how => JSON::PP::true, words => 5 });
    is(($r->lines)[-1]{eval_count}, 5, $how);
}

$r = $t->chat(stream => 1, sim => { gzip => JSON::PP::true });
is($r->header('content-encoding'), 'gzip', 'an answer that is packed');
is(substr($r->body, 0, 2), "\x1f\x8b", 'stays packed');
ok($r->complete, 'and whole');

# a client that speaks HTTP/1.0

my $old = $t->http->message('POST', '/api/chat', json => {
    model => 'm', messages => [ { role => 'user', content => 'hi' } ] });

$r = $t->request('POST', '/api/chat', raw => $old =~ s/ HTTP\/1.1/ HTTP\/1.0/r);
is($r->header('transfer-encoding'), undef, 'HTTP/1.0: nothing chunked');
is(($r->lines)[-1]{eval_count}, 8, 'and all of it');

# an error in the middle, a stream that breaks off

$r = $t->chat(stream => 1, sim => { error_after => 3, words => 9 });
like(($r->lines)[-1]{error}, qr/\w/, 'an error line passes');

$r = $t->chat(stream => 1, sim => { reset_after_bytes => 400, words => 99 });
ok(!$r->complete, 'a stream that breaks off is not ended in order');
cmp_ok(length $r->body, '>', 200, 'what came before is passed on');

# both ways at once

my @chats = map { $t->start_chat(stream => 1, sim => { words => 20,
                                                       delay_ms => 10 }) }
            1 .. 64;

Http::finish(@chats);
is(scalar(grep { !$_->complete || ($_->lines)[-1]{eval_count} != 20 } @chats), 0,
   'sixty-four at once');

# two requests on one connection, the second sent before the first is answered

my $one = $t->start('GET', '/api/version', keep => 1);

$one->{out} .= $t->http->message('GET', '/v1/models', keep => 1);
Http::finish($one);

my $two = $t->start('GET', '/v1/models', on => $one, raw => '');

Http::finish($two);
is($one->json && $one->status, 200, 'pipelined: the first');
is($two->json && $two->json->{object}, 'list', 'the second');

finish();
