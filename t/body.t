#!/usr/bin/perl

# Tests for the request's body: the model's "-cloud" is taken off, everything
# else reaches the cloud as it was sent.

use warnings;
use strict;

use Digest::SHA qw/ sha256_hex /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new->run;


# the body that the cloud gets for a body, and whether its length is right

sub arrives {
    my ($uri, $body, %how) = @_;

    $t->post($uri, $body, %how);

    my $seen = $t->cloud->last;
    my ($length) = Cloud::headers($seen, 'content-length');

    return $length == length $seen->{body} ? $seen->{body} : "length $length";
}


sub is_edited {
    my ($name, $before, $after, $uri) = @_;

    is(arrives($uri // '/api/chat', $before), $after, $name);
}


sub is_kept {
    my ($name, $body, $uri) = @_;
    is_edited($name, $body, $body, $uri);
}


# the suffix

is_edited('gpt-oss:20b-cloud',
          '{"model":"gpt-oss:20b-cloud","messages":[{}]}',
          '{"model":"gpt-oss:20b","messages":[{}]}');
is_edited('glm-4.7:cloud', '{"messages":[{}],"model":"glm-4.7:cloud"}',
          '{"messages":[{}],"model":"glm-4.7"}');
is_edited('gpt-oss:20b:cloud', '{"model":"gpt-oss:20b:cloud","messages":[1]}',
          '{"model":"gpt-oss:20b","messages":[1]}');
is_edited('on /v1', '{"model":"m:cloud","messages":[1]}',
          '{"model":"m","messages":[1]}', '/v1/chat/completions');
is_edited('on /v1/messages', '{"model":"m:1b-cloud","messages":[1]}',
          '{"model":"m:1b","messages":[1]}', '/v1/messages');
is_edited('in show', '{"model":"gpt-oss:20b-cloud"}', '{"model":"gpt-oss:20b"}',
          '/api/show');
is_edited('spaces and escapes around it',
          qq!\t{ "a" : "\\u00e9\\/ \\"" ,\r\n "model" :  "m:cloud"\n, "messages":[ 1 ] }  \n!,
          qq!\t{ "a" : "\\u00e9\\/ \\"" ,\r\n "model" :  "m"\n, "messages":[ 1 ] }  \n!);

# what only looks like it

is_kept('no suffix', '{"model":"gpt-oss:20b","messages":[1]}');
is_kept('the suffix elsewhere',
        '{"messages":[{"model":"m:cloud","content":"x-cloud"}],"model":"m"}');
is_kept('the name in a string',
        '{"messages":["\"model\":\"m:cloud\""],"model":"m"}');
is_kept('cloud within a name', '{"model":"cloud-m:1","messages":[1]}');
is_kept('a name of its own', '{"model":"mycloud","messages":[1]}');
is_kept('another member', '{"models":"m:cloud","model":"m","messages":[1]}');
is_kept('a model that is none', '{"model":{"model":"m:cloud"},"messages":[1]}');
my $strange = "{\"model\":\"m\",\"messages\":[\"\xff\xfe\xc3\"]}";

$t->post('/api/chat', $strange);
is($t->cloud->last->{body_sha256}, sha256_hex($strange),
   'bytes of no character set');

# what is no JSON is the cloud's to refuse

is_kept('no JSON', 'model=m:cloud');
is_kept('half of an object', '{"model":"m:cloud","messages":[1');
is_kept('an array', '["model","m:cloud"]');
is_kept('nothing', '', '/v1/chat/completions');

# bodies that do not fit into memory

my $alphabet = join('', map { chr } 35 .. 91, 93 .. 125);

for my $size (20_000, 300_000, 5_000_000, 60_000_000) {
    my $rest = '","messages":[{"role":"user","content":"'
               . substr($alphabet x (1 + $size / 90), 0, $size)
               . '"}]}';

    $t->post('/api/chat', '{"model":"m:cloud' . $rest);

    my $seen = $t->cloud->last;
    my $expected = "{\"model\":\"m$rest";

    is($seen->{body_bytes}, length $expected, "$size bytes arrive");
    is($seen->{body_sha256}, sha256_hex($expected), 'but the suffix');
    is(join(' ', Cloud::headers($seen, 'content-length')), length $expected,
       'with the right length');
}

# the model at the end of a long body

my $long = '{"messages":["' . 'y' x 1_000_000 . '"],"model":"m';

$t->post('/api/chat', "$long:cloud\"}");
is($t->cloud->last->{body_sha256}, sha256_hex("$long\"}"),
   'the model after a megabyte');

# chunked

my @pieces = ('{"model":"m:cl', 'oud","messages":[', '1]}');

$t->post('/api/chat', undef, chunked => \@pieces,
         headers => [ 'Content-Type' => 'application/json' ]);

is($t->cloud->last->{body}, '{"model":"m","messages":[1]}', 'a chunked request');

# byte by byte, slowly

my $bytes = '{"model":"m:cloud","messages":[2]}';
my $e = $t->start('POST', '/api/chat', raw =>
    "POST /api/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $Proxy::token\r\n"
    . "Connection: close\r\nContent-Length: " . length($bytes) . "\r\n\r\n");

for my $byte (split //, $bytes) {
    Http::turn(0, $e);
    $e->{out} .= $byte;
    Http::turn(0.001, $e);
}

Http::finish($e);

is($t->cloud->last->{body}, '{"model":"m","messages":[2]}', 'byte by byte');

# curl's question before a big body

$e = $t->start('POST', '/api/chat', headers => [ Expect => '100-continue' ],
               body => '{"model":"m:cloud","messages":[3]}');
Http::finish($e);

is("@{ $e->{interim} // [] }", '100', 'Expect: 100-continue');

# too much

my $big = $t->start('POST', '/api/chat', raw =>
    "POST /api/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $Proxy::token\r\n"
    . "Connection: close\r\nContent-Length: " . (1 << 30) . "\r\n\r\n");

Http::finish($big);
is($big->status, 413, 'a body of 1 GB is too much');

finish();
