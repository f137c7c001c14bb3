#!/usr/bin/perl

# Tests for what one refusal proves: nothing.  The cloud has hiccups, in which
# it refuses every key; a key is condemned when it is refused again while another
# one works.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ sleep time /;

my @k = keys_of(3);
my $cloud = Cloud->start;


# keys that all have worked, or not

sub proxy {
    my ($worked, @keys) = @_;
    my $t = Proxy->new(cloud => $cloud, keys => [ @keys ])->run;

    $cloud->reset;

    if ($worked) {
        my %seen;

        for (1 .. 20 * @keys) {
            last if keys %seen == @keys;
            $seen{$t->chat->header('x-ollama-key')} = 1;
        }

        is(scalar keys %seen, scalar @keys, 'all keys have worked');
        $cloud->reset;
    }

    return $t;
}


sub states {
    my ($t) = @_;
    my $all = $t->health;

    return join ' ', map { $all->{$_}{state} } sort keys %$all;
}


# every key is refused for one request, 1.5 s later all is well

my %said = (401 => 'unauthorized', 402 => 'model_402', 403 => 'model_403');

for my $worked (1, 0) {
    for my $status (sort keys %said) {
        my $t = proxy($worked, @k);

        $cloud->rules({ times => 3, preset => $said{$status} });

        my $r = $t->chat;

        is($r->status, $status, "$status from all of them");
        is($r->header('x-ollama-attempts'), 3, 'each is tried');
        like($r->json->{error}, qr/unauthorized|subscription/,
             'the client gets the words of the cloud');

        sleep 1.5;

        my @status = map { $t->chat->status } 1 .. 6;

        is("@status", '200 200 200 200 200 200', 'then all is well at once');

        my @chats = map { $t->start_chat } 1 .. 12;
        Http::finish(@chats);
        is(scalar(grep { $_->status != 200 } @chats), 0, 'for many, too');

        poll { $t->chat; states($t) eq 'healthy healthy healthy' }
            'soon all keys are healthy', 20;
        is(scalar(map { @{ $_->{blocked_models} } } values %{ $t->health }), 0,
           'and bar no model');
    }
}

# twice

{
    my $t = proxy(1, @k);

    for (1 .. 2) {
        $cloud->rules({ times => 3, preset => 'unauthorized' });
        is($t->chat->status, 401, 'a hiccup');
        poll { $t->chat->status == 200 } 'it is over';
        sleep 2.5;
    }

    ok(!grep({ ($_->{expires_in} // 0) > 15 } values %{ $t->health }),
       'two hiccups condemn nobody');
}

# a prompt that no key may ask

{
    my $t = proxy(1, @k);

    $cloud->rules({ times => -1, match => { model => 'odd' }, status => 403,
                    body => '{"error":"this prompt is not allowed"}' });

    for (1 .. 3) {
        my $r = $t->chat(model => 'odd');

        is($r->status, 403, 'a prompt that is refused');
        is($r->header('x-ollama-attempts'), 2, 'by two keys');
        like($r->json->{error}, qr/this prompt/, 'in the words of the cloud');
    }

    is(states($t), 'healthy healthy healthy', 'holds nothing against any');
    is(scalar(map { @{ $_->{blocked_models} } } values %{ $t->health }), 0,
       'nor against the model');
}

# one that is refused while others work

{
    my $t = proxy(1, { key => $k[0], weight => 1000 }, @k[1, 2]);

    $cloud->rules({ times => -1, match => { key => $k[0] },
                    preset => 'unauthorized' });

    is($t->chat->status, 200, 'a key that is refused: another one answers');

    my $key = $t->health(0);

    like($key->{state}, qr/^(paused|half_open)$/, 'it is paused');
    cmp_ok($key->{expires_in} // 0, '<=', 3, 'briefly');

    poll { !$t->health(0)->{penalty_active} } 'the pause ends';
    is($t->chat->status, 200, 'it is tried, and refused again');

    $key = $t->health(0);

    is($key->{state}, 'invalid', 'it is invalid now');
    cmp_ok(abs($key->{expires_in} - 3600), '<=', 3, 'for an hour');
    is(scalar(grep { $_->{key} eq $k[0] } $cloud->requests), 2,
       'two requests were spent on finding out');
    $t->post('/health/keys/0/reset', '');
    is($t->health(0)->{state}, 'healthy', 'a reset forgets it');
}

# the only one, and never seen working

{
    my $t = proxy(0, $k[0]);

    $cloud->rules({ times => -1, preset => 'unauthorized' });

    my $first = time;
    my @status = map { $t->chat->status } 1 .. 4;

    is("@status", '401 401 401 401', 'the only key: clients hear 401');
    is($t->health(0)->{state}, 'invalid', 'it is shown as invalid');

    my $r = $t->chat(uri => '/v1/chat/completions');

    is($r->status, 401, 'in each API');
    like($r->body, qr/unauthorized/, 'in the words of the cloud');
    cmp_ok(scalar $cloud->requests, '<=', 2 + (time - $first) / 10,
           'which is not asked each time');

    my $start = time;

    $cloud->reset;
    ok(poll(sub { $t->chat->status == 200 }, 'it works', 30), 'until it works');
    cmp_ok(time - $start, '<', 14, 'within ten seconds');
    is($t->health(0)->{state}, 'healthy', 'and it is healthy');
}

# the only one, that has worked: everybody is tried

{
    my $t = proxy(1, $k[0]);

    $cloud->rules({ times => 5, preset => 'unauthorized' });

    my @status = map { $t->chat->status } 1 .. 6;

    is("@status", '401 401 401 401 401 200', 'it is tried all the same');
    is(states($t), 'healthy', 'and is healthy when it works');
}

# what is certain is not tried

{
    my $t = proxy(1, @k);

    $cloud->rules({ times => -1, match => { key => $k[0] },
                    preset => 'unauthorized' });
    $t->post("/health/keys/$_/penalize?seconds=60", '') for 1, 2;
    is($t->chat->status, 401, 'the cloud is asked rather than nobody');
    is($t->chat->status, 401, 'again');
    $t->post('/health/keys/0/penalize?seconds=60', '');
    $cloud->reset;
    is($t->chat->status, 503, 'but what an operator has paused stays so');
    is(scalar $cloud->requests, 0, 'and is not asked');
}

# a pause that nobody has asked for

{
    my $t = proxy(1, $k[0]);

    $cloud->rules({ times => 1, status => 429, body => '{"error":"slow"}' });
    is($t->chat->status, 429, 'too many requests');
    like($t->health(0)->{state}, qr/^(paused|half_open)$/, 'it is paused');
    is($t->chat->status, 200, 'and tried before nobody is');
    is($t->health(0)->{state}, 'healthy', 'and well');

    $cloud->rules({ times => 1, status => 429, body => '{"error":"slow"}',
                    headers => { 'retry-after' => 60 } });
    is($t->chat->status, 429, 'too many requests, for a minute');
    is($t->chat->status, 429, 'that one lasts');
    is($t->health(0)->{state}, 'paused', 'it is paused');
}

# a model: a minute at first

{
    my $t = proxy(1, $k[0]);

    $cloud->rules({ times => 2, preset => 'model_402' });
    is($t->chat->status, 402, 'a model that the plan has not');

    my ($blocked) = @{ $t->health(0)->{blocked_models} };

    cmp_ok($blocked->{expires_in}, '<=', 60, 'for a minute');
    is($t->chat->status, 402, 'the client hears it from the cloud');
    is($t->chat->status, 200, 'until it has it');
    is_deeply($t->health(0)->{blocked_models}, [], 'and that is all');
}

finish();
