#!/usr/bin/perl

# Tests with the official npm clients, while pings are on, and with failures
# that the cloud tells inside of a 200: none of them sees either.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clients;
use Proxy;
use Test::More;

my $dir = Clients::install();
my $t = Proxy->new(keys => [ keys_of(2) ],
                   server => 'ollama_keepalive 200ms;')->run;
my @paths = qw! /api/chat /v1/chat/completions /v1/completions /v1/messages
                /v1/responses !;
my %error = (
    '/api/chat' => '{"error":"%s","status":429}' . "\n",
    '/v1/messages' => "event: error\ndata: " . '{"type":"error","error":'
                      . '{"type":"api_error","message":"%s"}}' . "\n\n",
    '/v1/responses' => "event: response.created\ndata: "
                       . '{"response":{"id":"r"},"type":"response.created"}'
                       . "\n\nevent: response.failed\ndata: "
                       . '{"response":{"id":"r","status":"failed","error":'
                       . '{"code":"server_error","message":"%s"}},'
                       . '"type":"response.failed"}' . "\n\n",
);


# what the clients make of streams: "whole", or "error: .."

sub results {
    my ($name, @paths) = @_;

    my ($code, $output) = Process::run([ 'node', "$dir/cut.js",
        'http://127.0.0.1:' . $t->port, $Proxy::token,
        $Http::json->encode([ map { { path => $_, model => 'gpt-oss:20b' } }
                              @paths ]) ], timeout => 300);

    is($code, 0, "$name: the streams are read") or diag($output);

    my ($line) = $output =~ /^(\{.*\})$/m;

    return @{ $Http::json->decode($line // '{}')->{results} // [] };
}


sub are_whole {
    my ($name) = @_;
    my @results = results($name, @paths);
    my @wrong = grep { $_->{result} ne 'whole' } @results;

    cmp_ok(scalar @results, '>=', @paths, 'of ' . @results . ' answers');
    is(join(', ', map { "$_->{path} $_->{how} $_->{result}" } @wrong), '',
       'all are whole');
}


# the cloud says nothing for a while: are there pings at all?

$t->cloud->rules({ delay_ms => 900, times => -1 });

for my $path (grep { m!/v1! } @paths) {
    my $r = $t->chat(uri => $path, stream => 1,
                     body => { max_tokens => 9, input => 'hi',
                               prompt => 'hi' });

    like($r->body, qr/^(?:: ping|event: ping)\n/, "$path: pings");
}

are_whole('pings');

# a failure inside of a 200, of one key and then of both

sub rule {
    my ($path, %more) = @_;

    my $text = sprintf $error{$path} // 'data: {"error":{"message":"%s",'
                                        . '"type":"api_error"}}' . "\n\n",
                       'you (a) have reached your session usage limit';

    return { times => -1, body => $text, headers => { 'content-type' =>
                 $path =~ /api/ ? 'application/x-ndjson'
                                : 'text/event-stream' },
             match => { path => $path, %more } };
}


$t->cloud->reset;
$t->cloud->rules(map { rule($_, key => key_of(0)) } @paths);
are_whole('a failure of one key');

for my $path (@paths) {
    $t->cloud->reset;
    $t->cloud->rules(rule($path));
    $t->post("/health/keys/$_/reset") for 0, 1;

    my @results = results('a failure of all', $path);
    my @wrong = grep { $_->{result} !~ /^error: .*usage limit/ } @results;

    is(join(', ', map { "$_->{path} $_->{how} $_->{result}" } @wrong), '',
       "$path: is raised in its words");
}

finish();
