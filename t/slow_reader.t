#!/usr/bin/perl

# A reader of long answers who takes his time holds nothing of the daemon: nginx
# buffers all answers but live ones.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Poll;
use Proxy;
use Statsd;
use Test::More;

my $t = Proxy->new(daemon => 1, log => 'notice')->run;
my $s = bless { dir => $t->dir }, 'Statsd';

no warnings 'redefine';
*Statsd::path = sub { $t->dir . "/$_[1].sock" };
use warnings 'redefine';

my $f = $s->frames(instance => 'feed', proxy => 'test');

$f->request(seq => 1, count => 12_000, clients => 4000, models => 3);
ok($f->acked(12_000, 60_000), 'a ledger');


sub open_uri {
    my ($uri, $times) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $t->port) or die;

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096;
    print $socket +("GET $uri HTTP/1.1\r\nHost: localhost\r\n"
                    . "Authorization: Bearer $t->{token}\r\n\r\n")
                  x ($times // 1);
    $socket->flush;
    return $socket;
}


my $answer = $t->get('/stats?limit=10000');

is($answer->status, 200, 'a long answer');
cmp_ok(length $answer->body, '>', 1_000_000, '.. is long');

# as many as no socket has room for

my @slow = map { open_uri('/stats?limit=10000', 8) } 1 .. 10;

eventually { $s->health->{readers}{connections} > 1 } 'many ask for it', 5;
eventually { $s->health->{readers}{connections} <= 1 }
           '.. who do not read: the daemon is through with them', 20;
is($s->json('/stats?by=all&limit=1')->[0]{requests} > 0, 1, '.. and serves');

my $live = open_uri('/events');
my $text = '';

eventually { sysread $live, $text, 4096, length $text; $text =~ /event: hello/ }
           'what is live comes at once', 5;
like($text, qr/^X-Accel-Buffering: no\r$/mi, '.. and says so to others behind us');

close $_ for @slow, $live;
finish();
