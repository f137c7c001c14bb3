#!/usr/bin/perl

# Tests for where requests go that the pool cannot serve: a fallback's own
# answer arrives as it is, and an upstream without "ollama_keys" costs no key
# anything, nor does it see one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $cloud = Cloud->start;
my $own = Cloud->start;         # what is behind a server of one's own

# servers that know nothing of the pool: pages, and a way to one's own Ollama
# which tells what it was sent

my $local = Process::port();
my $else = Proxy->new(conf => do {
    my $t = Proxy->new(cloud => 0);

    $t->globals . "http { access_log off; ${\ $t->temp_paths }" . <<"EOF" });
    server {
        listen 127.0.0.1:$local;
        proxy_set_header Authorization "Bearer of-its-own";
        proxy_buffering off;
        add_header X-Seen "[\$http_authorization] [\$http_host]" always;

        location / {
            proxy_pass http://127.0.0.1:${\ $own->port };
        }
    }

    server {
        listen 127.0.0.1:%PORT%;
        default_type text/plain;
        add_header X-Seen "[\$http_authorization]" always;

        location = /api/chat { return 200 "a chat of the fallback\\n"; }
        location = /api/generate { return 503 "down for tea\\n"; }
        location = /v1/chat/completions {
            default_type text/html;
            return 429 "<p>come back later\\n";
        }
        location / { return 404 "no such page\\n"; }
    }
}
EOF

$else->run;

my $pages = $else->port;
my $upstream = "upstream local { server 127.0.0.1:$local; keepalive 8; }";

my @uris = qw! /api/chat /api/generate /v1/chat/completions /v1/messages !;
my $how = 'ollama on; ollama_access on; proxy_intercept_errors on;';


# a proxy whose 429, 503 and 418 go to a named location of this text

sub fallback {
    my ($text, %conf) = @_;

    return Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
        http => $upstream, %conf,
        locations => join "\n", "location \@fallback { $text }", map {
            "location = $_ { $how error_page 429 503 418 = \@fallback;\n"
            . 'proxy_pass $ollama_upstream; }'
        } @uris)->run;
}


sub ask {
    my ($t, $uri, %more) = @_;

    return $t->chat(uri => $uri, body => { prompt => 'hi', max_tokens => 99 },
                    %more);
}


# each of the reasons for which a request may come to a fallback

sub reasons {
    my ($t, $check) = @_;

    $_->reset for $cloud, $own;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
    $cloud->rules({ times => -1, status => 418, body => '{"error":"teapot"}' });
    $check->('an error of the cloud');

    $cloud->reset;
    $cloud->rules({ times => -1, preset => 'quota_session' });
    $check->('a spent quota');
    $cloud->reset;
    $check->('no key is left');
    is(scalar $cloud->requests, 0, 'and the cloud is not asked');
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
}


# a server that is none of Ollama's

my $t = fallback("proxy_pass http://127.0.0.1:$pages;");
my %answer = ('/api/chat' => [ 200, 'text/plain', "a chat of the fallback\n" ],
              '/api/generate' => [ 503, 'text/plain', "down for tea\n" ],
              '/v1/chat/completions' => [ 429, 'text/html',
                                          "<p>come back later\n" ],
              '/v1/messages' => [ 404, 'text/plain', "no such page\n" ]);

reasons($t, sub {
    my ($why) = @_;

    for my $uri (@uris) {
        my $r = ask($t, $uri);
        my ($status, $type, $body) = @{ $answer{$uri} };

        is(join(' ', $r->status, $r->header('content-type'), $r->body),
           "$status $type $body", "$why: the fallback's answer for $uri");
        is($r->header('content-length'), length $body, 'of its length');
        is($r->header('retry-after'), undef, 'without a time of the pool');
        is($r->header('x-seen'), '[]', 'which has seen no key');
    }
});

# words in the configuration

for my $said ([ 503, '{"mine":"busy"}' ], [ 429, 'busy' ], [ 418, 'a teapot' ],
              [ 200, 'here you are' ])
{
    my ($status, $body) = @$said;

    $t = fallback("default_type text/x-own; return $status '$body';");

    reasons($t, sub {
        my ($why) = @_;
        my $r = ask($t, '/api/chat');

        is(join(' ', $r->status, $r->header('content-type'), $r->body),
           "$status text/x-own $body", "$why: return $status");
    });
}

# an upstream without keys: somebody's own Ollama

my $unkeyed = 'ollama on; ollama_upstream http://local host=own.test; '
              . 'proxy_pass $ollama_upstream;';

$t = fallback($unkeyed);

sub own_answer {
    my ($t, $why, $uri, %more) = @_;
    my $model = join '.', $why =~ tr/a-zA-Z/-/cr, substr($uri, 1) =~ tr!/!.!r,
                          $more{stream} ? 'stream' : 'plain';
    my $booked = booked($t);
    my $r = ask($t, $uri, model => $model, %more);

    is($r->status, 200, "$why: served by one's own, $uri");
    is($r->header('x-seen'), '[] [own.test]', 'which sees no key and its name');
    unlike($r->body, qr/"choices":\[\]/, 'no chunk that nobody asked for');
    is(booked($t), $booked, 'no key pays for it');

    my $q = record($t, $model) // {};

    is(tokens($q), told_of($own, $model) . ' exact done', 'tokens on record');
    is($q->{key_fingerprint}, undef, 'of no key');
}

reasons($t, sub {
    my ($why) = @_;

    own_answer($t, $why, '/api/chat');
    own_answer($t, $why, '/v1/chat/completions', stream => 1);
});

# a location that has nothing else

$t = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
                http => $upstream, locations => join "\n", map {
                    "location = $_ { ollama_access on; $unkeyed }" } @uris)
          ->run;

$_->reset for $cloud, $own;
own_answer($t, 'always', $_) for @uris;
own_answer($t, 'always', $_, stream => 1) for @uris;
is(scalar $cloud->requests, 0, 'the cloud is not asked');

my $r = ask($t, '/api/chat');

is($r->header($_), undef, "no $_") for qw/ x-ollama-key x-ollama-attempts /;

# its errors are its own, and nobody is blamed

for my $status (401, 404, 429, 503) {
    $own->rules({ times => 1, status => $status, body => "own $status" });
    $r = ask($t, '/api/chat');
    is($r->status, $status, "an error $status of its own");
    is($r->body, "own $status", 'as it came');
}

is(join(' ', map { $t->health($_)->{state} } 0 .. 2),
   'healthy healthy healthy', 'no key is blamed');

# it is there when the pool is not

$t->post("/health/keys/$_/penalize?seconds=900", '') for 0 .. 2;
is(ask($t, '/api/chat')->status, 200, 'with all keys paused');

# a client's token is for the proxy alone; and who has none is turned away

is(ask($t, '/api/chat', only => 1)->status, 401, 'the token is asked for');
is(ask($t, '/api/chat', only => 1, headers => [ 'X-Api-Key' => $Proxy::token ])
       ->header('x-seen'), '[] [own.test]', 'and not sent on');

# keys that are all taken: requests wait for none of them

my $busy = Proxy->new(cloud => $cloud, http => $upstream,
    keys => [ { key => key_of(0), max_concurrent => 1 } ],
    locations => "location = /api/generate { ollama_access on; $unkeyed }")
    ->run;
my $slow = $busy->start_chat(stream => 1, sim => { words => 100_000,
                                                   delay_ms => 50 });

$slow->first;
$r = ask($busy, '/api/generate');
is($r->status, 200, 'with no slot left');
ok(!$slow->{ended}, 'nobody has to wait for one');
$slow->abort;

finish();
