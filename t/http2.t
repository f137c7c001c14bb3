#!/usr/bin/perl

# Tests with HTTP/2 between client and proxy.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

plan(skip_all => 'curl knows no HTTP/2 here')
    unless `curl --version 2>/dev/null` =~ /HTTP2/;

my $port = Process::port();
my $t = Proxy->new(server => "listen 127.0.0.1:$port ssl http2;
    ssl_certificate %DIR%/cert.pem; ssl_certificate_key %DIR%/key.pem;");
my $base = "https://127.0.0.1:$port";

$t->certificate('proxy.test');
$t->run;


sub curl {
    my (@arguments) = @_;

    my ($code, $output) = Process::run([ qw/ curl -sSk --http2 --max-time 20 -H /, "Authorization: Bearer $Proxy::token", @arguments ]);

    is($code, 0, 'curl') or diag($output);

    return $output;
}


sub question {
    my ($uri, $stream, %sim) = @_;

    return ("$base$uri", '-d', $Http::json->encode({
        model => 'gpt-oss:20b-cloud', max_tokens => 9, _sim => \%sim,
        stream => $stream ? JSON::PP::true : JSON::PP::false,
        messages => [ { role => 'user', content => 'hi' } ] }));
}


like(curl('-i', question('/api/chat')), qr!^HTTP/2 200.*"eval_count":8!s,
     'a chat');
like(curl(question('/v1/chat/completions', 1)), qr/data: \[DONE\]\n\n$/,
     'a stream');
is($t->cloud->last->{model}, 'gpt-oss:20b', 'the suffix is taken off');

# many on one connection

my @again = ('--next', qw/ -sSk --http2 -H /,
             "Authorization: Bearer $Proxy::token");
my @many = map { ($_ ? @again : (), '-w', "\n%{http_code}\n",
                  question('/api/chat', 1, words => 5, delay_ms => 10)) } 0 .. 19;
my $output = curl('-Z', @many);

is(scalar(() = $output =~ /^200$/mg), 20, 'twenty on one connection');
is(scalar(() = $output =~ /"eval_count":5/g), 20, 'and all of them whole');

# refusals, bodies, another key

like(curl('-i', "$base/nothing"), qr!^HTTP/2 404!, 'an unknown page');
like(curl('-i', '--path-as-is', "$base/api/%2e%2e/x"), qr!^HTTP/2 400!,
     'a path that leads out');
$t->cloud->rules({ times => 1, preset => 'unauthorized' });
Process::spill($t->dir . '/big', '{"model":"m","messages":["'
                                 . 'x' x 2_000_000 . '"]}');
like(curl('-i', "$base/api/chat", '-d', '@' . $t->dir . '/big'),
     qr!^HTTP/2 200.*x-ollama-attempts: 2!s, '2 MB, sent twice');

my @sizes = map { $_->{body_bytes} } $t->cloud->requests(2);

is("@sizes", '2000029 2000029', 'whole both times');

# packed

system('gzip', '-k', $t->dir . '/big') == 0 or die;
like(curl('-i', "$base/api/chat", '-H', 'Content-Encoding: gzip',
          '--data-binary', '@' . $t->dir . '/big.gz'), qr!^HTTP/2 200!,
     '2 MB, packed');
is($t->cloud->last->{body_bytes}, 2000029, 'arrive unpacked');
Process::spill($t->dir . '/cut.gz',
               substr(Process::slurp($t->dir . '/big.gz'), 0, -9));
like(curl('-i', "$base/api/chat", '-H', 'Content-Encoding: gzip',
          '--data-binary', '@' . $t->dir . '/cut.gz'),
     qr!^HTTP/2 400.*ends before!s, 'half of it is refused');

finish();
