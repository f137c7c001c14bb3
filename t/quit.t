#!/usr/bin/perl

# Tests for workers that end: what they have still to tell the daemon is told,
# at a reload, at a quit and at a stop.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Proxy;
use Test::More;

my $t = Proxy->new(daemon => 1, workers => 2)->run;
my $cloud = $t->cloud;


# nginx starts again, with nothing left of its memory; all is in the daemon

sub counted {
    my ($name) = @_;
    my $total = $cloud->ledger->{total};
    my $sums;

    $t->{nginx} = $t->start_nginx;
    poll { $t->listening } 'nginx listens again';
    poll { $t->workers >= 2 } 'with its workers';
    poll { $sums = $t->get('/health')->json->{totals};
           ($sums->{requests} // 0) >= $total->{requests} } 'the records', 3;

    is(join(' ', @$sums{qw/ requests prompt_tokens completion_tokens /}),
       join(' ', @$total{qw/ requests prompt completion /}), $name);
}


# nginx -s quit, with streams that go on for a while

$t->chat for 1 .. 3;

my @streams = map { $t->start_chat(stream => 1, sim => {
                        words => 10 + 5 * $_, delay_ms => 30 }) } 1 .. 6;

Http::until(sub { !grep { !length $_->body } @streams }, @streams);
is(($t->nginx('-s', 'quit'))[0], 0, 'quit, with six streams');
Http::finish(@streams);
is(scalar(grep { $_->complete && ($_->lines)[-1]{done} } @streams), 6,
   'which are answered whole');
is($t->{nginx}->wait(10), 0, 'nginx ends');
counted('and all are counted');

# SIGTERM right behind the last byte

for my $n (1 .. 5) {
    my @chats = map { $t->start_chat } 1 .. 20;

    Http::finish(@chats);
    $t->{nginx}->signal('TERM');
    is(scalar(grep { $_->status == 200 } @chats), 20, "twenty chats, $n");
    is($t->{nginx}->wait(10), 0, 'then a stop');
    counted('all are counted');
}

# without a daemon there is nobody to wait for

$t->{daemon}->stop;
is($t->chat->status, 200, 'a chat without the daemon');
$t->{nginx}->signal('QUIT');
is($t->{nginx}->wait(10), 0, 'does not keep nginx from its end');

# A worker that has only a stream to finish, and knows but an old address of the
# daemon, leaves it to the others to send.

my $v = Proxy->new(daemon => 1, cloud => $cloud);
my $conf = $v->dir . '/nginx.conf';
my $right = Process::slurp($conf);

Process::spill($conf, $right =~ s/\/statsd\.sock/\/nowhere.sock/r);
$v->run;
$cloud->reset;

my $stream = $v->start_chat(stream => 1,
                            sim => { words => 2000, delay_ms => 50 });

$stream->first;
is($v->chat->status, 200, 'a chat that cannot be told');
poll { $v->log =~ /nowhere\.sock|cannot be reached/ } 'the daemon is missed';

Process::spill($conf, $right);
ok($v->reload, 'a reload puts the address right');

my $records = poll { my $list = $v->get('/queries')->json; @{ $list // [] } }
              'its record';

is($records, 1, 'it is told now');
Http::turn(0, $stream);
ok(!$stream->{ended}, 'while the stream goes on');
$stream->abort;

finish();
