#!/usr/bin/perl

# Tests with proxy_cache: an answer that is taken from nginx's cache has cost no
# key anything, and says so.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $cached = <<'EOF';
            ollama on;
            ollama_access on;
            proxy_buffering on;
            proxy_cache answers;
            proxy_cache_methods GET POST;
            proxy_cache_key "$request_method $uri $request_body";
            proxy_cache_valid 200 10m;
            add_header X-Cache $upstream_cache_status always;
            proxy_pass $ollama_upstream;
EOF
my $t = Proxy->new(daemon => 1, allow => $absent,
    http => 'proxy_cache_path %DIR%/cache keys_zone=answers:1m;',
    locations => join "\n", map { "location = $_ {\n$cached }" }
                            qw! /api/tags /api/chat /v1/chat/completions !)->run;
my $cloud = $t->cloud;


sub keys_that_are_busy { grep { $_->{in_flight} } values %{ $t->health } }


# the same request twice: the second is answered from the cache, in the same
# words, and nothing of it is booked

sub cached {
    my ($name, $model, $ask) = @_;

    subtest $name => sub {
        $cloud->reset;

        my $first = $ask->();
        my $booked = booked($t);

        is($first->header('x-cache'), 'MISS', 'the first goes to the cloud');
        is($first->header('x-ollama-attempts'), 1, 'with a key');

        my $second = $ask->();

        is($second->header('x-cache'), 'HIT', 'the second does not');
        is($second->status, $first->status, 'its status');
        is($second->body, $first->body, 'and its words are the same');
        is(scalar $cloud->requests, 1, 'the cloud was asked once');
        is($second->header('x-ollama-key'), undef, 'no key is told');
        is($second->header('x-ollama-attempts'), undef, 'and no attempt');
        is(booked($t), $booked, 'no tokens are booked');
        is(scalar keys_that_are_busy(), 0, 'no key is held');

        return unless $model;

        my $q = record($t, $model, 2) // {};

        is($q->{total_tokens}, 0, 'no tokens are on record');
        is($q->{key_fingerprint}, undef, 'nor a key');
        is_deeply($q->{attempts}, [], 'nor an attempt');
        is($q->{status}, $first->status, 'but what the client got');
    };
}


cached('GET /api/tags', undef, sub { $t->get('/api/tags') });
cached('a chat', 'cached-chat', sub { $t->chat(model => 'cached-chat') });
cached('a stream', 'cached-stream',
       sub { $t->chat(model => 'cached-stream', stream => 1) });
cached('an OpenAI chat', 'cached-v1', sub {
    $t->chat(model => 'cached-v1', uri => '/v1/chat/completions') });
cached('an OpenAI stream', 'cached-sse', sub {
    $t->chat(model => 'cached-sse', uri => '/v1/chat/completions',
             stream => 1) });

# the log has nothing of it either

my @lines = grep { / cached-chat$/ }
            split /\n/, Process::slurp($t->dir . '/access.log');

like(join(', ', map { (split)[3, 4] } @lines), qr/^key_\d, 1, -, -$/,
     'the log names a key once');

# many who ask the same at once, and the load stays even afterwards

$cloud->reset;

my @chats = map { $t->start_chat(model => 'cached-chat') } 1 .. 30;

Http::finish(@chats);
is(scalar(grep { $_->status == 200 } @chats), 30, 'thirty from the cache');
is(scalar $cloud->requests, 0, 'without the cloud');

my $before = booked($t);

$t->chat(model => "after-$_") for 1 .. 6;
is(booked($t) - $before, told($cloud), 'what follows is booked as ever');

finish();
