#!/usr/bin/perl

# Tests for subrequests to a location with "ollama on": no key can be had for
# one, which is said in words, and the request that made it goes on as it would
# with any other failure.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $t = Proxy->new(daemon => 1, allow => $absent,
    http => 'proxy_cache_path %DIR%/cache keys_zone=answers:1m;',
    locations => <<'EOT')->run;
        location /asked/ {
            auth_request /sub/api/chat;
            ollama_access on;
            proxy_pass http://127.0.0.1:%CLOUD%;
        }

        location = /api/generate {
            ollama on;
            ollama_access on;
            mirror /sub/api/generate;
            proxy_pass $ollama_upstream;
        }

        location /sub/ {
            internal;
            rewrite ^/sub(.*)$ $1 break;
            ollama on;
            proxy_pass $ollama_upstream;
        }

        location = /page {
            ssi on;
            ssi_types *;
            ollama_access on;
            proxy_buffering on;
            return 200 'before <!--#include virtual="/sub/api/show" --> after';
        }

        location = /api/tags {
            ollama on;
            ollama_access on;
            proxy_buffering on;
            proxy_cache answers;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            add_header X-Cache $upstream_cache_status always;
            proxy_pass $ollama_upstream;
        }
EOT
my $cloud = $t->cloud;


# how often the log has said since then that it was a subrequest; nginx adds
# ", subrequest: .." to each line, behind the client

sub told_since {
    my ($length) = @_;

    return scalar grep { /\[(error|warn)\]/ && /subrequest/ }
                  map { s/, client: .*//r } split /\n/, substr $t->log, $length;
}


# auth_request

my $before = length $t->log;
my $r = $t->get('/asked/whatever');

like($r->status, qr/^(403|50\d)$/, 'an auth_request to the proxy fails');
ok(poll { told_since($before) == 1 }, 'the log says why');
unlike(substr($t->log, $before), qr/without "ollama on"/, 'in words that fit');
is_deeply([ $cloud->requests ], [], 'the cloud is not asked');

# mirror: the request itself is served as if there were none

$before = length $t->log;
$r = $t->post('/api/generate', { model => 'mirrored', prompt => 'hi',
                                 stream => JSON::PP::false });

is($r->status, 200, 'a request that is mirrored');
is($r->json->{eval_count}, 8, 'is answered');
ok(poll { told_since($before) == 1 }, 'its mirror is refused');
is(scalar(my @seen = $cloud->requests), 1, 'the cloud is asked once');
is(tokens(record($t, 'mirrored') // {}),
   told_of($cloud, 'mirrored') . ' exact done', 'tokens on record');
is(booked($t), told($cloud), 'and booked, once');

$r = $t->post('/api/generate', { model => 'mirrored-stream', prompt => 'hi' });
is(($r->lines)[-1]{eval_count}, 8, 'a stream as well');
is(tokens(record($t, 'mirrored-stream') // {}),
   told_of($cloud, 'mirrored-stream') . ' exact done', 'with its tokens');
is(booked($t), told($cloud), 'once');

# ssi: a page of which a part is missing

$before = length $t->log;
$cloud->reset;
$r = $t->get('/page');

is($r->status, 200, 'a page that includes an answer of the proxy');
like($r->body, qr/^before .*after$/s, 'is there to its end');
unlike($r->body, qr/modelfile/, 'but for that');
is_deeply([ $cloud->requests ], [], 'the cloud is not asked');
ok(poll { told_since($before) >= 1 }, 'the log says why');

# an update in the background

is($t->get('/api/tags')->status, 200, 'a list that is kept for a second');
$before = length $t->log;
ok(poll { $t->get('/api/tags')->header('x-cache') =~ /STALE|EXPIRED/ },
   'is out of date');
is($t->get('/api/tags')->status, 200, 'and still there');
unlike(substr($t->log, $before), qr/without "ollama on"/, 'in words that fit');

# nobody died of it, no key was blamed, nothing is left behind

is(join(' ', map { $t->health($_)->{state} } 0 .. 2),
   'healthy healthy healthy', 'no key is blamed');
unlike($t->log, qr/exited on signal/, 'no worker died');
is($t->chat->status, 200, 'a chat');

finish();
