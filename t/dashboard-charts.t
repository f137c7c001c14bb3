#!/usr/bin/perl

# Tests for the dashboard's sums: the chart, its legend and the tables, over a
# ledger with more models than fit, names longer than any column, and days.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Pages;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $pages = Pages->new;
my @keys = keys_of(4);
my $t = Proxy->new(daemon => 1, keys => [ @keys ], log => 'notice', http =>
    'error_log %DIR%/error.log notice;'
    . ' error_log syslog:server=unix:%DIR%/log.sock notice;')->run;

# two keys of one name, as after a change of its value

my $feed = Pages::Feed->new($t, keys => [ map { { key => $_, name => 'team-x' } }
                                              qw/ feedfeed beefbeef / ]);
my $now = int(time() * 1000);
my $long = 'a-name-that-is-longer-than-any-column-could-be-' x 4;
my $seq = 0;
my @days = map { $now - $_ * 3_600_000 } 3, 22, 30, 50, 70, 71;


sub feed {
    my (%request) = @_;

    $feed->request(seq => $seq + 1, time => $now - 300_000, key => 'feedfeed',
                   %request);
    $seq += $request{count} // 1;
}


feed(count => 60, models => 24, prompt => 900, completion => 100);
feed(model => $long, client_name => $long, prompt => 123_456_789,
     cached => 23_456_789, completion => 1_234_567);
feed(model => 'four', client_name => 'four', prompt => 1520);
feed(client_name => 'anna', client => $_, prompt => 40_000, key => 'beefbeef')
    for '10.20.0.31', '10.20.0.32';
feed(client => '10.20.0.31', prompt => 30_000);
feed(client => '=1+1', client_name => '@sum', prompt => 10);
feed(model => 'of-days', prompt => 100 + $_, time => $days[$_]) for 0 .. $#days;
ok($feed->acked($seq), 'the feed is in the ledger');

$pages->run('charts', {
    url => 'http://127.0.0.1:' . $t->port, token => $Proxy::token, long => $long,
    cloud => 'http://127.0.0.1:' . $t->cloud->port, days => [ @days ] });

finish();
