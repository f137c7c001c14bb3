#!/usr/bin/perl

# Tests for pools in which most keys cannot serve: a quota or a slot that is
# used up is the account's business and no failure, so all are asked before a
# request fails; what may be a failure of the cloud is tried a few times only.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my @k = keys_of(30);
my $good = $k[17];


sub accounts {
    my ($quota) = @_;

    return map { { name => "account $_", keys => [ $k[$_] ],
                   $k[$_] eq $good ? () : (quota => $quota) } } 0 .. $#k;
}


sub fingerprint { substr sha256_hex($_[0]), 0, 8 }


# the key that can serve has been used most: it comes last

sub used_most {
    my ($t, $n) = @_;

    for (grep { $k[$_] ne $good } 0 .. $n - 1) {
        $t->post("/health/keys/$_/penalize", '');
    }

    is($t->chat->status, 200, 'a chat');
    $t->post("/health/keys/$_/reset", '') for 0 .. $n - 1;
}


# 29 of 30 are used up

my $t = Proxy->new(daemon => 1, keys => \@k,
                   accounts => [ accounts('session') ])->run;
my $cloud = $t->cloud;

used_most($t, 30);
$cloud->reset;

my $r = $t->chat(model => 'thirty');
my @sent = map { $_->{key} } $cloud->requests;
my %asked = map { $_ => 1 } @sent;

is($r->status, 200, '29 keys are used up, the 30th serves');
is($r->header('x-ollama-attempts'), 30, 'as the thirtieth');
is(scalar keys %asked, 30, 'each key was asked');
is(scalar @sent, 30, 'once');

$r = $t->chat(model => 'one');
is($r->status, 200, 'the next request');
is($r->header('x-ollama-attempts'), 1, 'takes one');

# the record has the first and the last of them

my $record = poll {
    my $list = $t->get('/queries?model=thirty')->json;
    ref $list eq 'ARRAY' && $list->[0];
} 'its record';

$record = $t->get("/queries/$record->{id}")->json if $record;

my @attempts = @{ ($record // {})->{attempts} // [] };

is($record->{attempts_total}, 30, 'the record has their number');
is(scalar @attempts, 16, 'and sixteen of them');
is(join(' ', map { $_->{status} } @attempts), join(' ', (429) x 15, 200),
   'with what was answered');

is_deeply([ map { $_->{key_fingerprint} } @attempts ],
          [ map { fingerprint($_ // '') } @sent[0 .. 7], @sent[-8 .. -1] ],
          'the first and the last eight') if @sent >= 16;

my $one = poll {
    my $list = $t->get('/queries?model=one')->json;
    ref $list eq 'ARRAY' && $list->[0];
} 'the record of the next';

is(($one // {})->{attempts_total}, 1, 'one attempt is told as one');

# slots, and both at once; even with tries=1

my $u = Proxy->new(cloud => $cloud, keys => [ @k[10 .. 21] ],
                   balancer => 'ollama_keys tries=1;')->run;


sub served_last {
    my ($name, @presets) = @_;

    $cloud->reset;
    $cloud->any_key;
    $u->post("/health/keys/$_/reset", '') for 0 .. 11;
    $cloud->rules(map { { match => { key => $k[10 + $_] }, times => 1,
                          preset => $presets[$_ % @presets] } }
                  grep { $k[10 + $_] ne $good } 0 .. 11);

    my @statuses = map { $u->chat->status } 1 .. 12;
    is("@statuses", join(' ', (200) x 12), $name);
}


served_last('slots of eleven keys are taken', 'concurrent');
served_last('quotas and slots', 'concurrent', 'quota_weekly', 'quota_session');
$u->post("/health/keys/$_/reset", '') for 0 .. 11;

# what may be the cloud's failure: two attempts, then the error as it came

my $v = Proxy->new(cloud => $cloud, keys => \@k,
                   balancer => 'ollama_keys tries=4 tries_time=2s;')->run;

for ([ $v, 2, 'two attempts' ], [ $u, 1, 'tries=1: one attempt' ]) {
    my ($proxy, $times, $name) = @$_;

    $cloud->reset;
    $cloud->rules({ times => -1, preset => 'overloaded_503' });
    $r = $proxy->chat;
    is($r->status, 503, 'an overloaded cloud');
    like($r->json->{error}, qr/overloaded.*\(ref: /, 'says so itself');
    is(scalar $cloud->requests, $times, $name);
}

# the time bounds all of it

$cloud->reset;
$cloud->rules({ times => -1, preset => 'quota_session', delay_ms => 400 });
$r = $v->chat;

my $n = $cloud->requests;

is($r->status, 429, 'keys that refuse slowly: the last refusal');
like($r->json->{error}, qr/session usage limit/, 'as it came');
cmp_ok($n, '>', 1, "$n attempts");
cmp_ok($n, '<=', 6, 'as many as there is time for');

# configuration

for my $right ('tries=4 tries_time=15s', 'tries_time=1m', 'tries=16') {
    my ($code, $output) = Proxy->new(cloud => $cloud,
                                     balancer => "ollama_keys $right;")
                          ->nginx('-t');

    is($code, 0, "right: $right") or diag($output);
}

for my $wrong ('tries_time=', 'tries_time=x', 'tries_time=-1s', 'tries=',
               'tries=0', 'tries_time=15s tries_time=16s', 'time=15s')
{
    my ($code, $output) = Proxy->new(cloud => $cloud,
                                     balancer => "ollama_keys $wrong;")
                          ->nginx('-t');

    isnt($code, 0, "refused: $wrong");
    like($output, qr/\[emerg\][^\n]*(tries|ollama_keys|time=)/, 'in words');
}

finish();
