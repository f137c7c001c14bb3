#!/usr/bin/perl

# Tests for the size of the pool: with 10,000 keys a request costs at most
# twice what it costs with three.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(10_000);
my $cloud = Cloud->start;
my $few = Proxy->new(cloud => $cloud, keys => [ @k[0 .. 2] ])->run;
my $many = Proxy->new(cloud => $cloud, keys => \@k, zone => '64m')->run;


# the worker's time on a processor, in seconds

sub used {
    my ($t) = @_;
    my ($worker) = $t->workers;

    return (split ' ', Process::slurp("/proc/$worker/schedstat"))[0] / 1e9;
}


sub cost {
    my ($t, $requests) = @_;

    my $before = used($t);
    my $bad = grep { $t->chat->status != 200 } 1 .. $requests;

    fail("$bad failed") if $bad;

    return (used($t) - $before) / $requests;
}


cost($_, 200) for $few, $many;

my @ratios = sort { $a <=> $b } map { 1 / cost($few, 200) * cost($many, 200) }
                                1 .. 9;

cmp_ok($ratios[4], '<', 2, sprintf 'a request costs %.2f times as much',
       $ratios[4]);

# and they are used, each in turn

$cloud->reset;

my @chats = map { $many->start_chat(sim => { first_delay_ms => 300 }) } 1 .. 100;

Http::finish(@chats);
is(scalar keys %{ $cloud->ledger->{keys} }, 100,
   'a hundred at once take a hundred keys');

is(scalar keys %{ $many->health }, 10_000, '/health/keys tells of all of them');
ok($many->reload, 'a reload with all of them');
is($many->chat->status, 200, 'and a chat after it');

finish();
