#!/usr/bin/perl

# Tests with the official npm clients: they list models and chat, streaming
# and not, as they would with a local Ollama.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clients;
use Poll;
use Proxy;
use Test::More;

my $dir = Clients::install();
my $t = Proxy->new->run;
my @models = map { $_->{name} } @{ $t->get('/api/tags')->json->{models} };
my $words = $t->chat(text => 'Hello')->json->{message}{content};


# runs a client; gives what it has printed, as JSON

sub client {
    my ($name, @arguments) = @_;

    $t->cloud->reset;
    $t->cloud->rules({ match => { model => 'no-such-model' }, times => -1,
                       preset => 'not_found_404' });

    my ($code, $output) = Process::run([ 'node', "$dir/$name.js",
        'http://127.0.0.1:' . $t->port, $Proxy::token, @arguments ]);

    is($code, 0, "$name @arguments") or diag($output);
    unlike($output =~ s/\Q$Proxy::token//r, Proxy::secrets(), 'sees no key');

    my ($line) = $output =~ /^(\{.*\})$/m;

    return $line ? $Http::json->decode($line) : {};
}


# ollama-js

my $got = client('ollama');

is_deeply($got->{models}, \@models, 'lists the models');
ok(scalar(grep { $_ eq 'tools' } @{ $got->{capabilities} }), 'shows one');
is_deeply($got->{running}, [], 'sees none running');
is($got->{chat}, $words, 'chats');
is($got->{tokens}, 8, 'is told the tokens');
is($got->{generate}, $words, 'generates');
is($got->{streamed}, $words, 'streams');
cmp_ok($got->{chunks}, '>=', 8, 'word by word');
ok($got->{done}, 'to the end');
is($got->{error}{status}, 404, 'understands an error');
like($got->{error}{text}, qr/no-such-model/, 'and its text');
is($got->{aborted}, 'AbortError', 'may stop in the middle');
ok(poll(sub { $t->in_flight == 0 }, 'given back'), 'which gives the key back');

# openai

$got = client('openai');

is_deeply([ sort @{ $got->{models} } ], [ sort @models ], 'lists the models');
is($got->{one}, 'gpt-oss:20b', 'retrieves one');
is($got->{chat}, $words, 'chats');
is($got->{tokens}, 8, 'is told the tokens');
is($got->{completion}, $words, 'completes');
is($got->{response}, $words, 'responds');
is($got->{events}[0], 'response.created', 'streams a response');
is($got->{events}[-1], 'response.completed', 'to the end');
is($got->{plain}{text}, $words, 'streams a chat');
is($got->{plain}{usage}, undef, 'without a usage that it has not asked for');
is($got->{plain}{empty}, 0, 'and without a chunk that is empty');
is($got->{with_usage}{usage}{completion_tokens}, 8, 'or with it');
is($got->{error}{status}, 404, 'understands an error');
is($got->{error}{name}, 'NotFoundError', 'as what it is');

# @anthropic-ai/sdk, with either header

for my $how ('authorization', 'x-api-key') {
    $got = client('anthropic', $how);

    is_deeply([ sort @{ $got->{models} } ], [ sort @models ],
              'lists the models');
    is($got->{text}, $words, 'chats');
    is($got->{tokens}, 8, 'is told the tokens');
    is($got->{streamed}, $words, 'streams');
    is($got->{stop}, 'end_turn', 'to the end');
    is($got->{stream_tokens}, 8, 'and is told the tokens');
    cmp_ok($got->{counted}, '>', 0, 'counts tokens');
    is($got->{error}{status}, 404, 'understands an error');
    is($got->{error}{name}, 'NotFoundError', 'as what it is');
}

finish();
