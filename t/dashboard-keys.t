#!/usr/bin/perl

# Tests for the dashboard's head, keys, running requests and log lines, and for
# what it says while somebody does not answer: Debian's Chromium over nginx,
# ollama-statsd and the simulator.

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
my @keys = keys_of(14);


sub proxy {
    return Proxy->new(daemon => 1, log => 'notice', http =>
        'error_log %DIR%/error.log notice;'
        . ' error_log syslog:server=unix:%DIR%/log.sock notice;',
        allow => qr/connect\(\) (to unix:.*)?failed/, @_)->run;
}


sub run {
    my ($part, $t) = @_;

    $pages->run('keys', {
        part => $part, token => $Proxy::token, keys => [ @keys ],
        url => 'http://127.0.0.1:' . $t->port,
        cloud => 'http://127.0.0.1:' . $t->cloud->port,
    }, stop => sub { $t->{daemon}->stop('KILL') },
       start => sub { $t->start_daemon; 1 },
       stop_nginx => sub { $t->{nginx}->stop; 1 },
       start_nginx => sub {
           $t->{nginx} = $t->start_nginx;
           poll { $t->listening } 'nginx listens again';
           1;
       },
       line => sub {
           IO::Socket::UNIX->new(Type => SOCK_DGRAM,
                                 Peer => $t->dir . '/log.sock')
               ->send("<187>Nov 22 20:43:00 nginx: 2026/11/22 20:43:00"
                      . " [error] $_[0]{line}");
           1;
       });
}


# three keys, a slot each

run('few', proxy(keys => [
    { key => $keys[0], name => 'team-a', max_concurrent => 1, weight => 3 },
    { key => $keys[1], name => 'team-b', max_concurrent => 1 },
    { key => $keys[2], name => 'batch-1', max_concurrent => 1 } ]));

# nobody answers, then somebody does

run('away', proxy(keys => [ @keys[0 .. 2] ]));

# more keys than there is room for cards

run('many', proxy(keys => [ map {
    { key => $keys[$_], $_ == 4 ? (name => 'k' x 60) : (),
      $_ == 9 ? (enabled => 'false') : () } } 0 .. 13 ]));

# more pages than a browser has connections

run('pages', proxy(keys => [ @keys[0 .. 2] ]));

finish();
