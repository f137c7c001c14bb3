#!/usr/bin/perl

# Tests for the pages and numbers of ollama-statsd as clients reach them,
# through nginx: guarded, and no loss to anybody when the daemon is away.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my $t = Proxy->new(daemon => 1, allow => qr/statsd|http\.sock/)->run;
my @pages = qw! /dashboard /stats /stats/24h /stats/minute /queries /logs
                /metrics !;

for my $page (@pages) {
    is($t->get($page)->status, 200, $page);
    is($t->get($page, only => 1)->status, 401, 'is guarded');
}

is($t->get('/health')->status, 200, '/health with the token');
is($t->get('/queries/1/nothing')->status, 404, 'a page that is none');
is($t->get('/stats?limit=x')->status, 400, 'a wrong parameter');

my $r = $t->get('/dashboard', headers => [ Accept => 'text/html' ]);

like($r->header('content-type'), qr!^text/html!, 'a page for people');

my $outside = join "\n", grep { !m!^https?://(www\.w3\.org|localhost)! }
              $r->body =~ m!(?:src|href)="(https?://[^"]+)"!g;

is($outside, '', 'that loads nothing from elsewhere');

# without the daemon

$t->{daemon}->stop;

for my $page (@pages, '/dashboard/app.js') {
    $r = $t->get($page);

    is($r->status, 503, "$page without the daemon");
    like($r->body, qr/ollama-statsd/, 'says what is missing');
    like($r->json->{error}, qr/ollama-statsd/, 'in JSON')
        unless $page eq '/dashboard';
    like($r->header('retry-after'), qr/^\d+$/, 'and when to come back');
}

$r = $t->get('/dashboard/');
like($r->header('content-type'), qr!^text/html; charset=utf-8!,
     'a person gets a page');
like($r->body, qr/http-equiv="refresh" content="5"/, 'which looks again');
is($r->header('content-security-policy'), "default-src 'none'",
   'and needs nothing');
is($t->get('/dashboard', only => 1)->status, 401, 'and is guarded');

is($t->chat->status, 200, 'chats go on');
is($t->chat(stream => 1)->status, 200, 'streams, too');
is(scalar keys %{ $t->health }, 3, '/health/keys is true all the same');
is($t->get('/health', only => 1)->status, 200, 'so is /health');

# and with it again

$t->start_daemon;
is($t->get('/stats')->status, 200, 'the daemon is back');

finish();
