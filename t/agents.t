#!/usr/bin/perl

# Tests with coding agents from npm, unmodified: a turn each, which ends with
# the cloud's words and is recorded with its exact tokens, and with nothing but
# the proxy within their reach.  And with further libraries that programs use.

use warnings;
use strict;

use File::Path qw/ make_path /;
use File::Temp qw/ tempdir /;
use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";

use Clients;
use Poll;
use Proxy;
use Records;
use Test::More;

my $dir = Clients::install('agents', node => 20);
my $t = Proxy->new(daemon => 1, server => 'ollama_keepalive 200ms;')->run;
my $base = 'http://127.0.0.1:' . $t->port;
my $words = $t->chat(text => 'Hello')->json->{message}{content};

record($t, 'gpt-oss:20b');

# whatever else they ask for comes here, and is not answered

my $elsewhere = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1')
    or die "listen: $!\n";


# streams that end too early, for the libraries

my @cuts = ({ match => { model => 'ai-cut' }, times => -1,
              headers => { 'content-type' => 'text/event-stream' },
              body => 'data: {"id":"c","object":"chat.completion.chunk",'
                      . '"created":1,"model":"ai-cut","choices":[{"index":0,'
                      . '"delta":{"role":"assistant","content":"Hal"},'
                      . '"finish_reason":null}]}' . "\n\ndata: {\"id" },
            { match => { model => 'lc-cut' }, times => -1,
              headers => { 'content-type' => 'application/x-ndjson' },
              body => '{"model":"lc-cut","created_at":"2026-11-01T00:00:00Z",'
                      . '"message":{"role":"assistant","content":"Hal"},'
                      . '"done":false}' . "\n{\"mod" });
my @rules;


# a program in a home of its own, with a working directory in it

sub start {
    my ($program, $arguments, %env) = @_;

    my $home = tempdir('ollama-agent-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    mkdir "$home/work";

    for my $file (grep { m!/! } keys %env) {
        my ($folder) = $file =~ m!^(.*)/!;

        make_path("$home/$folder");
        Process::spill("$home/$file", delete $env{$file});
    }

    $t->cloud->reset;
    $t->cloud->rules({ match => { model => 'no-such-model' }, times => -1,
                       preset => 'not_found_404' }, @cuts, @rules);

    my $proxy = 'http://127.0.0.1:' . $elsewhere->sockport;
    my %proxies = map { $_ => $proxy, lc $_ => $proxy }
                  qw/ HTTP_PROXY HTTPS_PROXY ALL_PROXY /;

    return Process::run([ 'node', "$dir/$program", @$arguments ],
        dir => "$home/work", timeout => 120, env => {
            %proxies, NO_PROXY => '127.0.0.1', no_proxy => '127.0.0.1',
            HOME => $home, XDG_CONFIG_HOME => undef, XDG_DATA_HOME => undef,
            XDG_CACHE_HOME => undef, TMPDIR => undef, NODE_OPTIONS => undef,
            TERM => 'dumb', %env });
}


# on record, the newest first

sub queries {
    my $list = $t->get('/queries?limit=100')->json;
    return ref $list eq 'ARRAY' ? @$list : ();
}


sub agent {
    my ($name, $model, $program, $arguments, %env) = @_;

    my $before = queries();
    my ($code, $output) = start($program, $arguments, %env);

    is($code, 0, "$name ends well") or diag($output);

    utf8::decode($output);
    like($output, qr/^\s*\Q$words\E\s*$/, 'with the words of the cloud');
    unlike($output =~ s/\Q$Proxy::token//r, Proxy::secrets(), 'sees no key');

    # all that it has sent is known to the proxy: some of it for other models

    my @requests = $t->cloud->requests;
    my @queries;

    poll { @queries = queries(); @queries >= $before + @requests }
         'all is on record';
    splice @queries, @queries - $before;

    my @wrong = grep { $_->{status} != 200 || $_->{certainty} ne 'exact'
                       || $_->{end} ne 'done' } @queries;

    ok(scalar(grep { $_->{model} eq $model } @queries), 'is on record');
    is(scalar @wrong, 0, 'with exact tokens, all of it');
    is(scalar(grep { $_->{completion_tokens} != 8 } @queries), 0,
       'as many as there were');

    is(scalar @requests, scalar @queries, 'and the cloud has heard no more');

    vec(my $ready = '', fileno $elsewhere, 1) = 1;
    is(select($ready, undef, undef, 0), 0, 'nor has anybody else');
}


agent('Claude Code', 'claude-agent',
    'node_modules/@anthropic-ai/claude-code/cli.js', [ '-p', 'Say hello' ],
    ANTHROPIC_BASE_URL => $base, ANTHROPIC_AUTH_TOKEN => $Proxy::token,
    ANTHROPIC_API_KEY => undef,
    ANTHROPIC_MODEL => 'claude-agent',
    ANTHROPIC_SMALL_FAST_MODEL => 'claude-agent',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC => 1);

agent('pi', 'pi-agent',
    'node_modules/@mariozechner/pi-coding-agent/dist/cli.js',
    [ qw/ --provider local --model pi-agent -p /, 'Say hello' ],
    PI_OFFLINE => 1,
    '.pi/agent/models.json' => $Http::json->encode({ providers => { local => {
        baseUrl => "$base/v1", api => 'openai-completions',
        apiKey => $Proxy::token, models => [ { id => 'pi-agent' } ] } } }));

# libraries: as it is, with pings, with errors of one key inside of a 200

my %first = (times => -1, match => { key => key_of(0) });
my @ways = (
    [ 'as it is' ],
    [ 'with pings', { delay_ms => 700, times => -1 } ],
    [ 'with errors inside',
      { %first, match => { %{ $first{match} }, path => '/api/chat' },
        headers => { 'content-type' => 'application/x-ndjson' },
        body => '{"error":"you (a) have reached your session usage limit",'
                . '"status":429}' . "\n" },
      { %first, headers => { 'content-type' => 'text/event-stream' },
        body => 'data: {"error":{"message":"you (a) have reached your session '
                . 'usage limit","type":"api_error"}}' . "\n\n" } ],
);

for my $name (qw/ ai langchain /) {
    for my $way (@ways) {
        (my $how, @rules) = @$way;

        my ($code, $output) = start("$name.mjs", [ $base, $Proxy::token ]);

        is($code, 0, "$name runs, $how") or diag($output);

        my ($line) = $output =~ /^(\{.*\})$/m;
        my $got = $line ? $Http::json->decode($line) : {};

        is($got->{text}, $words, 'chats');
        is($got->{tokens}, 8, 'is told the tokens');
        is($got->{streamed}, $words, 'streams');
        is($got->{stream_tokens}, 8, 'and is told the tokens');
        is($got->{error}, 404, 'understands an error');
        like($got->{cut} // '', qr/broke off|terminated|process/,
             'and raises when one breaks off');
    }
}

finish();
