#!/usr/bin/perl

# Tests for nginx's own bounds: proxy_next_upstream_tries and _timeout hold for
# keys as they do for servers.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(6);
my $cloud = Cloud->start;


# how a request ends whose keys are all refused, and after how many requests

sub refused {
    my ($params, $rule, $balancer) = @_;
    my $t = Proxy->new(cloud => $cloud, keys => \@k, params => $params,
                       balancer => $balancer // 'ollama_keys tries=6;')->run;

    $cloud->reset;
    $cloud->rules({ times => -1, %$rule });

    my $r = $t->chat(stream => 1);

    return ($r, scalar(my @requests = $cloud->requests));
}


sub is_refused {
    my ($n, $name, @how) = @_;
    my ($r, $requests) = refused(@how);

    is($r->status . " after $requests", $n, $name);
    is($r->header('x-ollama-attempts'), $requests, 'as it says');
}


my $unauthorized = { preset => 'unauthorized' };
my $quota = { preset => 'quota_session' };
my $forbidden = { preset => 'model_403' };

is_refused('401 after 6', 'nothing said: as many as ollama_keys says',
           {}, $unauthorized);
is_refused('401 after 2', 'proxy_next_upstream_tries 2',
           { proxy_next_upstream_tries => 2 }, $unauthorized);
is_refused('403 after 3', 'proxy_next_upstream_tries 3',
           { proxy_next_upstream_tries => 3 }, $forbidden);
is_refused('429 after 2', 'quotas, too',
           { proxy_next_upstream_tries => 2 }, $quota);
is_refused('401 after 1', 'proxy_next_upstream_tries 1',
           { proxy_next_upstream_tries => 1 }, $unauthorized);
is_refused('401 after 6', '0: no bound',
           { proxy_next_upstream_tries => 0 }, $unauthorized);
is_refused('401 after 3', 'the lower one counts',
           { proxy_next_upstream_tries => 5 }, $unauthorized,
           'ollama_keys tries=3;');

my ($r, $n) = refused({ proxy_next_upstream_timeout => '1s' },
                      { %$quota, delay_ms => 600 });

is($r->status, 429, 'proxy_next_upstream_timeout 1s');
cmp_ok($n, '<=', 2, "$n requests of 600 ms each");
like($r->json->{error}, qr/session usage limit/, 'the error arrives whole');

is_refused('429 after 6', '0: no bound',
           { proxy_next_upstream_timeout => 0 }, { %$quota, delay_ms => 100 });

finish();
