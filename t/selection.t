#!/usr/bin/perl

# Tests for the choice of a key: the least loaded one, counting what requests
# in flight will use.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new->run;


# so many chats at once, all waiting for their first byte; the requests by key

sub at_once {
    my ($t, $n, @keys) = @_;

    $t->cloud->reset;

    my @chats = map { $t->start_chat(sim => { first_delay_ms => 400 }) } 1 .. $n;

    Http::finish(@chats);

    my $bad = grep { $_->status != 200 } @chats;

    return join('/', $t->cloud->spread(@keys)) . ($bad ? " $bad failed" : '');
}


is(at_once($t, 30, @k), '10/10/10', 'thirty at once over three keys');
is(at_once($t, 30, @k), '10/10/10', 'and again');

my $two = Proxy->new(cloud => $t->cloud, workers => 2)->run;

is(at_once($two, 30, @k), '10/10/10', 'with two workers');

# one after another

my $fresh = Proxy->new(cloud => $t->cloud)->run;
my %turns;

$turns{$_}++ for $fresh->answered_by(9);

is_deeply(\%turns, { key_0 => 3, key_1 => 3, key_2 => 3 }, 'ties rotate');

# a key that has answered much is left alone until the others have caught up

$fresh = Proxy->new(cloud => $t->cloud)->run;

my $busy = $fresh->chat(sim => { words => 3000 })->header('x-ollama-key');
my @next = $fresh->answered_by(10, sim => { words => 20 });

is(scalar(grep { $_ eq $busy } @next), 0, 'the least used is chosen');
is(scalar(grep { $_ eq $next[0] } @next), 5, 'the others share');

# what has been counted is what has been used

my $health = $fresh->health;
my $ledger = $fresh->cloud->ledger;
my $sum = 0;

$sum += $_->{usage_2h} for values %$health;

$fresh->cloud->reset;
$fresh->chat(sim => { words => 111 }, stream => $_) for 0, 1;
$ledger = $fresh->cloud->ledger->{total};

my $after = 0;
$after += $_->{usage_2h} for values %{ $fresh->health };

is($after - $sum, $ledger->{prompt} + $ledger->{completion},
   'native answers are counted to the token');

# weights

my $weighted = Proxy->new(cloud => $t->cloud, keys =>
    [ { key => $k[0], weight => 5 }, { key => $k[1], weight => 1 } ])->run;

is(at_once($weighted, 30, @k[0, 1]), '25/5', 'weights 5 and 1');

# switched off

my $less = Proxy->new(cloud => $t->cloud, keys =>
    [ $k[0], { key => $k[1], enabled => 'false' }, $k[2] ])->run;

is(at_once($less, 10, @k), '5/0/5', 'a disabled key is not used');
is($less->health(1)->{eligible}, JSON::PP::false, 'nor called eligible');

finish();
