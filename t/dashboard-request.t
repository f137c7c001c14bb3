#!/usr/bin/perl

# Tests for a request of the dashboard: its times, reason and neighbours, and
# its body as messages and as JSON.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Pages;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $pages = Pages->new;
my @keys = keys_of(2);
my $t = Proxy->new(daemon => 1, keys => [ @keys ])->run;

# what the simulator does not do to order: times, ends, reasons

my $feed = Pages::Feed->new($t, keys => [ { key => 'feed0001', name => 'one' },
                                          { key => 'feed0002', name => 'two' } ]);
my ($done, $local, $client_gone, $upstream_gone, $stream_error) = 0 .. 4;
my ($proxy_stopped, $worker_gone) = (9, 10);
my $evil = '"><img src=x onerror="hacked=1"><script>hacked=1</script>';
my $at = (int(time()) - 60) * 1000 + 123;
my $n = 0;

sub request {
    my ($model, %how) = @_;

    $n++;
    $feed->request(seq => $n, id => $n, model => $model, time => $at,
                   key => 'feed0002', %how);
}

request('failover', queue => 50, connect => 20, first_token => 1500,
        total => 3500, prompt => 10, completion => 100,
        upstream_id => '0193ab7e-5f0c-7e3a-9d41-3b2c8f1e6a90',
        attempts => [ { key => 'feed0001', status => 429, ms => 400 },
                      { key => 'feed0001', cause => 2, ms => 300 },
                      { key => 'feed0002', status => 200, ms => 2700 } ]);
request('failed', status => 503, total => 800, first_token => 700,
        reason => "overloaded$evil",
        attempts => [ { key => 'feed0001', status => 503, ms => 300 },
                      { key => 'feed0002', status => 503, ms => 500 } ]);
request('refused', status => 429, total => 90);
request('here', status => 429, end => $local, total => 40, queue => 30,
        reason => 'all keys are busy');
request('cut', end => $upstream_gone, total => 900, first_token => 100,
        completion => 5, certainty => 2, reason => 'closed in the middle');
request('inside', end => $stream_error, total => 900, first_token => 100,
        reason => 'an upstream error');
request('hung', status => 499, end => $client_gone, total => 700);
request('stopped', status => 0, end => $proxy_stopped, total => 600);
request('killed', end => $worker_gone, total => 900, first_token => 100,
        certainty => 2, reason => 'gone');
request('patient', total => 160, attempts_all => 30,
        attempts => [ map { { key => 'feed0001', status => 429, ms => $_ } }
                      1 .. 15, 40 ]);
request('nothing', total => 0, first_token => 0, client_name => 'anna');
ok($feed->acked($n), 'the feed is in the ledger');

$pages->run('request', { url => 'http://127.0.0.1:' . $t->port,
                         token => $Proxy::token, at => $at,
                         cloud => 'http://127.0.0.1:' . $t->cloud->port });

finish();
