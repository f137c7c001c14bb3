#!/usr/bin/perl

# Tests for several upstreams in one nginx: each location goes to its own, also
# where a request changes its location, and each has a queue of its own.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;
use Time::HiRes qw/ time /;

my $absent = qr/statsd|http\.sock/;
my $first = Cloud->start;
my $second = Cloud->start;
my $upstream = 'upstream second { server 127.0.0.1:' . $second->port
               . '; ollama_keys; keepalive 8; }';


# how many requests each has seen, and with which Host

sub seen {
    return join ' / ', map {
        join ' ', map { Cloud::headers($_, 'host') } $_->requests
    } $first, $second;
}


# an error_page with an upstream of its own

my $t = Proxy->new(daemon => 1, allow => $absent, cloud => $first,
                   http => "$upstream log_format tried '\$ollama_keys_tried';",
                   server => 'access_log %DIR%/tried.log tried;',
                   keys => [ { key => key_of(0), name => 'a-long-name' },
                             { key => key_of(1), name => 'b' } ],
                   locations => <<'EOT')->run;
        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_intercept_errors on;
            error_page 418 = @second;
            proxy_pass $ollama_upstream;
        }

        location @second {
            ollama on;
            ollama_upstream http://second host=second.test;
            proxy_pass $ollama_upstream;
        }
EOT

$first->rules({ times => 1, status => 418, body => '{}' });

my ($q, $r) = recorded($t);

is($r->status, 200, 'a chat that the first refuses');
is(seen(), 'ollama.test / second.test', 'goes on to the second');
is_deeply([ map { Cloud::headers($_, 'authorization') } $second->requests ],
          [ 'Bearer ' . ($second->last // {})->{key} ], 'with one key');
is(($r->json // {})->{eval_count}, 8, 'whose answer arrives');
is(booked($t), told($second), 'its tokens are booked');
is(tokens($q), told_of($second, $q->{model}) . ' exact done',
   'and on record');

my ($tried) = map { /^(.*,.*)$/m } Process::slurp($t->dir . '/tried.log');
my %name = (key_of(0), 'a-long-name', key_of(1), 'b');

is($tried, join(', ', map { $name{$_->{key}} } map { $_->requests }
                      $first, $second), 'the names of both keys, as they were');

$_->reset for $first, $second;
is($t->chat->status, 200, 'a chat that the first serves');
is(seen(), 'ollama.test / ', 'stays there');

# a variable that was asked for early

my $early = Proxy->new(cloud => $first, http => $upstream,
                       server => 'set $early "$ollama_upstream $ollama_host";',
                       locations => <<'EOT')->run;
        location = /api/generate {
            ollama on;
            ollama_access on;
            ollama_upstream http://second host=second.test;
            proxy_pass $ollama_upstream;
        }
EOT

$_->reset for $first, $second;
is($early->post('/api/generate', { model => 'm', prompt => 'hi',
                                   stream => JSON::PP::false })->status, 200,
   'a location with an upstream of its own');
is(seen(), ' / second.test', "goes there, whoever has asked before");
is($early->chat->status, 200, 'a location without one');
is(seen(), 'ollama.test / second.test', 'goes to the first');

# try_files leads on after a key was chosen, or found unnecessary

my $led = Proxy->new(cloud => $first,
    keys => [ { key => key_of(0), max_concurrent => 1 } ],
    http => 'upstream second { server 127.0.0.1:' . $second->port . '; }',
    locations => <<'EOT')->run;
        location = /api/chat {
            ollama on;
            ollama_access on;
            try_files /nowhere @second;
            proxy_pass $ollama_upstream;
        }

        location @second {
            ollama on;
            ollama_upstream http://second host=second.test;
            proxy_pass $ollama_upstream;
        }

        location = /api/generate {
            ollama on;
            ollama_access on;
            ollama_upstream http://second host=second.test;
            try_files /nowhere @first;
            proxy_pass $ollama_upstream;
        }

        location @first {
            ollama on;
            proxy_pass $ollama_upstream;
        }
EOT

$_->reset for $first, $second;
$second->rules({ times => -1, status => 200, body => '{"done":true}' });
is($led->chat->status, 200, 'a chat that is led to an upstream without keys');
is(seen(), ' / second.test', 'goes there');
is_deeply([ map { Cloud::headers($_, 'authorization') } $second->requests ],
          [], 'without a key');

$second->rules({ times => 1, hold => JSON::PP::true });

my $held = $led->start_chat;

poll { Http::turn(0, $held); $second->requests == 2 } 'another one is there';
is($led->in_flight, 0, 'and holds no slot');
$held->abort;
$_->reset for $first, $second;

is($led->post('/api/generate', { model => 'm', prompt => 'hi',
                                 stream => JSON::PP::false })->status, 200,
   'one that is led to an upstream with keys');
is(seen(), 'ollama.test / ', 'goes there');
is_deeply([ map { Cloud::headers($_, 'authorization') } $first->requests ],
          [ 'Bearer ' . key_of(0) ], 'with a key');

# two queues: nobody may wait long for the first, but for the second

my $queues = Proxy->new(cloud => $first,
    keys => [ { key => key_of(0), max_concurrent => 1 } ],
    balancer => 'ollama_keys; ollama_queue 2 timeout=300ms; keepalive 8;',
    http => $upstream =~ s/(ollama_keys;)/$1 ollama_queue 4 timeout=60s;/r,
    locations => <<'EOT');
        location = /api/generate {
            ollama on;
            ollama_access on;
            ollama_upstream http://second host=second.test;
            proxy_pass $ollama_upstream;
        }
EOT

my ($code, $output) = $queues->nginx('-t');

is($code, 0, 'a queue in each of two upstreams') or diag($output);

if ($code == 0) {
    $queues->run;
    $_->reset for $first, $second;


    sub generate {
        return $queues->start('POST', '/api/generate', json => {
            model => 'm', prompt => 'hi', stream => JSON::PP::false });
    }


    # the slot is taken until the test hangs up
    my $slow = $queues->start_chat(stream => 1, sim => { words => 100_000,
                                                         delay_ms => 50 });
    $slow->first;

    my @patient = map { generate() } 1 .. 3;
    my $began = time();
    my @hasty = map { $queues->start_chat } 1 .. 3;

    Http::until(sub { !grep { !$_->{ended} } @hasty }, @hasty, @patient);

    is(join(' ', map { $_->status } @hasty), '429 429 429', 'the first queue');
    cmp_ok(time() - $began, '<', 20, 'lets nobody wait for long');
    is(scalar(grep { $_->{ended} } @patient), 0, 'the second lets them wait');

    push @patient, map { generate() } 1 .. 2;
    Http::until(sub { grep { $_->{ended} } @patient }, @patient);
    is(join(' ', map { $_->status } grep { $_->{ended} } @patient), '429',
       'but no more than four');

    $slow->abort;
    Http::finish(@patient);
    is(join(' ', sort map { $_->status } @patient), '200 200 200 200 429',
       'until the slot is free');
    is(scalar $second->requests, 4, 'and they go where they should');
}

finish();
