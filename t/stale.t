#!/usr/bin/perl

# Tests with proxy_cache_use_stale: when all keys have failed, an old answer out
# of the cache takes the place of the error.  It is no key's answer.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my $front = Process::port();
my $absent = qr/statsd|http\.sock/;

# an nginx before the simulator, that speaks HTTP/2

my $http2 = <<"EOF";
    server {
        listen 127.0.0.1:$front;
        http2 on;

        location / {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$http_host;
            proxy_pass http://127.0.0.1:%CLOUD%;
        }
    }
EOF


sub proxy {
    my ($version, @more) = @_;

    return Proxy->new(daemon => 1, allow => qr/$absent|refused/,
        http => 'proxy_cache_path %DIR%/cache keys_zone=answers:1m;'
                . ($version eq '2' ? $http2 : ''),
        locations => <<"EOF", @more);
        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_http_version $version;
            proxy_buffering on;
            proxy_cache answers;
            proxy_cache_methods POST;
            proxy_cache_key "\$uri \$request_body";
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale error http_429 http_500 http_502 http_503;
            add_header X-Cache \$upstream_cache_status always;
            proxy_pass \$ollama_upstream;
        }
EOF
}


sub stale {
    my ($t, $name, $preset) = @_;
    my $cloud = $t->cloud;

    subtest $name => sub {
        my $model = 'stale-' . ($preset // 'down');
        my $first = $t->chat(model => $model);

        is($first->header('x-cache'), 'MISS', 'a chat');

        # until it has expired; that it may be older does no harm

        sleep 2;

        $cloud->rules({ times => -1, preset => $preset }) if $preset;
        $cloud->stop unless $preset;

        my $booked = booked($t);
        my $second = $t->chat(model => $model);

        is($second->status, 200, 'the cloud fails, the client has an answer');
        is($second->header('x-cache'), 'STALE', 'an old one');
        is($second->body, $first->body, 'in the same words');
        is(booked($t), $booked, 'no tokens are booked');

        my $q = record($t, $model, 2) // {};
        my @tried = map { $_->{status} // '-' } @{ $q->{attempts} // [] };

        is($q->{total_tokens}, 0, 'none are on record');
        is($q->{status}, 200, 'but what the client got');
        is(scalar(grep { $_ eq '200' } @tried), 0, 'no key has said so');
        cmp_ok(scalar @tried, '>', 1, 'though more than one was asked');

        $t->post("/health/keys/$_/reset", '') for 0 .. 2;
        $cloud->reset if $preset;
    };
}


sub all_stale {
    my ($t, $version) = @_;

    stale($t, "HTTP/$version, 500", 'internal_500');
    stale($t, "HTTP/$version, 503", 'overloaded_503');
    stale($t, "HTTP/$version, 429", 'quota_session');
    stale($t, "HTTP/$version, nobody there");
}


all_stale(proxy('1.1')->run, '1.1');

SKIP: {
    my ($code, $output) = Proxy->new(cloud => 0, params => {
        proxy_http_version => '2' })->nginx('-t');

    skip('this nginx knows no HTTP/2 to an upstream', 1)
        if $output =~ /invalid value "2"|unknown.*http_version/;

    all_stale(proxy('2', servers => "server 127.0.0.1:$front max_fails=0;")
              ->run, '2');
}

finish();
