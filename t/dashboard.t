#!/usr/bin/perl

# Tests for the dashboard: Debian's Chromium over nginx, ollama-statsd and the
# simulator, as somebody would use it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Pages;
use Poll;
use Proxy;
use Test::More;

my $pages = Pages->new;
my @keys = keys_of(3);


sub proxy {
    my (%how) = @_;

    # nginx's lines go to the daemon, as conf/run has it
    return Proxy->new(daemon => 1, keys => [ @keys ], log => 'notice', http =>
        'error_log %DIR%/error.log notice;'
        . ' error_log syslog:server=unix:%DIR%/log.sock notice;',
        allow => qr/connect\(\) (to unix:.*)?failed/, %how)->run;
}


sub given {
    my ($t) = @_;

    return { url => 'http://127.0.0.1:' . $t->port, token => $Proxy::token,
             cloud => 'http://127.0.0.1:' . $t->cloud->port,
             keys => [ @keys ] };
}


# every panel

my $t = proxy();

$pages->run('panels', given($t), hup => sub { $t->{daemon}->signal('HUP') });

# money: what is in the ledger, and who has no price

$t = proxy();

my $money = Pages::Feed->new($t, keys => [ { key => 'feedfeed', name => 'k' } ]);
my @well = (key => 'feedfeed', attempts => [ { key => 'feedfeed', status => 200 } ],
            prompt => 1000, completion => 10);

$money->request(seq => 1, count => 40, model => 'good', cost => 30_000_000,
                cached => 900, affinity => 2, cached_saves => 136_000, @well);
$money->request(seq => 41, count => 40, model => 'good', cost => 1,
                cached => 100, affinity => 3, cached_saves => 136_000, @well);
$money->request(seq => 81, count => 3, model => 'plain', @well);
ok($money->acked(83), 'requests with and without a price');

$pages->run('money', given($t));

# without the daemon

$t = proxy();

$pages->run('outage', given($t),
            stop => sub { $t->{daemon}->stop('KILL') },
            start => sub { $t->start_daemon; 1 });

# markup from everywhere

$t = proxy();

my $evil = '"><img src=x onerror="hacked=1"><script>hacked=1</script>';
my $feed = Pages::Feed->new($t, keys => [ { key => 'feedfeed',
                                            name => "k$evil" } ]);

$feed->request(seq => 1, client_name => "c$evil", model => "f$evil",
               key => 'feedfeed', prompt => 5000, reason => "r$evil",
               upstream_id => "i$evil");
$feed->request(seq => 2, client => '=1+1', model => '@x', prompt => 4000);
$feed->request(seq => 3, count => 30, models => 30, prompt => 1000);
ok($feed->acked(32), 'the feed is in the ledger');

IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $t->dir . '/log.sock')
    ->send("<187>Nov 22 20:43:00 nginx: 2026/11/22 20:43:00 [error] l$evil");

$pages->run('hostile', given($t));

# weight, contrast, keyboard

$t = proxy();

$pages->run('look', given($t));

# more keys than cards

$t = proxy(keys => [ keys_of(9) ]);

$pages->run('many', given($t));

finish();
