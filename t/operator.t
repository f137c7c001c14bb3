#!/usr/bin/perl

# Tests for what an operator does with a key: it is named by its fingerprint,
# its name or its place, a reset forgets all, and the answer is whole.

use warnings;
use strict;

use Digest::SHA qw/ sha256_hex /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @k = keys_of(6);


sub fingerprint { substr sha256_hex($_[0]), 0, 8 }


# names that could be taken for something else

my $t = Proxy->new(keys => [
    { key => $k[0], name => '"3"' },
    { key => $k[1], name => '"' . fingerprint($k[2]) . '"' },
    { key => $k[2], name => '"ab cd/ef"' },
    $k[3],
    { key => $k[4], name => '"00000000"' },
    { key => $k[5], name => '"team@b:+1.c"' },
])->run;
my $cloud = $t->cloud;


sub penalized {
    my $all = $t->health;
    return join ' ', grep { $all->{$_}{state} eq 'penalized' } sort keys %$all;
}


# which key it is that is found there, by both actions

sub found {
    my ($name, $is, $title) = @_;
    my $r = $t->post("/health/keys/$name/penalize?seconds=600", '');

    is($r->status, 200, "penalize: $title");
    is(penalized(), $is, 'it and no other');
    is(($r->json // {})->{fingerprint},
       fingerprint($k[substr $is, -1]), 'and the answer is about it');
    is($t->post("/health/keys/$name/reset", '')->status, 200, 'reset');
    is(penalized(), '', 'the same');
    $t->post('/health/keys/' . fingerprint($_) . '/reset', '') for @k;
}


found(fingerprint($k[3]), 'key_3', 'a fingerprint');
found(fingerprint($k[2]), 'key_2', 'a fingerprint that is a name, too');
found('3', 'key_0', 'a name that is a place, too');
found('key_3', 'key_3', 'a name that is given by us');
found('00000000', 'key_4', 'a name like a fingerprint that nobody has');
found('ab%20cd%2Fef', 'key_2', 'a name that is escaped');
found('team@b:+1.c', 'key_5', 'a name with all that a name may have');
found('5', 'key_5', 'a place');
found('0', 'key_0', 'the first one');

for my $none ('6', '-1', '01234567', 'KEY_3', 'key_0', 'x', '%00', '3%20',
              uc fingerprint($k[3]) . '0', substr(fingerprint($k[3]), 0, 7))
{
    is($t->post("/health/keys/$none/penalize", '')->status =~ /^40[04]$/, 1,
       "nobody: $none");
}

is(penalized(), '', 'and nothing is done');

# a reset forgets the slots that the cloud has told

my $u = Proxy->new(cloud => $cloud, keys => [ $k[0] ])->run;

$cloud->rules({ times => 1, status => 429, headers => {
                    'retry-after' => 1, 'x-ratelimit-max-concurrent' => 1 },
                body => '{"error":"too many concurrent requests"}' });
is($u->chat->status, 200, 'a key has told its slots');
is($u->health(0)->{max_concurrent}, 1, 'there is one');

is($u->post('/health/keys/0/reset', '')->json->{max_concurrent}, undef,
   'a reset forgets it');

my @two = map { $u->start_chat(model => 'two', stream => 1, timeout => 60,
                               sim => { words => 2, delay_ms => 50_000 }) }
          1, 2;

ok(Http::until(sub { 2 == grep { length $_->body } @two }, @two),
   'two run at once');
$_->abort for @two;

# what is configured stays

$u->write_config({ key => $k[0], max_concurrent => 2 });
ok($u->reload, 'a reload with slots');
$u->post('/health/keys/0/reset', '');
is($u->health(0)->{max_concurrent}, 2, 'what is configured stays');

# answers are whole, however many models with whatever names are blocked

my $w = Proxy->new(cloud => $cloud, keys => [ @k[0, 1] ])->run;

$cloud->reset;
$cloud->rules({ match => { key => $k[0] }, times => -1,
                preset => 'model_403' });

my @models = map { ("\x01" x 240) . sprintf '%03d', $_ } 1 .. 80;

$w->chat(model => $_) for @models;
$w->post('/health/keys/1/penalize', '');
$w->chat(model => $_) for @models;
$w->post('/health/keys/1/reset', '');

my @blocked = @{ ($w->health(0) // {})->{blocked_models} // [] };
my %right = map { $_ => 1 } @models;

is(scalar @blocked, 64, 'sixty-four blocked models');
is(scalar(grep { !$right{$_->{model}} } @blocked), 0, 'with their names');

my $r = $w->post('/health/keys/0/penalize?seconds=60', '');

cmp_ok(length $r->body, '>', 64 * 1024, 'an answer of many bytes');
is(ref $r->json, 'HASH', 'is whole');
is_deeply([ map { $_->{model} } @{ ($r->json // {})->{blocked_models} // [] } ],
          [ map { $_->{model} } @blocked ], 'and has all of them');
is(ref $w->get('/ratelimits')->json, 'HASH', '/ratelimits is whole');
$r = $w->post('/health/keys/0/reset', '')->json;
is_deeply($r->{blocked_models}, [], 'a reset forgets them');

finish();
