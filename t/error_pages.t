#!/usr/bin/perl

# Tests for a user's error_page: errors that it sends into the proxy's location
# stay what they are, pages elsewhere work, and the cloud is asked for none.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new(
    server => 'error_page 400 401 403 404 408 413 429 500 502 503 504 /oops;',
    params => { client_max_body_size => '1k' })->run;
my %chat = (model => 'gpt-oss:20b', messages => [ { role => 'user',
                                                    content => 'hi' } ]);
my $long = 'x' x 3000;


# what a request gets that has the error

sub refused {
    my ($name, $status, $r) = @_;

    is($r->status, $status, $name);
    ok($r->complete, 'is answered whole') or diag($r->error);
    like(($r->json // {})->{error}, qr/\w/, 'as JSON');
}


refused('a body too long', 413,
        $t->post('/api/chat', { %chat, text => $long }, timeout => 5));
refused('a body too long in chunks', 413,
        $t->post('/api/chat', undef, timeout => 5, chunked =>
                 [ '{"model":"gpt-oss:20b","text":"', $long, '"}' ]));
refused('a broken chunk', 400,
        $t->request('POST', '/api/chat', timeout => 5, raw =>
            $t->http->message('POST', '/api/chat', headers =>
                [ 'Transfer-Encoding' => 'chunked' ]) =~ s/Content-Length.*?\n//r
            . "nonsense\r\n"));
refused('no token', 401, $t->post('/api/chat', \%chat, only => 1,
                                  timeout => 5));
refused('an unknown page', 404, $t->get('/nothing', timeout => 5));
refused('a wrong method', 405, $t->request('DELETE', '/api/version'));

is_deeply([ $t->cloud->requests ], [], 'the cloud is asked for no page');

# what the cloud refuses, and what the proxy then refuses itself

$t->cloud->rules({ times => -1, preset => 'quota_session' });
refused("the cloud's 429", 429, $t->chat);
refused("the proxy's 429", 429, $t->chat);
is(join(' ', map { $_->{uri} } $t->cloud->requests),
   '/api/chat /api/chat /api/chat', 'three keys are tried, and no page');

# proxy_intercept_errors: errors of the cloud are sent there as well

my $all = Proxy->new(cloud => $t->cloud,
                     params => { proxy_intercept_errors => 'on' },
                     server => 'error_page 404 418 503 /oops;')->run;

for my $status (404, 418, 503) {
    $t->cloud->reset;
    $t->cloud->rules({ times => -1, status => $status, body => '{}' });
    refused("an intercepted $status", $status, $all->chat(timeout => 5));
    is(scalar(grep { $_->{uri} ne '/api/chat' } $t->cloud->requests), 0,
       'the cloud is asked for no page');
}

$t->cloud->reset;

# a fallback elsewhere is the user's own affair

my $mine = Proxy->new(cloud => $t->cloud, locations => <<'EOF')->run;
        location = /gone {
            ollama on;
            error_page 404 = @mine;
        }

        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_intercept_errors on;
            error_page 418 = @mine;
            proxy_pass $ollama_upstream;
        }

        location @mine {
            return 200 "a page of my own";
        }
EOF

$t->cloud->rules({ times => 1, status => 418, body => '{}' });

for my $r ($mine->get('/gone'), $mine->chat) {
    is($r->status, 200, "$r->{uri}: a fallback");
    is($r->body, 'a page of my own', 'is shown');
}

is($mine->chat->status, 200, 'a chat without an error');

# a fallback that goes to the cloud again, but without our headers

my $again = Proxy->new(cloud => $t->cloud, locations => <<'EOF')->run;
        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_intercept_errors on;
            error_page 418 = @again;
            proxy_pass $ollama_upstream;
        }

        location @again {
            ollama on;
            proxy_set_header X-Own yes;
            proxy_pass $ollama_upstream;
        }
EOF

$t->cloud->reset;
$t->cloud->rules({ times => 1, status => 418, body => '{}' });

is($again->chat->status, 500, 'is not sent with the token of the client');
is(scalar(my @seen = $t->cloud->requests), 1, 'nor at all');

# a fallback for a body that did not come: there is nothing to be sent

my $none = Proxy->new(cloud => $t->cloud, locations => <<'EOF')->run;
        location = /api/chat {
            ollama on;
            ollama_access on;
            client_max_body_size 1k;
            error_page 400 413 = @large;
            proxy_pass $ollama_upstream;
        }

        location @large {
            ollama on;
            client_max_body_size 1m;
            proxy_pass $ollama_upstream;
        }
EOF

$t->cloud->reset;

refused('a body too long for its fallback as well', 400,
        $none->post('/api/chat', undef, timeout => 5, chunked =>
                    [ '{"model":"gpt-oss:20b","text":"', $long, '"}' ]));
refused('a broken chunk with a fallback', 400,
        $none->request('POST', '/api/chat', timeout => 5, raw =>
            $none->http->message('POST', '/api/chat', headers =>
                [ 'Transfer-Encoding' => 'chunked' ]) =~ s/Content-Length.*?\n//r
            . "nonsense\r\n"));
is_deeply([ $t->cloud->requests ], [], 'the cloud is not asked');

finish();
