#!/usr/bin/perl

# Tests for long bodies: one goes to the daemon, and out of memory, as soon as
# the cloud has all of it and an answer has begun.  It is on record once, whole,
# however the request ends.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Proxy;
use Records;
use Test::More;

my $t = Proxy->new(daemon => 1, keys => [ keys_of(2) ],
    allow => qr/exited on signal 9|statsd|http\.sock/,
    http => 'log_format body escape=none "$ollama_model:$request_body.";',
    server => 'access_log %DIR%/bodies.log body; ollama_no_log on;')->run;
my $cloud = $t->cloud;
my $n = 0;


# a stream of such a prompt under a new name, of which the first bytes are here

sub begun {
    my ($of, $length, %how) = @_;
    my $model = $how{model} // 'long-' . ++$n;
    my $r = $of->start_chat(stream => 1, text => 'x' x $length, timeout => 60,
                            sim => { words => 40, delay_ms => 25 }, %how,
                            model => $model);

    Http::until(sub { length $r->body }, $r);
    return ($r, $model);
}


# what is kept of it, and what was sent

sub same {
    my ($of, $r, $model, $name) = @_;
    my $q = record($of, $model) or return fail($name);
    my ($body) = $r->{request} =~ /\r\n\r\n(.*)/s;
    my $kept = $of->get("/queries/$q->{id}/body");

    is($kept->status, 200, "$name: a body is kept");
    ok($kept->body eq $body, 'as it came');
    is($q->{bytes_in}, length $body, 'its size');

    return $q;
}


# how much of it is in the log as $request_body

sub logged {
    my ($model) = @_;
    my $text;

    poll {
        ($text) = Process::slurp($t->dir . '/bodies.log')
                  =~ /^\Q$model\E:(.*)\.$/m;
        defined $text;
    } "$model in the log";

    return length $text;
}


# one that ends

my ($r, $model) = begun($t, 400_000);
Http::finish($r);
is($r->status, 200, 'a stream');
is(same($t, $r, $model, 'a long body')->{end}, 'done', 'the end');
is(logged($model), 0, 'it is not in memory any more');

($r, $model) = begun($t, 400_000, uri => '/v1/chat/completions');
Http::finish($r);
unlike($r->body, qr/"usage"/, 'a stream to which nothing was added');
is(same($t, $r, $model, 'one that was edited')->{end}, 'done', 'the end');
is($cloud->last->{model}, $model, 'the cloud has it whole');

($r, $model) = begun($t, 1000);
Http::finish($r);
same($t, $r, $model, 'a short body');
cmp_ok(logged($model), '>', 1000, 'it stays');

# a plain answer, other ways to come

($r, $model) = begun($t, 100_000, stream => 0);
Http::finish($r);
same($t, $r, $model, 'a plain answer');

my $body = '{"model":"in-chunks","messages":[{"role":"user","content":"'
           . 'z' x 200_000 . '"}],"stream":true}';

is($t->request('POST', '/api/chat', chunked => [ unpack '(a7001)*', $body ])
     ->status, 200, 'a body in chunks');
my $q = record($t, 'in-chunks');
ok($t->get("/queries/$q->{id}/body")->body eq $body, 'as it came');

# a client that goes

($r, $model) = begun($t, 400_000);
$r->abort;
is(same($t, $r, $model, 'the client goes')->{end}, 'client_gone', 'the end');

# tried again: the other key gets it whole

$cloud->rules({ times => 1, match => { model => 'long-again' },
                preset => 'overloaded_503' });
($r, $model) = begun($t, 400_000, model => 'long-again');
Http::finish($r);
$q = same($t, $r, $model, 'after a second try');
is($q && @{ $q->{attempts} }, 2, 'there were two');

# who does not want it

($r, $model) = begun($t, 400_000, headers => [ 'X-Ollama-No-Log' => 1 ]);
Http::finish($r);
$q = record($t, $model);
is($q->{body}, undef, 'X-Ollama-No-Log: no body');
is(logged($model), 0, 'nor in memory');

# a killed worker's

($r, $model) = begun($t, 400_000, sim => { words => 2000, delay_ms => 25 });
my ($worker) = $t->workers;
poll { Http::turn(0.01, $r); 20 < (() = $r->body =~ /\n/g) } 'it goes on';

# boards are written four times a second

select undef, undef, undef, 1.5;
kill 'KILL', $worker;
Http::finish($r);
poll { grep { $_ != $worker } $t->workers } 'a successor';
is((same($t, $r, $model, 'a worker is killed') || {})->{end}, 'worker_gone',
   'the end');

finish();
