#!/usr/bin/perl

# Tests for secrecy: everything is done that could make somebody tell a key or
# a token, at the debug level; finish() then looks for them everywhere.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $token = $Proxy::token;
my $basic = encode_base64("me:$token", '');

Proxy::secret($basic);

my $t = Proxy->new(log => 'debug', allow => qr/config\.yaml|http\.sock/,
                   params => { proxy_read_timeout => '1s',
                               client_body_buffer_size => '8k' },
                   balancer => "ollama_keys;\nollama_queue 1 timeout=100ms;")
           ->run;

is($t->chat->status, 200, 'a chat');
is($t->chat(stream => 1, text => 'x' x 100_000)->status, 200, 'a long one');
is($t->get('/v1/models', only => 1, headers => [ 'X-Api-Key' => $token ])
       ->status, 200, 'x-api-key');
is($t->get('/v1/models', only => 1, headers => [ Authorization =>
                                                 "Basic $basic" ])
       ->status, 200, 'Basic');

# refusals

is($t->get('/v1/models', only => 1, headers => [ Authorization => "Bearer $_" ])
       ->status, 401, 'a wrong token') for "${token}1", $k[0];

$t->get('/v1/models', headers => [ Authorization => "Bearer $token" ]);
$t->get("/api/../$_") for qw/ %2e%2e x /;
$t->get('/dashboard');
$t->get('/nothing');

# trouble with the cloud, which calls no key by its name either

for my $rule ({ preset => 'unauthorized' }, { preset => 'quota_session' },
              { preset => 'concurrent' }, { preset => 'unknown_429' },
              { preset => 'model_403' }, { preset => 'bad_gateway_html_502' },
              { close => 'before_headers' }, { hold => JSON::PP::true },
              { close => 'after_headers' })
{
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
    $t->cloud->reset;
    $t->cloud->rules({ times => -1, %$rule });
    $t->chat;
    $t->chat(uri => '/v1/chat/completions', stream => 1);
    $t->get('/health/keys');
    $t->get('/ratelimits');
    $t->get('/health');
}

$t->cloud->reset;
$t->post("/health/keys/$_/penalize", '') for 0 .. 2;
$t->post("/health/keys/$_/reset", '') for 0 .. 2;

# the configuration shown, reloaded, refused

my ($code, $output) = $t->nginx('-T');

is($code, 0, 'nginx -T');
unlike($output, Proxy::secrets(), 'shows no key and no token');
ok($t->reload, 'reload');
is($t->chat->status, 200, 'a chat after it');

Process::spill($t->dir . '/config.yaml', "keys:\n - $k[0]\n - [$k[1]\n - $k[0]");
($code, $output) = $t->nginx('-t');
is($code, 1, 'a broken config.yaml');
unlike($output, Proxy::secrets(), 'is not quoted');
$t->nginx('-s', 'reload');
is($t->chat->status, 200, 'and not taken');

like($t->log, qr/\[debug\].*ollama/, 'the module has been talkative');
ok(-s $t->dir . '/access.log', 'so has the access log');

# nothing in what other users of this machine can see

my @seen = map { Process::slurp("/proc/$_/cmdline") } $t->pid, $t->workers;

unlike("@seen", Proxy::secrets(), 'nor do processes show any');

finish();
