#!/usr/bin/perl

# Tests for a zone that is full of notes: what is only remembered takes no
# memory from requests.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw/ sum0 /;
use Poll;
use Proxy;
use Test::More;

my @k = keys_of(60);
my $t = Proxy->new(keys => \@k, zone => '512k', workers => 2,
                   allow => qr/no memory|could not allocate/)->run;
my $cloud = $t->cloud;


sub blocked {
    return sum0(map { scalar @{ $_->{blocked_models} } }
                values %{ $t->health });
}


# models that nobody may use, with names as long as they are remembered

$cloud->rules({ times => -1, preset => 'model_403' });

for my $n (1 .. 20) {
    Http::finish(map { $t->start_chat(model => 'm' x 240 . "-$n-$_") } 1 .. 25);
}

$cloud->reset;

my $notes = blocked();

cmp_ok($notes, '>', 100, "$notes blocked models are remembered");

# then requests

my @chats = map { $t->start_chat(model => 'fine', timeout => 30,
                                 sim => { first_delay_ms => 1000 }) } 1 .. 600;

Http::finish(@chats);
is(scalar(grep { $_->status == 200 } @chats), 600, '600 requests at once');
cmp_ok(blocked(), '<=', $notes, 'no more notes');
ok($t->reload, 'a reload');
is($t->chat->status, 200, 'and a chat after it');

finish();
