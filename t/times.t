#!/usr/bin/perl

# Tests for the times in records: they agree with each other.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my $t = Proxy->new(daemon => 1, workers => 2,
                   keys => [ { key => key_of(0), max_concurrent => 1 } ],
                   balancer => "ollama_keys;\nollama_queue 512 timeout=300ms;")
        ->run;

# those that wait in vain do nothing else: all of their time is in the queue

my $held = $t->start_chat(stream => 1, timeout => 60,
                          sim => { words => 2, delay_ms => 50_000 });

$held->first;

my @vain = map {
    my $chat = $t->start_chat(model => 'vain');

    Http::turn(0.004, $held, $chat) for 1 .. 2;
    $chat;
} 1 .. 300;

Http::finish(@vain);
is(scalar(grep { $_->status == 429 } @vain), 300, 'three hundred wait in vain');
$held->abort;

my $records = [];

poll {
    $records = $t->get('/queries?model=vain&limit=500')->json;
    ref $records && @$records == 300;
} 'their records';

is(scalar @$records, 300, 'all are on record');

my @wrong = map { "$_->{total_ms} < $_->{queue_ms}" }
            grep { $_->{total_ms} < $_->{queue_ms} } @$records;

is("@wrong[0 .. ($#wrong > 3 ? 3 : $#wrong)]", '',
   'no request took less than it waited');
is(scalar(grep { $_->{queue_ms} < 290 } @$records), 0, 'each waited its time');

finish();
