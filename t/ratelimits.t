#!/usr/bin/perl

# Tests for /ratelimits: the rate-limit headers last seen for each key.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(2);
my $t = Proxy->new(keys => [ { key => $k[0], name => 'team-a' }, $k[1] ])->run;

$t->cloud->rules({ match => { key => $k[0] }, times => 1, status => 429,
                   body => '{"error":"too many concurrent requests"}',
                   headers => { 'x-ratelimit-max-concurrent' => 3,
                                'x-ratelimit-active' => 2,
                                'x-ratelimit-queue-limit' => 5,
                                'x-ratelimit-queued' => 4,
                                'retry-after' => 12 } });
$t->chat for 1, 2;

my $r = $t->get('/ratelimits');

is($r->status, 200, 'GET /ratelimits');
like($r->header('content-type'), qr!^application/json!, 'is JSON');

my $seen = $r->json;

is($seen->{key_0}{name}, 'team-a', "the key's name");
is($seen->{key_0}{max_concurrent}, 3, 'slots');
is($seen->{key_0}{active}, 2, 'of which taken');
is($seen->{key_0}{queue_limit}, 5, 'places in the queue');
is($seen->{key_0}{queued}, 4, 'of which taken');
is($seen->{key_0}{retry_after}, 12, 'Retry-After');
like($seen->{key_0}{seen}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'and when');
is($seen->{key_1}{seen}, undef, 'the other was never limited');
is($seen->{key_1}{max_concurrent}, undef, 'nothing was seen of the other');

is($t->post('/ratelimits', '')->status, 405, 'is not to be posted');
is($t->get('/ratelimits', only => 1)->status, 401, 'and guarded');

finish();
