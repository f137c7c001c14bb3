#!/usr/bin/perl

# Conversations stay with their account, whose prompt cache knows them: 30 of 10
# turns each, interleaved over three accounts with a cache each, lose next to
# nothing against one account that serves them all.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Process;
use Proxy;
use Test::More;

my ($conversations, $turns) = (30, 10);
my @k = keys_of(3);
my $cloud = Cloud->start(accounts =>
    [ map { { name => "account-$_", keys => [ $k[$_] ] } } 0 .. 2 ]);


sub proxy {
    my ($affinity, @keys) = @_;

    $cloud->reset;

    return Proxy->new(cloud => $cloud, keys => [ @keys ], workers => 2,
        http => "ollama_prices $Process::root/conf/prices.yaml;", balancer =>
        "ollama_keys; $affinity $Proxy::no_keepalive")->run;
}


# How a client says which conversation it is, if it does, and where it talks. All
# of one kind begin alike but for their first words.

my @kinds = (
    { uri => '/api/chat' },
    { uri => '/v1/chat/completions',
      body => sub { (prompt_cache_key => "c$_[0]") } },
    { uri => '/v1/messages', body => sub {
        (max_tokens => 99, metadata => { user_id => "session_$_[0]" }) } },
    { uri => '/api/chat', headers => sub { ('X-Ollama-Session' => "s$_[0]") } },
    { uri => '/v1/messages', body => sub { (max_tokens => 99) },
      headers => sub { ('X-Claude-Code-Session-Id' => "session-$_[0]") } },
);


# the next turn of a conversation: all that was said, and a new question

sub turn {
    my ($t, $c) = @_;
    my $kind = $kinds[$c->{n} % @kinds];

    push @{ $c->{said} }, { role => 'assistant', content =>
        "answer $c->{turn}, " . 'as long as answers are ' x 8 } if $c->{turn};
    push @{ $c->{said} }, { role => 'user', content =>
        "conversation $c->{n}, question $c->{turn}. " . 'Why? ' x 60 };
    $c->{turn}++;

    return $c->{answer} = $t->start('POST', $kind->{uri}, json => {
        model => 'gpt-oss:120b', stream => JSON::PP::false,
        messages => $c->{said}, $kind->{body} ? $kind->{body}->($c->{n}) : (),
    }, headers => [ $kind->{headers} ? $kind->{headers}->($c->{n}) : () ]);
}


# all of them, six at a time; gives them

sub talk {
    my ($t, $turns) = @_;
    my @all = map { { n => $_, turn => 0, said => [] } } 1 .. $conversations;

    for my $turn (1 .. $turns) {
        go_on($t, @all);
    }

    return @all;
}


sub go_on {
    my ($t, @all) = @_;

    for (my $i = 0; $i < @all; $i += 6) {
        my @now = grep { defined } @all[$i .. $i + 5];

        Http::finish(map { turn($t, $_) } @now);

        for my $c (@now) {
            my $answer = $c->{answer};

            push @{ $c->{status} }, $answer->status;
            push @{ $c->{keys} }, $answer->header('x-ollama-key') // '';
            push @{ $c->{affinity} }, $answer->header('x-ollama-affinity') // '';
        }
    }
}


# what the cloud has in its cache, of all that it is asked

sub share {
    my $total = $cloud->ledger->{total};
    return $total->{cached} / $total->{prompt};
}

sub failures { scalar grep { $_ != 200 } map { @{ $_->{status} } } @_ }

sub count {
    my ($word, @all) = @_;
    return scalar grep { $_ eq $word } map { @{ $_->{affinity} } } @all;
}


$cloud->knobs({ prompt_cache => 1 });

# what one account gives

my $t = proxy('', $k[0]);
my @all = talk($t, $turns);
my $one = share();

is(failures(@all), 0, 'one account');
cmp_ok($one, '>', 0.7, sprintf 'most of a conversation is cached: %.4f', $one);

# three accounts

$t = proxy('', @k);
@all = talk($t, $turns);

my $three = share();
my %first;

$first{ $_->{keys}[0] }++ for @all;
is(failures(@all), 0, 'three accounts');
cmp_ok($three, '>=', 0.95 * $one,
       sprintf 'as much is cached: %.4f of %.4f', $three, $one);
is(count('new', @all), $conversations, 'each conversation is new once');
is(count('kept', @all) + count('moved', @all), $conversations * ($turns - 1),
   'and then kept or moved: ' . count('moved', @all) . ' were moved');

for my $n (0 .. 2) {
    cmp_ok(abs(($first{"key_$n"} // 0) - 10), '<=', 1,
           "new conversations: " . ($first{"key_$n"} // 0) . " at account $n");
}

# those of an account that is used up go on at once

$cloud->rules({ match => { key => $k[1] }, times => -1,
                preset => 'quota_weekly' });
go_on($t, @all);
is(failures(@all), 0, 'an account is used up: none fails');
is(scalar(grep { $_->{keys}[-1] eq 'key_1' } @all), 0, 'nor stays there');
is(scalar(grep { $_->{affinity}[-1] eq 'moved' } @all),
   scalar(grep { $_->{keys}[-1] ne $_->{keys}[-2] } @all), 'those moved');

# the same without

$t = proxy('ollama_affinity off;', @k);
@all = talk($t, $turns);
is(failures(@all), 0, 'without affinity');
cmp_ok(share(), '<', 0.8 * $one,
       sprintf 'much is computed again: %.4f', share());
is(count('kept', @all), 0, 'and nothing is said of it');

# a cache that is for all accounts does not care

$cloud->knobs({ prompt_cache => 2 });
$t = proxy('ollama_affinity off;', @k);
talk($t, $turns);
cmp_ok(abs(share() - $one), '<', 0.001, 'a cache for all: as with one account');

finish();
