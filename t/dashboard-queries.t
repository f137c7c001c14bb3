#!/usr/bin/perl

# Tests for the dashboard's list of requests, in Debian's Chromium.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Pages;
use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $pages = Pages->new;
my $t = Proxy->new(daemon => 1, keys => [ keys_of(3) ],
                   allow => qr/connect\(\) (to unix:.*)?failed/)->run;

# a request of two hours ago, in a ledger of its own time

sub old {
    my $feed = Pages::Feed->new($t);

    $feed->request(seq => 1, model => 'old', total => 100,
                   time => int((time() - 7200) * 1000));
    return $feed->acked(1);
}

$pages->run('queries', { url => 'http://127.0.0.1:' . $t->port,
                         token => $Proxy::token,
                         cloud => 'http://127.0.0.1:' . $t->cloud->port },
            old => \&old,
            stop => sub { $t->{daemon}->stop('KILL'); 1 },
            start => sub { $t->start_daemon; 1 });

finish();
