#!/usr/bin/perl

# Tests for what the page says of a damaged ledger, in Debian's Chromium, and
# who may take it away.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Pages;
use Poll;
use Proxy;
use Test::More;

my $pages = Pages->new;
my $t = Proxy->new(daemon => 1, keys => [ keys_of(3) ],
                   allow => qr/connect\(\) (to unix:.*)?failed/)->run;
my $feed = Pages::Feed->new($t);

$feed->request(seq => 1, count => 5000, clients => 50, prompt => 1);
ok($feed->acked(5000), 'a ledger');
$t->{daemon}->stop;

open my $file, '+<:raw', $t->dir . '/data/usage.db' or die;
seek $file, 4096 * 40, 0;
print $file "\xa5" x 4096;
close $file;

$t->start_daemon;
$t->chat;


# the problem's name, as long as it stands

sub standing {
    my $health = $t->get('/stats/health')->json;
    return join ' ', map { $_->{name} } @{ $health->{to_acknowledge} };
}


my $path = '/stats/problems/ledger_damaged/acknowledge';

is(standing(), 'ledger_damaged', 'a page of which is damaged');
is($t->request('POST', $path, only => 1)->status, 401, 'no token: not seen');
is($t->get($path)->status, 405, 'a GET is no POST');
is($t->request('POST', $path, headers => [ 'Sec-Fetch-Site' => 'cross-site' ])
       ->status, 403, 'a page of another site');
is(standing(), 'ledger_damaged', 'it stands');

$pages->run('problems', { url => 'http://127.0.0.1:' . $t->port,
                          token => $Proxy::token, out => $ENV{SHOTS} },
            gone => sub { standing() eq '' ? 1 : 0 });

is($t->request('POST', $path)->status, 404, 'what is gone cannot be taken away');

finish();
