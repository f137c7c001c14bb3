#!/usr/bin/perl

# Tests for CORS: pages of the origins that a local Ollama lets in by default.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new->run;


sub preflight {
    my ($origin, $uri) = @_;

    return $t->request('OPTIONS', $uri // '/api/chat', only => 1, headers =>
        [ 'Origin' => $origin, 'Access-Control-Request-Method' => 'POST',
          'Access-Control-Request-Headers' => 'authorization,content-type' ]);
}


my $r = preflight('http://localhost:3000');

is($r->status, 204, 'a preflight needs no token');
is($r->header('access-control-allow-origin') =~ /^(http:..localhost:3000|\*)$/,
   1, 'its origin is allowed');
like($r->header('access-control-allow-methods'), qr/POST/, 'and its method');

for my $name (qw/ Authorization Content-Type User-Agent Accept X-Requested-With
                  OpenAI-Beta OpenAI-Organization OpenAI-Project
                  x-stainless-lang x-stainless-retry-count x-stainless-helper
                  X-Ollama-Client X-Ollama-No-Log /)
{
    like($r->header('access-control-allow-headers'), qr/(^|,\s*)$name(,|$)/i,
         "$name may be sent");
}

is(preflight($_)->status, 204, "$_ may come")
    for qw! http://127.0.0.1:8080 https://localhost http://0.0.0.0:3000 http://[::1]:3000
            app://obsidian.md vscode-webview://abc !;

is(preflight('http://localhost', $_)->status, 204, "preflight of $_")
    for qw! /v1/chat/completions /v1/messages /api/tags !;

# of X-Ollama-* and x-stainless-* all that are asked for, and no others


sub names {
    my ($asked) = @_;
    my $r = $t->request('OPTIONS', '/api/chat', only => 1, headers => [
        'Origin' => 'http://localhost', 'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => $asked ]);

    return { map { lc $_ => 1 }
             split /,/, $r->header('access-control-allow-headers') };
}


my $names = names('x-ollama-new, x-stainless-some-day,,x-other,x-ollama-,'
                  . 'x-ollama-a"b,authorization, X-Ollama-Priority');

ok($names->{$_}, "$_ may be sent")
    for qw/ x-ollama-new x-stainless-some-day x-ollama-priority authorization /;
ok(!$names->{$_}, "but not $_") for 'x-other', 'x-ollama-a"b', '';

# a page of the internet and a proxy of this house

for my $origin ('http://localhost', 'https://evil.example') {
    $r = $t->request('OPTIONS', '/api/chat', only => 1, headers => [
        'Origin' => $origin, 'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Private-Network' => 'true' ]);
    is($r->header('access-control-allow-private-network'),
       $origin =~ /localhost/ ? 'true' : undef,
       "private network access: $origin");
}

is(preflight('http://localhost')->header('access-control-allow-private-network'),
   undef, 'is not spoken of unasked');

# the answer itself

$r = $t->chat(headers => [ Origin => 'http://localhost:3000' ]);

is($r->status, 200, 'a request of a page');
is(scalar($r->headers('access-control-allow-origin')), 1,
   'its answer may be read');
is($t->chat->header('access-control-allow-origin'), undef,
   'nothing is said to those who are no page');

# another site

$r = preflight('https://evil.example');

is($r->header('access-control-allow-origin'), undef, 'another site is not let in');
is($t->chat(headers => [ Origin => 'https://evil.example' ])
       ->header('access-control-allow-origin'), undef, 'nor may it read');

# unless it is named

my $more = Proxy->new(cloud => $t->cloud, http =>
    'ollama_origins https://chat.example https://*.example.org;')->run;


sub allowed {
    my ($origin) = @_;

    return $more->request('OPTIONS', '/api/chat', only => 1, headers => [
        'Origin' => $origin, 'Access-Control-Request-Method' => 'POST' ])
        ->header('access-control-allow-origin') ? 1 : 0;
}


is(allowed('https://chat.example'), 1, 'ollama_origins lets in');
is(allowed('https://a.example.org'), 1, 'by a pattern, too');
is(allowed('http://localhost'), 1, 'besides this machine');
is(allowed($_), 0, "but not $_")
    for qw! http://chat.example https://chat.example.evil https://chat.example:8
            https://xchat.example https://example.org null !;

# where no token is asked for, a page of another site must not send at all

my $open = Proxy->new(cloud => $t->cloud, token => undef,
                      env => "ALLOW_UNAUTHENTICATED_ACCESS=true\n")->run;

is($open->chat(headers => [ Origin => 'https://evil.example' ])->status, 403,
   'open access is not for pages of other sites');
is($open->chat(headers => [ Origin => 'http://localhost:3000' ])->status, 200,
   'pages of this machine are let in');
is($open->chat->status, 200, 'and programs');

is_deeply([ grep { $_->{method} eq 'OPTIONS' } $t->cloud->requests ], [],
          'no preflight goes to the cloud');

finish();
