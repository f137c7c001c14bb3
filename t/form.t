#!/usr/bin/perl

# Tests for the form of an answer: it is what the first bytes say.  Whatever
# the Content-Type is, or if there is none, the tokens are those of the cloud,
# and what only came because we asked for it is taken out again.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my @types = ('missing', 'text/plain', 'application/json', 'text/event-stream',
             'application/x-ndjson', 'application/octet-stream', 'text/json');

my @messages = (messages => [ { role => 'user', content => 'why? ' x 30 } ]);
my @endpoints = (
    { uri => '/api/chat', body => { @messages } },
    { uri => '/api/generate', body => { prompt => 'because' } },
    { uri => '/v1/chat/completions', body => { @messages }, asks => 1 },
    { uri => '/v1/completions', body => { prompt => 'because' }, asks => 1 },
    { uri => '/v1/responses', body => { input => 'so' } },
    { uri => '/v1/messages', body => { @messages, max_tokens => 99 } },
);

my $t = Proxy->new(daemon => 1, keys => [ keys_of(4) ])->run;
my $cloud = $t->cloud;
my %counted;
my $n = 0;


# what is sent to the client, apart from ids and times

sub normal {
    my ($text) = @_;

    $text =~ s/"created_at":"[^"]*"/"created_at":"T"/g;
    $text =~ s/"(created|created_at|completed_at)":\d+/"$1":0/g;
    $text =~ s/"((?:chatcmpl|cmpl)-|(?:resp|msg|rs|fc|call|ws)_)\w+"/"$1N"/g;
    $text =~ s/form-\d+/form/g;

    return $text;
}


sub ask {
    my ($endpoint, $stream, %sim) = @_;
    my $model = 'form-' . ++$n;

    my $r = $t->post($endpoint->{uri},
                     { %{ $endpoint->{body} }, model => $model,
                       stream => $stream ? JSON::PP::true : JSON::PP::false,
                       _sim => \%sim });
    return ($model, $r);
}


for my $endpoint (@endpoints) {
    for my $stream (0, 1) {
        my %right;

        # as it is with the right type, and in whole or by the byte

        for my $how ({}, { chunk_bytes => 1 }, { content_length => 1 }) {
            my (undef, $r) = ask($endpoint, $stream, %$how);

            $right{join ' ', %$how} = normal($r->body);
        }

        for my $type (1 .. @types) {
            for my $how ({}, { chunk_bytes => 1 }, { content_length => 1 }) {
                my ($model, $r) = ask($endpoint, $stream, %$how,
                                      type => $type);

                push @{ $counted{"$endpoint->{uri} "
                                 . ($stream ? 'stream' : 'plain')} },
                    { model => $model, type => $types[$type - 1], r => $r,
                      right => $right{join ' ', %$how},
                      how => join ' ', %$how };
            }
        }
    }
}

for my $name (sort keys %counted) {
    subtest $name => sub {
        for my $case (@{ $counted{$name} }) {
            my $what = "$case->{type} $case->{how}";
            my $type = $case->{type} eq 'missing' ? '' : $case->{type};
            my $r = $case->{r};
            my $q = record($t, $case->{model});

            is("$q->{prompt_tokens} $q->{completion_tokens}",
               told_of($cloud, $case->{model}), "$what: tokens");
            is("$q->{certainty} $q->{end}", 'exact done', '.. exact');
            is(normal($r->body), $case->{right}, '.. the same bytes');
            like($r->header('content-type') // '', qr/^\Q$type\E(;|$)/,
                 '.. of the type it came as');
            ok($r->complete, '.. whole');
        }
    };
}

# nothing of what we asked for is left

for my $uri (qw! /v1/chat/completions /v1/completions !) {
    unlike(join('', map { $_->{r}->body } @{ $counted{"$uri stream"} }),
           qr/"usage"/, "$uri: no usage that was not asked for");
}

# a client that asks for it gets it

for my $type (1 .. @types) {
    my $r = $t->chat(uri => '/v1/chat/completions', stream => 1,
                     sim => { type => $type, content_length => 1 },
                     body => { stream_options =>
                               { include_usage => JSON::PP::true } });

    like($r->body, qr/"usage"/, "$types[$type - 1]: usage that was asked for");
    is($r->header('content-length'), $types[$type - 1] eq 'text/event-stream'
                                     ? undef : length $r->body,
       '.. with its length, unless a cut could be told behind it');
}

# a plain answer to who wanted a stream

$cloud->rules(map {
    { match => { model => "plain-$_" }, headers => { 'content-type' => $_ },
      body => '{"choices":[{"message":{"content":"hi"}}],"usage":'
              . '{"prompt_tokens":12,"completion_tokens":3}}' }
} @types[1 .. $#types]);

for my $type (@types[1 .. $#types]) {
    my ($q, $r) = recorded($t, uri => '/v1/chat/completions', stream => 1,
                           model => "plain-$type");

    like($r->body, qr/"usage":\{"prompt_tokens":12/, "$type: plain, as it is");
    is(tokens($q), '12 3 exact done', '.. and counted');
}

# what is no answer of an API is not looked into

$cloud->rules(map {
    { match => { model => $_->[0] }, headers => { 'content-type' => $_->[1] },
      body => '<html>"usage":{"prompt_tokens":12}</html>' }
} [ 'page', 'text/html' ], [ 'said', 'application/json' ]);

my ($q, $r) = recorded($t, model => 'page');
is("$q->{certainty} $q->{total_tokens}", 'none 0', 'a page has no tokens');
like($r->body, qr/html/, '.. and passes');

($q) = recorded($t, model => 'said');
is($q->{certainty}, 'estimated', 'what is said to be JSON is estimated');

finish();
