#!/usr/bin/perl

# Tests for failures told inside of a 200 that comes by HTTP/2: frames are held
# and read as chunks are.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use H2;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my ($code, $output) = Proxy->new(cloud => 0, params => {
    proxy_http_version => '2' })->nginx('-t');

plan(skip_all => "this nginx knows no HTTP/2 to an upstream")
    if $output =~ /invalid value "2"|unknown.*http_version/;

my $quota = 'you (someone) have reached your session usage limit, '
            . 'upgrade for higher limits';
my $line = qq({"error":"$quota","status":429}\n);
my $event = qq(data: {"error":{"message":"$quota","type":"api_error"}}\n\n);
my @served = ('head:200 content-type=application/x-ndjson',
              qq(data:{"model":"m","message":{"content":"hi"},"done":false}\n),
              qq(+data:{"model":"m","done":true,"prompt_eval_count":5,)
              . qq("eval_count":7}\n));


sub head {
    my ($type, $length) = @_;

    return "head:200 content-type=$type"
           . (defined $length ? ' content-length=' . length $length : '');
}


my ($ndjson, $sse) = ('application/x-ndjson', 'text/event-stream');
my $long = 'event: response.created' . "\n" . 'data: {"response":{"text":"'
           . 'x' x 6000 . '"}}' . "\n\n";

my %cases = (
    'one frame' => [ head($ndjson), "+data:$line" ],
    'an end of its own' => [ head($ndjson), "data:$line", 'end' ],
    'an end that never comes' => [ head($ndjson), "data:$line" ],
    'with the length' => [ head('application/json', $line), "+data:$line" ],
    'many frames' => [ head($ndjson), map({ "data:$_" } unpack '(a9)*', $line),
                       'end' ],
    'by and by' => [ head($ndjson), 'pause', 'data:{"er', 'pause',
                     'data:' . substr($line, 4), 'end' ],
    'a frame in halves' => [ head($ndjson), "half:$line", 'end' ],
    'padding' => [ head($ndjson), "padded:$line", 'end' ],
    'an event' => [ head($sse), "data:$event", 'end' ],
    'behind comments and a ping' => [ head($sse), "data:: ping\n\n", 'pause',
                                      'ping', "data:$event", 'end' ],
    'behind what says nothing' => [ head($sse), "data:$long",
        "data:event: response.failed\ndata: " . qq({"response":{"error":)
        . qq({"message":"$quota"}}}\n\n), 'end' ],
);
my %errors = (
    'a length that is reached' =>
        [ 'head:429 content-length=' . length $line, "data:$line" ],
);


sub model_of { ($_[0] =~ tr/a-zA-Z0-9/-/csr) . ".$_[1]" }


my $port = Process::port();
my $h2 = H2->start(port => $port, answers => {
    (map { my $n = $_; map {
        (model_of($_, "once-$n") => [ $cases{$_} // $errors{$_}, \@served ])
    } keys %cases, keys %errors } 0, 1),
    (map { (model_of($_, 'ever') => [ $cases{$_} ]) } keys %cases),
    served => [ \@served ] });

my @both = map { Proxy->new(cloud => 0, servers =>
    "server 127.0.0.1:$port max_fails=0;", params => { proxy_http_version =>
    '2', proxy_buffering => $_ })->run } 'off', 'on';

for my $n (0, 1) {
    my $t = $both[$n];

    for my $name (sort keys %cases, keys %errors) {
        subtest "$name: the next key" => sub {
            $t->post("/health/keys/$_/reset", '') for 0 .. 2;

            my $began = time();
            my $r = $t->chat(model => model_of($name, "once-$n"), stream => 1,
                             timeout => 15);

            is($r->status, 200, 'serves');
            is($r->header('x-ollama-attempts'), 2, 'after one attempt');
            is(($r->lines)[-1]{eval_count}, 7, 'whole');
            cmp_ok(time() - $began, '<', 4, 'at once');
            like(join(' ', map { $_->{state} } values %{ $t->health }),
                 qr/exhausted/, 'the first one is exhausted');
        };
    }

    for my $name (sort keys %cases) {
        subtest "$name: for ever" => sub {
            $t->post("/health/keys/$_/reset", '') for 0 .. 2;

            my $r = $t->chat(model => model_of($name, 'ever'), stream => 1,
                             timeout => 15);

            is($r->status, 429, 'the status it stands for');
            is($r->header('content-type'), 'application/json', 'JSON');
            is(eval { $r->json->{error} }, $quota, "the cloud's own text");
            ok($r->complete, 'whole');

            $t->post("/health/keys/$_/reset", '') for 0 .. 2;
            is($t->chat(model => 'served', timeout => 15)->status, 200,
               'and the next request is served');
        };
    }
}

finish();
