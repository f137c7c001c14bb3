#!/usr/bin/perl

# A new module with an old daemon: all is recorded, and what the old one cannot
# do is said.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw/ tempdir /;
use Poll;
use Proxy;
use Statsd;
use Test::More;

my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $socket = "$dir/statsd.sock";

chmod 0755, $dir;

my $daemon = Process->start([ Statsd::tool('frames'), '--old-daemon',
                              $socket ], name => 'old', dir => $dir);

poll { -S $socket } 'the old daemon listens';

my $t = Proxy->new(http => "ollama_statsd unix:$socket;", workers => 2)->run;

poll { seen('ready') } 'it is connected';

is($t->chat->status, 200, 'a chat') for 1 .. 20;


ok(poll(sub { seen('request') == 20 }, undef, 10), '20 records');
ok(poll(sub { seen('body') == 20 }, undef, 10), '.. and bodies');
is(scalar seen('refused'), 0, '.. all understood');
like($t->log, qr/ollama-statsd .* is older than this module/,
     'that it is old is said');

finish();


sub seen {
    my ($what) = @_;

    return map { $Statsd::json->decode($_) }
           grep { /"frame":"$what"/ } split /\n/, $daemon->output;
}
