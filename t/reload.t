#!/usr/bin/perl

# Tests for reloads under load: ten of them, with 32 clients that stream, and
# nobody notices.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $t = Proxy->new(workers => 2)->run;

my ($done, @failed, @live) = (0);


# one look at all connections; a stream that has ended is followed by another

sub keep_busy {
    my ($more) = @_;

    Http::turn(0.02, @live);

    for my $chat (grep { $_->{ended} } @live) {
        my $ok = $chat->complete && $chat->status == 200
                 && ($chat->lines)[-1]{done};

        push @failed, $chat->status . ' ' . ($chat->error // '') unless $ok;
        $done++;
    }

    @live = grep { !$_->{ended} } @live;

    while ($more && @live < 32) {
        push @live, $t->start_chat(stream => 1, sim => {
            words => 5 + int rand 30, delay_ms => 10 });
    }
}


my $reloads = 0;

keep_busy(1) while $done < 32;

for (1 .. 10) {
    my %old = map { $_ => 1 } $t->workers;
    my $end = time() + 10;

    ($t->nginx('-s', 'reload'))[0] == 0 or next;

    keep_busy(1) until 2 <= grep({ !$old{$_} } $t->workers) || time() > $end;
    $reloads++ if time() <= $end;

    my $next = $done + 32;

    keep_busy(1) while $done < $next;
}

keep_busy(0) while @live;

is($reloads, 10, 'ten reloads');
cmp_ok($done, '>', 320, "streams: $done");
is(join(', ', @failed), '', 'none failed');
is($t->in_flight, 0, 'in-flight counts are back to zero');

my $usage = 0;
my $total = $t->cloud->ledger->{total};

$usage += $_->{usage_2h} for values %{ $t->health };
is($usage, $total->{prompt} + $total->{completion}, 'all tokens are counted');

my @spread = sort { $a <=> $b } $t->cloud->spread(keys_of(3));

cmp_ok($spread[2] / $spread[0], '<', 1.2, "evenly over the keys: @spread");

finish();
