#!/usr/bin/perl

# Tests for the list of running requests: what the page is told of a request
# from its first byte to its last, whichever worker has it and whatever
# becomes of that worker.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Poll;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $key = { key => key_of(0), name => 'team-a', max_concurrent => 1 };
my $t = Proxy->new(daemon => 1, keys => [ $key ])->run;


sub list { return $_[0]->get('/stats/running')->json }
sub first_of { return list($_[0])->{requests}[0] }


# a chat that is driven on while others are waited for

my @chats;

sub chat {
    my ($t, %how) = @_;

    push @chats, $t->start_chat(%how);
    return $chats[-1];
}


sub stream { return chat($_[0], stream => 1, @_[1 .. $#_]) }


sub hang_up {
    $_->abort for @chats;
    @chats = ();
}


# until the list has so many, and its first one is in this phase

sub runs {
    my ($t, $n, $phase) = @_;

    return poll {
        Http::turn(0.01, @chats);
        my $list = list($t);
        @{ $list->{requests} } == $n
            && (!$phase || $list->{requests}[0]{phase} eq $phase) ? $list : 0;
    } "$n running" . ($phase ? ", $phase" : '');
}


ok(poll { list($t)->{total} == 0 } 'nothing runs');

# a stream: its beginning, its tokens, its end

my $began = time();
my $chat = stream($t, model => 'gpt-oss:120b-cloud',
    headers => [ 'X-Ollama-Client' => 'anna', 'User-Agent' => 'agent/1' ],
    sim => { words => 400, delay_ms => 10, first_delay_ms => 900 });

my $one = runs($t, 1, 'sent')->{requests}[0];

cmp_ok(time() - $began, '<', 1, 'a request is told within a second');
is($one->{client_name}, 'anna', 'its client');
is($one->{client_ip}, '127.0.0.1', 'and address');
is($one->{user_agent}, 'agent/1', 'and tool');
is($one->{endpoint}, '/api/chat', 'its path');
is($one->{model}, 'gpt-oss:120b', 'its model, without the suffix');
is($one->{key}, 'team-a', 'its key');
like($one->{key_fingerprint}, qr/^[0-9a-f]{8}$/, 'by name and fingerprint');
is($one->{completion_tokens}, 0, 'no tokens before the answer');
is($one->{first_token_ms}, undef, 'nor a first one');
is_deeply($one->{attempts}, [], 'the try under way is none that failed');
ok($one->{streamed}, 'it will stream');

$chat->first;

my $some = runs($t, 1, 'answering')->{requests}[0];

is($some->{id}, $one->{id}, 'the same request');
cmp_ok($some->{first_token_ms}, '>=', 850, 'its first token came');
cmp_ok($some->{total_ms}, '>=', $some->{first_token_ms}, 'it goes on');

ok(poll {
    Http::turn(0.01, @chats);
    (first_of($t) // {})->{completion_tokens} > $some->{completion_tokens} + 20
} 'tokens grow');
ok(poll { $t->get('/stats/keys')->json->[0]{in_flight} == 1 }
   'in flight at its key as well');

# another one waits for the only slot

my $waits = chat($t, text => 'wait');
my $both = runs($t, 2, 'answering');

is($both->{total}, 2, 'both are counted');
ok(poll { list($t)->{waiting} == 1 } 'one of them waits');
is($both->{requests}[1]{phase}, 'waiting', 'it says so');
is($both->{requests}[1]{key}, undef, 'without a key');
ok(poll { list($t)->{requests}[1]{queue_ms} > 300 } 'and how long');

$chat->abort;
Http::finish($waits);
@chats = ();
is($waits->status, 200, 'it is served when the other has hung up');
ok(poll { list($t)->{total} == 0 } 'then nothing runs');

# a body that is still on its way

my $slow = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $t->port) or die;

print $slow "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            . "Authorization: Bearer $Proxy::token\r\n"
            . "Content-Length: 100\r\n\r\n{\"model\":";
$slow->flush;

$one = runs($t, 1, 'reading')->{requests}[0];
is($one->{endpoint}, '/v1/chat/completions', 'a request that is being sent');
is($one->{model}, undef, 'nobody knows its model yet');
close $slow;
ok(poll { list($t)->{total} == 0 } 'its client goes');

# an answer that waits for a slot has no key any more

my $parked = Proxy->new(daemon => 1, keys => [ key_of(0) ])->run;

chat($parked, stream => 1, sim => { words => 4000, delay_ms => 10 })->first;
$parked->cloud->rules({ match => {}, times => 1, status => 429,
                        body => '{"error":"too many concurrent requests"}',
                        headers => { 'x-ratelimit-max-concurrent' => 1,
                                     'retry-after' => 1 } });
$waits = chat($parked, text => 'parked');
ok(poll { Http::turn(0.01, @chats); list($parked)->{waiting} == 1 }
   'a refused one waits');
runs($parked, 2);
poll { list($parked)->{requests}[1]{queue_ms} > 100 } 'for a while';
$one = list($parked)->{requests}[1];
is($one->{phase}, 'waiting', 'an answer that is parked');
is($one->{key}, undef, 'has no key');
is($one->{attempts}[0]{status}, 429, 'but a refusal');
is($one->{attempts}[0]{key}, 'key_0', 'by the one it had');
is_deeply(list($parked)->{requests}[0]{attempts}, [],
          'the other had none: its answer is under way');
hang_up();

# refused while its body is still coming

my $small = Proxy->new(daemon => 1, keys => [ key_of(0) ],
                       params => { client_max_body_size => '1k' })->run;
my $big = $small->start('POST', '/api/chat', raw =>
    "POST /api/chat HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: Bearer $Proxy::token\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n"
    . "800\r\n" . 'x' x 0x800 . "\r\n");

$big->started;
is($big->status, 413, 'a body that is too large');
ok(poll { list($small)->{total} == 0 } 'does not run any more', 1.5);
$big->abort;

# what was tried before

my $two = Proxy->new(daemon => 1, keys => [ keys_of(2) ])->run;

$two->cloud->rules({ match => {}, times => 1, preset => 'quota_session' });

$chat = stream($two, sim => { words => 300, delay_ms => 10 });
$one = runs($two, 1, 'answering')->{requests}[0];

is($one->{attempts}[0]{status}, 429, 'a refusal by the first key');
isnt($one->{attempts}[0]{key}, $one->{key}, 'is served by the other');
hang_up();

# many: all are told and counted

stream($two, model => 'm' x 200, sim => { words => 2000, delay_ms => 20 })
    for 1 .. 90;
$_->first for @chats;

my $list = poll {
    Http::turn(0.01, @chats);
    my $list = list($two);
    $list->{total} == 90 && @{ $list->{requests} } == 90 ? $list : 0;
} 'all are counted';

is(scalar @{ $list->{requests} }, 90, 'and told');
is_deeply([ map { $_->{id} } @{ $list->{requests} } ],
          [ map { $_->{id} } sort { $a->{timestamp} cmp $b->{timestamp}
                                    || length $a->{id} <=> length $b->{id}
                                    || $a->{id} cmp $b->{id} }
                             @{ $list->{requests} } ], 'the oldest first');
is(scalar @{ $two->get('/stats/running?limit=3')->json->{requests} }, 3,
   'limit');
is($two->get('/stats/running?limit=0')->status, 400, 'within bounds');
hang_up();
ok(poll { list($two)->{total} == 0 } 'all have hung up');

# workers: both, an old one after a reload, one that is killed

my $w = Proxy->new(daemon => 1, workers => 2, keys => [ keys_of(2) ],
                   allow => qr/worker process \d+ exited on signal 9/)->run;

stream($w, sim => { words => 4000, delay_ms => 20 })
    for 1 .. 12;
$_->first for @chats;
runs($w, 12);
is(list($w)->{total}, 12, 'requests of all workers');

my %old = map { $_ => 1 } $w->workers;

my ($least, $samples) = (99, 0);

ok($w->reload && poll { !grep { $old{$_} } $w->workers } 'a reload');
poll {
    my $total = list($w)->{total};

    $least = $total if $total < $least;
    ++$samples > 60;
} 'a while';
is($least, 12, 'they are told all the time');
stream($w, sim => { words => 4000, delay_ms => 20 })
    for 1 .. 4;
$_->first for @chats;
runs($w, 16);
is(list($w)->{total}, 16, 'those of the old workers go on');

kill 'KILL', $_ for keys %old;
runs($w, 4);
is(list($w)->{total}, 4, 'those of killed workers do not');
hang_up();
ok(poll { list($w)->{total} == 0 } 'nothing is left');

# a reload that makes the pool anew, while an old worker goes on

stream($w, sim => { words => 4000, delay_ms => 20 }) for 1 .. 3;
$_->first for @chats;
%old = map { $_ => 1 } $w->workers;
$w->{zone} = '16m';
$w->write_conf;
ok($w->reload && poll { !grep { $old{$_} } $w->workers } 'a reload');
stream($w, sim => { words => 4000, delay_ms => 20 });
$_->first for @chats;
runs($w, 4);
is(list($w)->{total}, 4, 'workers of two pools do not share a board');
hang_up();
ok(poll { list($w)->{total} == 0 } 'nothing is left');

# without the daemon nothing is missed; back again it knows at once

$chat = stream($w, sim => { words => 4000, delay_ms => 20 });
$chat->first;
runs($w, 1);
$w->{daemon}->stop('KILL');
$w->start_daemon;
ok(runs($w, 1, 'answering'), 'a new daemon is told what runs');
hang_up();

finish();
