#!/usr/bin/perl

# Tests for pictures, sound and files in a request: they are no text.  However
# large, each counts a flat number of tokens, wherever bytes stand for tokens:
# count_tokens, what is reserved, estimates.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;

my ($picture, $document, $audio) = (1600, 8000, 1600);
my $t = Proxy->new(daemon => 1, keys => [ keys_of(2) ],
                   params => { client_max_body_size => '20m' })->run;
my $cloud = $t->cloud;
my $json = JSON::PP->new->canonical;
my $big = 'iVBORw0KGgo' . 'A' x 1_500_000;
my $png = "data:image/png;base64,$big";
my $spoof = 'data:image/png;base64,' . 'A' x 400_000;
my $n = 0;


sub user { return { messages => [ { role => 'user', content => $_[0] } ] } }
sub part { return user([ { type => 'text', text => 'hi' }, @_ ]) }
sub input { return { input => [ { role => 'user', content => [ @_ ] } ] } }
sub source { return part({ type => $_[0], source => $_[1] }) }


# what a body is said to be, with a length, in chunks of any size

sub count {
    my ($body, @how) = @_;

    my $r = $t->request('POST', '/v1/messages/count_tokens',
                        headers => [ 'Content-Type' => 'application/json' ],
                        timeout => 60, @how ? @how : (body => $body));

    return $r->status == 200 ? $r->json->{input_tokens} : $r->status;
}


sub pieces { return [ unpack "(a$_[1])*", $_[0] ] }


# the ways of the four APIs

my @ways = (
    [ 'native', '/api/chat', $picture,
      { messages => [ { role => 'user', content => 'hi',
                        images => [ $big ] } ] } ],
    [ 'two of them', '/api/chat', 2 * $picture,
      { messages => [ { role => 'user', content => 'hi',
                        images => [ $big, $big ] } ] } ],
    [ 'generate', '/api/generate', $picture,
      { prompt => 'hi', images => [ $big ] } ],
    [ 'image_url', '/v1/chat/completions', $picture,
      part({ type => 'image_url', image_url => { url => $png } }) ],
    [ 'an address', '/v1/chat/completions', $picture,
      part({ type => 'image_url',
             image_url => { url => 'https://example.org/a.png' } }) ],
    [ 'input_audio', '/v1/chat/completions', $audio,
      part({ type => 'input_audio',
             input_audio => { data => $big, format => 'wav' } }) ],
    [ 'file', '/v1/chat/completions', $document,
      part({ type => 'file', file => { filename => 'a.pdf', file_data =>
                               "data:application/pdf;base64,$big" } }) ],
    [ 'input_image', '/v1/responses', $picture,
      input({ type => 'input_image', image_url => $png }) ],
    [ 'input_file', '/v1/responses', $document,
      input({ type => 'input_file', filename => 'a.pdf', file_data =>
              "data:application/pdf;base64,$big" }) ],
    [ 'from a tool', '/v1/responses', $picture,
      { input => [ { type => 'function_call_output', output =>
                     [ { type => 'input_image', image_url => $png } ] } ] } ],
    [ 'image', '/v1/messages', $picture,
      source('image', { type => 'base64', media_type => 'image/png',
                        data => $big }) ],
    [ 'image by address', '/v1/messages', $picture,
      source('image', { type => 'url', url => 'https://example.org/a' }) ],
    [ 'document', '/v1/messages', $document,
      source('document', { type => 'base64', data => $big,
                           media_type => 'application/pdf' }) ],
    [ 'in a tool_result', '/v1/messages', $picture,
      user([ { type => 'tool_result', content =>
               [ { type => 'image', source => { type => 'base64',
                   media_type => 'image/png', data => $big } } ] } ]) ],
);

# and what only looks like it

my @texts = (
    [ 'a text', '/api/chat', user($spoof) ],
    [ 'a part of text', '/v1/chat/completions',
      part({ type => 'text', text => $spoof }) ],
    [ 'input', '/v1/responses', { input => $spoof } ],
    [ 'a document of text', '/v1/messages',
      source('document', { type => 'text', media_type => 'text/plain',
                           data => 'A' x 400_000 }) ],
    [ 'a schema', '/api/chat',
      { %{ user('hi') }, tools => [ { images => [ 'A' x 400_000 ] } ] } ],
);

for my $way (@ways) {
    my ($name, $uri, $tokens, $what) = @$way;
    my $body = $json->encode({ %$what, model => 'm' });
    my $got = count($body);

    cmp_ok($got, '>=', $tokens, "$name: a flat number");
    cmp_ok($got, '<', $tokens + 100, '.. and the text');
    is(count($body, chunked => pieces($body, 65536)), $got, '.. in chunks');
    is(count($body, chunked => pieces($body, 700_001)), $got, '.. of any size');
}

for my $text (@texts) {
    my ($name, $uri, $what) = @$text;
    my $body = $json->encode({ %$what, model => 'm' });
    my $got = count($body);

    is($got, int((length($body) + 3) / 4), "$name is text");
    is(count($body, chunked => pieces($body, 65536)), $got, '.. in chunks');
}

# count_tokens: in the smallest chunks, and what it refuses

my $small = $json->encode({ %{ user('x' x 200) }, model => 'm' });

is(count($small, chunked => pieces($small, 1)), count($small),
   'a body in chunks of a byte');
is(count('', chunked => []), 0, 'an empty one');
is(count('not JSON at all', chunked => pieces('not JSON at all', 5)), 4,
   'one that cannot be read is text');
is(count('x', chunked => pieces('x' x 21_000_000, 1_000_000)), 413,
   'one that is too large');
is_deeply([ $cloud->requests ], [], 'the cloud was not asked for any of it');

# what is reserved while it runs; the estimate on the page, and on record when
# the client leaves; nothing said by the cloud

for my $way (@ways[0, 3, 7, 10]) {
    my ($name, $uri, $tokens, $what) = @$way;
    my $model = 'picture-' . ++$n;
    my $before = booked($t);

    my $r = $t->start('POST', $uri, timeout => 60, json =>
                      { %$what, model => $model, max_tokens => 9,
                        stream => JSON::PP::true,
                        _sim => { words => 4000, delay_ms => 20 } });
    Http::until(sub { $r->pieces >= 2 }, $r);

    my $reserved = 0;
    $reserved += $_->{reserved} for values %{ $t->health };

    cmp_ok($reserved, '>=', $tokens, "$name: what is reserved");
    cmp_ok($reserved, '<', $tokens + 20_000, '.. is not half a million');

    my $running = poll {
        Http::turn(0.01, $r);
        my $one = $t->get('/stats/running')->json->{requests}[0];
        ($one->{phase} // '') eq 'answering' && $one;
    } "$name: it is shown";

    cmp_ok($running->{prompt_tokens}, '>=', $tokens, '.. with a flat number');
    cmp_ok($running->{prompt_tokens}, '<', $tokens + 200, '.. and the text');

    $r->abort;

    my $q = record($t, $model);

    is("$q->{prompt_certainty} $q->{certainty}", 'partial partial',
       "$name: one that was left");

    cmp_ok($q->{prompt_tokens}, '>=', $tokens, '.. is a flat number');
    cmp_ok($q->{prompt_tokens}, '<', $tokens + 200, '.. and the text');
    cmp_ok(booked($t) - $before, '<', $tokens + 2000, '.. so at its key');

    $model = 'picture-' . ++$n;
    $t->post($uri, { %$what, model => $model, max_tokens => 9,
                     stream => JSON::PP::true, _sim => { no_usage => 1 } });
    $q = record($t, $model);

    is($q->{certainty}, 'estimated', "$name: when nothing is said");
    cmp_ok($q->{prompt_tokens}, '>=', $tokens, '.. a flat number');
    cmp_ok($q->{prompt_tokens}, '<', $tokens + 200, '.. likewise');
}

finish();
