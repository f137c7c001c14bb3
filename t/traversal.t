#!/usr/bin/perl

# Tests for paths that try to leave /api and /v1.  All are refused before they
# come near the cloud, whatever they would have been resolved to.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new->run;

my %tries = (
    'up' => '/api/../settings',
    'up, from /v1' => '/v1/../settings',
    'up and back' => '/api/../api/tags',
    'up to the other' => '/api/../v1/models',
    'up at the end' => '/api/tags/..',
    'up from the root' => '/../settings',
    'far up' => '/api/../../../../etc/passwd',
    'dots escaped' => '/api/%2e%2e/settings',
    'dots escaped in capitals' => '/api/%2E%2E/settings',
    'one dot escaped' => '/api/.%2e/settings',
    'dots escaped twice' => '/api/%252e%252e/settings',
    'one dot escaped twice' => '/api/%252e./settings',
    'the slash escaped' => '/api/..%2fsettings',
    'both escaped' => '/api/%2e%2e%2fsettings',
    'the slash escaped twice' => '/api/..%252fsettings',
    'all escaped twice' => '/api/%252e%252e%252fsettings',
    'a backslash' => '/api/..\\settings',
    'a backslash escaped' => '/api/..%5csettings',
    'a dot' => '/api/./tags',
    'a dot escaped' => '/api/%2e/tags',
    'a slash of the prefix' => '/api%2ftags',
    'a slash before the prefix' => '/x/..%2fapi/tags',
    'behind slashes' => '/api//../settings',
    'within a name' => '/v1/models/x/../../../settings',
    'within a name, escaped' => '/v1/models/x%2f..%2f..%2f..%2fsettings',
    'behind a parameter' => '/api/..;/settings',
    'NUL' => '/api/tags%00',
    'NUL before the suffix' => '/api/tags%00.json',
    'NUL escaped twice' => '/api/tags%2500',
    'a raw NUL' => "/api/tags\0",
    'a newline' => '/api/tags%0d%0aHost:%20x',
    'a newline escaped twice' => '/api/tags%250d%250aHost:%20x',
    'DEL' => '/api/tags%7f',
    'a control byte' => "/api/ta\1gs",
    'overlong dots' => '/api/%c0%ae%c0%ae/settings',
    'an overlong slash' => '/api/..%c0%afsettings',
    'a broken escape' => '/api/%2/tags',
    'another broken escape' => '/api/%zz/tags',
    'a fragment' => '/api/tags#/../settings',
    'overlong' => '/api/' . 'x' x 5000,
    'overlong slashes' => '/' x 5000 . 'api/tags',
    'an overlong line' => '/api/' . 'x' x 40000,
    'an absolute URI' => 'http://localhost/api/../settings',
    'a doubled prefix' => '/api/api/../../settings',
);

for my $name (sort keys %tries) {
    my $r = $t->get($tries{$name});

    like($r->status, qr/^(400|404|414)$/, "refused: $name");
}

is_deeply([ map { $_->{uri} } $t->cloud->requests ], [],
          'the cloud has seen none of them');

# the shape of the refusal

like($t->get('/api/%2e%2e/x')->json->{error}, qr/path/, 'as /api says it');
is(ref $t->get('/v1/%2e%2e/x')->json->{error}, 'HASH', 'as /v1 says it');

# a body that nobody wants does not put the next request out of step

my $first = $t->start('POST', '/settings', keep => 1, body => 'GET / HTTP/1.0');

Http::finish($first);

my $second = $t->start('GET', '/api/version', on => $first);

Http::finish($second);

ok($second->json->{version}, 'the connection goes on');

finish();
