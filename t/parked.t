#!/usr/bin/perl

# Tests for a refusal that is kept until there is a slot, however its body is
# framed and whenever the rest of it comes: with a slot the request is tried
# again and nothing is left of the refusal, without one the client gets it
# whole.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;

my $cloud = Cloud->start;
my @text = ('{"error":"too many concurrent', ' requests"}');
my $text = join '', @text;
my $n = 0;


# one key, and a queue that gives so much time

sub proxy {
    my ($timeout) = @_;

    return Proxy->new(cloud => $cloud, keys => [ key_of(0) ], daemon => 1,
                      allow => qr/statsd|http\.sock/,
                      balancer => "ollama_keys;\n"
                                  . "ollama_queue 4 timeout=$timeout;\n"
                                  . 'keepalive 8;')->run;
}

my ($patient, $short) = (proxy('20s'), proxy('700ms'));


# while a stream holds the only slot, a chat is refused in such a way; returns
# both once the chat waits

sub parked {
    my ($t, %rule) = @_;

    $cloud->reset;
    $t->post('/health/keys/0/reset', '');

    my $holds = $t->start_chat(stream => 1, model => 'holds',
                               sim => { words => 4000, delay_ms => 10 });

    $holds->first;
    $cloud->rules({ times => 1, status => 429, %rule, headers => {
        'x-ratelimit-max-concurrent' => 1, 'retry-after' => 1,
        'content-type' => 'application/json' } });

    my $chat = $t->start_chat(model => 'parked-' . ++$n);

    poll { Http::turn(0.01, $holds, $chat); $chat->status || waiting($t) }
         'the refused one waits';

    return ($holds, $chat);
}


sub running { return $_[0]->get('/stats/running')->json }
sub waiting { return running($_[0])->{waiting} }


sub granted {
    my ($name, %rule) = @_;

    subtest "$name, a slot" => sub {
        my $ms = delete $rule{wait} // 0;
        my ($holds, $chat) = parked($patient, %rule);

        poll { (running($patient)->{requests}[1]{queue_ms} // $ms) >= $ms }
             'for a while' if $ms;
        $holds->abort;
        Http::finish($chat);

        is($chat->status, 200, 'served in the end');
        is($chat->header('x-ollama-attempts'), 2, 'at the second try');
        ok($chat->json->{done}, 'with an answer of its own');
        unlike($chat->raw, qr/concurrent req/, 'and nothing of the refusal');

        my $q = record($patient, "parked-$n");

        is($q->{attempts}[0]{status}, 429, 'which is on record');
        cmp_ok($q->{queue_ms}, '>=', $ms, 'and that it has waited');
        is($q->{status}, 200, 'as is the answer');
        is($patient->chat->status, 200, 'the next one is served');
    };
}


sub refused {
    my ($name, $body, %rule) = @_;

    subtest "$name, no slot" => sub {
        my ($holds, $chat) = parked($short, %rule);

        poll { Http::turn(0.01, $holds, $chat); $chat->complete || $chat->error }
             'the answer';

        is($chat->status, 429, 'refused in the end');
        ok($chat->complete, 'whole');
        is($chat->body, $body, 'in the words of the cloud');

        my $q = record($short, "parked-$n");

        is($q->{status}, 429, 'as is on record');
        cmp_ok($q->{queue_ms}, '>=', 690, 'and that it has waited');

        $holds->abort;
        ok(poll(sub { $short->in_flight == 0 }, 'the slot'), 'nothing is held');
        $cloud->reset;
        is($short->chat->status, 200, 'the next one is served');
    };
}


sub both {
    my ($name, %rule) = @_;

    granted($name, %rule);
    delete $rule{wait};
    refused($name, $text, %rule);
}

both('a length', body => $text);

both('in one chunk', chunks => [ $text ]);
both('in two', chunks => \@text);
both('in two, by and by', chunks => \@text, chunk_ms => 200);
both('in chunks behind the header', chunks => \@text, body_ms => 200);
both('with a trailer', chunks => \@text, chunk_ms => 50,
     trailers => { 'x-took' => '7' });

both('up to the end', body => $text, framing => 'close');
both('up to the end, behind the header', body => $text, framing => 'close',
     body_ms => 200);
both('up to the end, the rest while it waits', chunks => \@text,
     chunk_ms => 200, framing => 'close', wait => 400);
both('up to the end, the rest afterwards', chunks => \@text,
     chunk_ms => 1500, framing => 'close');

finish();
