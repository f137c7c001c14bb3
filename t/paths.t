#!/usr/bin/perl

# Tests for paths: what clients make of their base URL is put right, all else
# goes to the cloud byte for byte.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new->run;


# the URI that the cloud has seen, or the status if it has seen none

sub seen {
    my ($method, $uri) = @_;

    $t->cloud->reset;

    my $body = '{"model":"gpt-oss:20b","prompt":"hi","messages":[{"role":"user",'
               . '"content":"hi"}],"stream":false}';
    my $r = $method eq 'POST' ? $t->post($uri, $body) : $t->get($uri);
    my ($request) = $t->cloud->requests;

    return $request ? "$request->{method} $request->{uri}" : $r->status;
}


my @chat = qw! /api/chat /chat /api/api/chat /v1/api/chat /api/v1/api/chat
               //api/chat /api//chat //api//chat /api/chat/ /%61pi/chat !;

is(seen('POST', $_), 'POST /api/chat', $_) for @chat;

my @completions = qw! /v1/chat/completions /v1/v1/chat/completions
                      /api/v1/chat/completions /chat/completions
                      /v1/api/v1/chat/completions //v1//chat/completions !;

is(seen('POST', $_), 'POST /v1/chat/completions', $_) for @completions;

is(seen('POST', '/generate'), 'POST /api/generate', '/generate');
is(seen('POST', '/v1/v1/messages'), 'POST /v1/messages', '/v1/v1/messages');
is(seen('POST', '/api/v1/responses'), 'POST /v1/responses', 'responses');
is(seen('GET', '/api/api/tags'), 'GET /api/tags', '/api/api/tags');
is(seen('GET', '/v1/api/tags'), 'GET /api/tags', '/v1/api/tags');
is(seen('GET', '/api/v1/models'), 'GET /v1/models', '/api/v1/models');
is(seen('POST', '/api/web_search'), 'POST /api/web_search', 'web_search');
is(seen('POST', '/api/web_fetch'), 'POST /api/web_fetch', 'web_fetch');
is(seen('POST', '/api/experimental/web_search'), 'POST /api/web_search',
   'web_search as it was called once');

# what is not known is forwarded all the same

is(seen('GET', '/api/something/new'), 'GET /api/something/new', 'new on /api');
is(seen('POST', '/v1/embeddings'), 'POST /v1/embeddings', 'new on /v1');
is(seen('GET', '/v1/Models'), 'GET /v1/Models', 'case is kept');

# query, escapes and every other byte are kept

my @kept = (qw! /v1/models/gpt-oss:20b
               /v1/models/library%2Fgpt-oss%3a20b
               /v1/models/a%20b%2bc+d
               /v1/models/%C3%A9t%C3%A9
               /v1/models?a=b&a=c
               /v1/models?
               /v1/models?q=%2e%2e%2f..%2F&r=/../x
               /v1/models?q=a%00b%0d%0a
               /v1/models?a;b=c&&d==e+f'g"h~!,
            '/v1/models?q=[{|}^`]\\');

is(seen('GET', $_), "GET $_", "kept: $_") for @kept;

is(seen('GET', '/api/api/tags?x=%2Fapi/api&y=%2e'),
   'GET /api/tags?x=%2Fapi/api&y=%2e', 'the query of a path put right');
is(seen('GET', '/v1/models//a//b///c?d//e'), 'GET /v1/models/a/b/c?d//e',
   'slashes that follow one another are one');
is(seen('GET', '/v1/v1/models/library%2Fx%3Ay'),
   'GET /v1/models/library%2Fx%3Ay', 'the escapes of a path put right');
is(seen('POST', '/v1/messages?beta=true'), 'POST /v1/messages?beta=true',
   'the query of Claude Code');

my $long = '/v1/models/' . 'x' x 3000;

is(seen('GET', $long), "GET $long", 'a long name');

my $query = '/v1/models?q=' . 'x' x 5000;

is(seen('GET', $query), "GET $query", 'a long query');

# the top level is not forwarded

is(seen('GET', $_), 404, "not forwarded: $_")
    for qw! /index.html /settings /v2/models /apis/tags /API/tags /v1x/models
            /.env /favicon.ico /admin/api/tags /signin?next=/api/tags !;

finish();
