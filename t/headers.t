#!/usr/bin/perl

# Tests for headers, in both directions.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my ($k1, $k2) = keys_of(2);
my $t = Proxy->new(keys => [ { key => $k1, name => 'team-a' } ])->run;


# to the cloud

my $r = $t->chat(headers => [ 'X-Api-Key' => 'anything',
                              'Cookie' => 'a=b',
                              'X-Forwarded-For' => '192.0.2.1',
                              'X-Real-IP' => '192.0.2.2',
                              'Forwarded' => 'for=192.0.2.3',
                              'Accept-Encoding' => 'gzip, br',
                              'Proxy-Authorization' => 'Basic eDp5',
                              'Anthropic-Version' => '2023-06-01',
                              'User-Agent' => 'a-client/1.0' ]);
my $seen = $t->cloud->last;

is($r->status, 200, 'a chat');
is_deeply([ Cloud::headers($seen, 'authorization') ], [ "Bearer $k1" ],
          "one Authorization, the pool's");
is_deeply([ Cloud::headers($seen, 'host') ], [ 'ollama.test' ],
          'the Host of the upstream');
is_deeply([ Cloud::headers($seen, 'accept-encoding') ], [ 'identity' ],
          'nothing that would have to be unpacked');
is($seen->{http}, '1.1', 'HTTP/1.1');

is_deeply([ Cloud::headers($seen, $_) ], [], "no $_")
    for qw/ x-api-key cookie x-forwarded-for x-real-ip forwarded
            proxy-authorization connection /;

is_deeply([ Cloud::headers($seen, 'anthropic-version') ], [ '2023-06-01' ],
          "the client's own are kept");
is_deeply([ Cloud::headers($seen, 'content-type') ], [ 'application/json' ],
          'Content-Type as well');

my $headers = join "\n", map { "@$_" } @{ $seen->{headers} };

unlike($headers, qr/\Q$Proxy::token\E/, "the client's token is nowhere");

for my $name (qw/ X-Api-Key Api-Key X-Goog-Api-Key /) {
    $t->get('/v1/models', only => 1, headers => [ $name => $Proxy::token ]);
    $headers = join "\n", map { "@$_" } @{ $t->cloud->last->{headers} };

    like($headers, qr/authorization Bearer \Q$k1\E/i, "$name becomes Bearer");
    unlike($headers, qr/\Q$Proxy::token\E/, 'and is not sent along');
}

# to the client

is($r->header('x-ollama-key'), 'team-a', "the key's name");
is($r->header('x-ollama-attempts'), '1', 'the number of tries');
is($r->header('content-length'), length $r->body, 'the length');
ok($r->header('x-request-id'), "the cloud's request id");
is($r->header('set-cookie'), undef, 'no cookie of the cloud');

for my $how ([ 'a native stream', '/api/chat', 'application/x-ndjson' ],
             [ 'an SSE stream', '/v1/chat/completions', 'text/event-stream' ],
             [ 'a stream of messages', '/v1/messages', 'text/event-stream' ])
{
    my ($name, $uri, $type) = @$how;

    $r = $t->chat(uri => $uri, stream => 1, body => { max_tokens => 100 });

    is($r->status, 200, $name);
    is($r->header('content-type') =~ s/;.*//r, $type, "is $type");
    is($r->header('x-accel-buffering'), 'no', 'and not to be buffered');
    is($r->header('set-cookie'), undef, 'without a cookie');
    is($r->header('x-ollama-key'), 'team-a', 'tells the key');
}

is($t->get('/api/version')->header('x-ollama-key'), undef,
   'no key where none was used');

# an error of the cloud keeps its headers

$t->cloud->rules({ times => 1, status => 418, body => '{"error":"teapot"}',
                   headers => { 'x-pot' => 'tea', 'set-cookie' => 'aid=1' } });

$r = $t->chat;

is($r->status, 418, "an error's status");
is($r->body, '{"error":"teapot"}', "an error's body");
is($r->header('x-pot'), 'tea', "an error's headers");
is($r->header('set-cookie'), undef, 'but the cookie');

# a location with a proxy_set_header of its own inherits none of ours

my $own = Proxy->new(cloud => $t->cloud, locations => <<'EOF')->run;
        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_set_header X-Own yes;
            proxy_pass $ollama_upstream;
        }

        location = /api/generate {
            ollama on;
            ollama_access on;
            set $early $ollama_authorization;
            proxy_set_header X-Own yes;
            proxy_pass $ollama_upstream;
        }

        location = /api/show {
            ollama on;
            ollama_access on;
            proxy_set_header X-Own yes;
            proxy_set_header Authorization $ollama_authorization;
            proxy_pass $ollama_upstream;
        }
EOF

for my $uri ('/api/chat', '/api/generate') {
    my $before = () = $own->log =~ /\[error\]/g;

    $t->cloud->reset;
    $r = $own->chat(uri => $uri, body => { prompt => 'hi' });

    is($r->status, 500, "$uri without an Authorization of the pool");
    like(($r->json // {})->{error}, qr/\w/, 'is refused as JSON');
    like(($own->log =~ /(.*\[error\].*)/g)[$before] // '',
         qr/proxy_set_header Authorization \$ollama_authorization/,
         'the log says what is missing');
    is_deeply([ $t->cloud->requests ], [], 'the cloud sees no token');
}

is(join(' ', map { $own->health($_)->{state} } 0 .. 2),
   'healthy healthy healthy', 'and no key is blamed');

$r = $own->post('/api/show', { model => 'gpt-oss:20b' });
$seen = $t->cloud->last;

is($r->status, 200, 'with one it is served');
is_deeply([ grep { my $sent = $_; !grep { $sent eq "Bearer $_" } keys_of(3) }
            Cloud::headers($seen, 'authorization') ], [],
          "with the pool's key");
is(scalar Cloud::headers($seen, 'authorization'), 1, 'and with nothing else');
is_deeply([ Cloud::headers($seen, 'x-own') ], [ 'yes' ], 'and its own header');

# switched off

my $off = Proxy->new(cloud => $t->cloud, server => 'ollama_headers off;')->run;

$r = $off->chat(stream => 1);

is($r->status, 200, 'ollama_headers off');
is($r->header('x-ollama-key'), undef, 'hides the key');
is($r->header('x-ollama-attempts'), undef, 'and the tries');
is($r->header('x-accel-buffering'), 'no', 'but buffers nothing');

finish();
