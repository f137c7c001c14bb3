#!/usr/bin/perl

# Tests for ollama_first_token: a request of which nothing comes is sent once
# more, with another key that is free, and nobody is blamed.

use warnings;
use strict;

use FindBin;
use IO::Handle;
use IO::Socket::INET;
use POSIX ();
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;
use Time::HiRes qw/ time /;

my $yes = JSON::PP::true;
my $cloud = Cloud->start;
my @k = map { { key => key_of($_), name => "k$_", max_concurrent => 1 } }
        0 .. 2;
my $t;


sub proxy {
    my ($n, $line, %how) = @_;

    $cloud->reset;
    $t = Proxy->new(cloud => $cloud, keys => [ @k[0 .. $n - 1] ], daemon => 1,
                    http => $line, %how)->run;
}


# a number of requests are never answered, the next ones are

sub silent {
    my ($times, %match) = @_;

    $cloud->reset;
    $cloud->rules({ times => $times, hold => $yes, match => \%match });
}


# "cause or status" of each attempt on record

sub attempts {
    my ($q) = @_;
    return join ' ', map { $_->{status} // $_->{cause} } @{ $q->{attempts} };
}


proxy(2, 'ollama_first_token 300ms;');

my @uris = ([ '/api/chat', 0 ], [ '/api/chat', 1 ],
            [ '/v1/chat/completions', 1 ], [ '/v1/responses', 1 ],
            [ '/v1/messages', 0 ]);

for my $n (0 .. $#uris) {
    my ($uri, $stream) = @{ $uris[$n] };
    my $name = $uri . ($stream ? ' as a stream' : '');

    silent(1);

    my $r = $t->chat(uri => $uri, stream => $stream, model => "late-$n",
                     body => { input => 'hi', max_tokens => 99 });

    is($r->status, 200, "$name is answered");
    ok($r->complete, 'to its end');
    is($r->header('x-ollama-attempts'), 2, 'at the second try');

    my $q = record($t, "late-$n");
    my %keys = map { $_->{key} => 1 } @{ $q->{attempts} };

    is(attempts($q), 'abandoned 200', 'the first is abandoned');
    is(scalar keys %keys, 2, 'the second has another key');
    cmp_ok($q->{attempts}[0]{ms}, '>=', 290, 'after that time');
    is($q->{certainty}, 'exact', 'its tokens are known');
    is(scalar $cloud->requests, 2, 'the cloud had it twice');
    is(join(' ', map { $_->{state} } values %{ $t->health }),
       'healthy healthy', 'no key is blamed');
}

unlike($t->log, qr/\[warn\].*key "k\d"/, 'nor in the log');
like($t->log, qr/nothing came with key "k\d" for \d+ ms, key "k\d" is asked/,
     'which says why');

# once only: the second gets all the time

$cloud->reset;
$cloud->rules({ times => 1, hold => $yes }, { times => 1, delay_ms => 1500 });

my $start = time();
my $r = $t->chat(model => 'once');

is($r->status, 200, 'a second that is slow as well is waited for');
cmp_ok(time() - $start, '>', 1.5, 'for as long as it takes');
is(attempts(record($t, 'once')), 'abandoned 200', 'there is no third');

# an error of the second is followed by another try as ever

$cloud->reset;
$cloud->rules({ times => 1, hold => $yes },
              { times => 1, preset => 'overloaded_503' });
proxy(3, 'ollama_first_token 300ms;', balancer => 'ollama_keys tries=2 '
      . 'tries_time=250ms;');
$cloud->rules({ times => 1, hold => $yes },
              { times => 1, preset => 'overloaded_503' });

$r = $t->chat(model => 'then');
is($r->status, 200, 'an error of the second is tried again');
is(attempts(record($t, 'then')), 'abandoned 503 200',
   'and the time that passed is not counted as one of trying');

# a header alone is nothing, a word is: this one says as much in its first
# answer, and all of it in the next ones

sub says {
    my ($head, $rest) = @_;

    my $listen = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    my $pid = fork // die "fork: $!\n";

    return ($listen->sockport, $pid) if $pid;

    my @open;

    while (my $c = $listen->accept) {
        my $request = '';

        1 while $request !~ /\}\s*\z/ && sysread $c, $request, 65536,
                                                 length $request;
        $c->autoflush;
        print $c $head;
        print $c $rest if @open;
        close $c if @open;
        push @open, $c;
    }

    POSIX::_exit(0);
}

my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
           . "Connection: close\r\n\r\n";
my $line = qq({"model":"m","message":{"content":"hi"},"done":false}\n);
my $last = qq({"model":"m","done":true,"prompt_eval_count":5,"eval_count":7}\n);

{
    my ($port, $pid) = says($head, $line . $last);

    proxy(2, 'ollama_first_token 300ms;',
          servers => "server 127.0.0.1:$port;");

    $r = $t->chat(model => 'head', stream => 1);
    is($r->status, 200, 'a header without a word');
    is($r->body, $line . $last, 'is not passed on');
    is(attempts(record($t, 'head')), 'abandoned 200', 'but abandoned');

    kill TERM => $pid;
    waitpid $pid, 0;
}

{
    my ($port, $pid) = says($head . $line, $last);

    proxy(2, 'ollama_first_token 300ms;', params => {
          proxy_read_timeout => '1s' }, servers => "server 127.0.0.1:$port;");

    $r = $t->chat(model => 'word', stream => 1);
    is($r->header('x-ollama-attempts'), 1, 'a word without the next one');
    is(attempts(record($t, 'word')), '200', 'is no reason to ask again');

    kill TERM => $pid;
    waitpid $pid, 0;
}

# without a free key it goes on waiting; one that gets free is taken

proxy(2, 'ollama_first_token 300ms;');
silent(1, model => 'wait');

my $busy = $t->start_chat(model => 'busy', stream => 1,
                          sim => { words => 10, delay_ms => 150 });
poll { Http::turn(0.01, $busy); scalar $cloud->requests } 'both are busy';

$start = time();

my $wait = $t->start_chat(model => 'wait');

Http::finish($busy);
Http::finish($wait);

is($busy->status, 200, 'the one before it ends');
is($wait->status, 200, 'then its key is taken');
is(attempts(record($t, 'wait')), 'abandoned 200', 'for the late one');

proxy(1, 'ollama_first_token 200ms;');
$cloud->rules({ times => 1, delay_ms => 1000 });
$r = $t->chat(model => 'alone');
is($r->status, 200, 'with one key it is waited for');
is(attempts(record($t, 'alone')), '200', 'as long as it takes');

# the client leaves, nginx is reloaded

proxy(2, 'ollama_first_token 400ms;');
silent(-1);

my $gone = $t->start_chat(model => 'gone');
poll { Http::turn(0.01, $gone); scalar $cloud->requests } 'it is at the cloud';
$gone->abort;
ok(poll(sub { $t->in_flight == 0 }, 'given back'), 'a client that leaves');
is(attempts(record($t, 'gone')), 'aborted', 'ends it');

silent(1);

my $old = $t->start_chat(model => 'old');
poll { Http::turn(0.01, $old); scalar $cloud->requests } 'it is at the cloud';
ok($t->reload, 'a reload meanwhile');
Http::finish($old);
is($old->status, 200, 'is nothing to it');

# what is off

for my $off ('', 'ollama_first_token off;', 'ollama_first_token 0;') {
    proxy(2, $off);
    $cloud->rules({ times => 1, delay_ms => 700 });
    is($t->chat->header('x-ollama-attempts'), 1, "off: '$off'");
}

# only inference

proxy(2, 'ollama_first_token 200ms;');
$cloud->rules({ times => 1, delay_ms => 700 });
$t->request('POST', '/api/show', json => { model => 'gpt-oss:20b' });
is(scalar $cloud->requests, 1, 'other routes wait');

# by model

my $keys = join '', map { "  - $_->{key}\n" } @k[0, 1];

sub models {
    my ($yaml) = @_;
    Proxy::secret(map { $_->{key} } @k);
    return (config => "keys:\n$keys$yaml");
}

proxy(2, 'ollama_first_token 200ms;', models(<<'EOT'));
models:
  first_token:
    slow:8b-cloud: off
    kimi*: 0
    kimi-k2: 300ms
EOT

for ([ 'slow:8b', 1 ], [ 'slow:8b-cloud', 1 ], [ 'kimi-k1', 1 ],
     [ 'kimi-k2', 2 ], [ 'other', 2 ])
{
    $cloud->reset;
    $cloud->rules({ times => 1, delay_ms => 1200 });
    is($t->chat(model => $_->[0])->header('x-ollama-attempts'), $_->[1],
       "$_->[0]: $_->[1]");
}

proxy(2, '', models("models: {first_token: {\"*\": 200ms}}\n"));
$cloud->rules({ times => 1, hold => $yes });
is($t->chat->header('x-ollama-attempts'), 2, 'only in config.yaml');

# what is refused

for ([ 'a bad time' => qr/line 5, column 8: .*must be a time/,
       "models:\n  first_token:\n    a: soon\n" ],
     [ 'a subject unknown' => qr/line 4, .*unknown field.*first_token/,
       "models:\n  last_token: 1\n" ],
     [ 'a "*" inside' => qr/line 5, .*"\*" only at the end/,
       "models:\n  first_token:\n    a*b: 1s\n" ],
     [ 'a model twice' => qr/line 6, .*twice/,
       "models:\n  first_token:\n    a:8b: 1s\n    a:8b-cloud: 2s\n" ],
     [ 'a list' => qr/line 3, .*must be an object/, "models: [1]\n" ])
{
    my ($name, $reason, $yaml) = @$_;
    my ($line) = $reason =~ /line (\d)/;
    my ($code, $output) = Proxy->new(cloud => 0, config =>
        "keys: [ @{[ key_of(0) ]} ]\nauth_token: x\n$yaml")->nginx('-t');

    isnt($code, 0, "refused: $name");
    like($output, $reason, 'with its line, and what is expected');
}

my ($code, $output) = Proxy->new(cloud => 0, http =>
                                 'ollama_first_token soon;')->nginx('-t');

isnt($code, 0, 'refused: a bad time in nginx.conf');
like($output, qr/invalid time "soon", expected one like "20s"/, 'with a reason');

finish();
