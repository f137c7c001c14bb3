#!/usr/bin/perl

# Request bodies that come packed, as a local Ollama takes them: the cloud gets
# them as they are, and everything the proxy does with a body is done.

use warnings;
use strict;

use Compress::Zlib qw/ memGzip /;
use Digest::SHA qw/ sha256_hex /;
use FindBin;
use JSON::PP qw/ decode_json /;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;

my $own = Cloud->start;         # a fallback
my $t = Proxy->new(daemon => 1, locations => <<"EOT")->run;
        location = /v1/messages {
            ollama on;
            ollama_access on;
            client_max_body_size 1m;
            proxy_pass \$ollama_upstream;
        }

        location = /v1/responses {
            ollama on;
            ollama_access on;
            ollama_pass_header *;
            client_body_in_file_only clean;
            proxy_pass \$ollama_upstream;
        }

        location = /api/generate {
            ollama on;
            ollama_access on;
            proxy_intercept_errors on;
            error_page 418 = \@own;
            proxy_pass \$ollama_upstream;
        }

        location \@own {
            proxy_pass http://127.0.0.1:${\ $own->port };
        }
EOT

my $stream = '{"model":"m:cloud","stream":true,"messages":[1]}';
my $zstd = readelf() =~ /libzstd/;


# the status, and what of it the cloud gets

sub sent {
    my ($uri, $coding, $body, %how) = @_;

    $t->cloud->reset;

    my @headers = (@{ $how{headers} // [] },
                   map { ('Content-Encoding' => $_) }
                       ref $coding ? @$coding : $coding);
    my $answer = $t->post($uri, $how{chunked} ? undef : $body, %how,
                          headers => \@headers);
    my $seen = $t->cloud->last;

    return ($answer, $seen);
}


sub arrives {
    my ($name, $uri, $coding, $body, $plain, %how) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($answer, $seen) = sent($uri, $coding, $body, %how);

    is($answer->status, 200, $name);
    is(($seen // {})->{body_sha256}, sha256_hex($plain), '.. arrives as it is');
    is(join(' ', Cloud::headers($seen // {}, 'content-length')), length $plain,
       '.. with its length');
    is(join(' ', Cloud::headers($seen // {}, 'content-encoding')), '',
       '.. and no coding');
}


sub refused {
    my ($name, $uri, $coding, $body, $status, $words, %how) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($answer, $seen) = sent($uri, $coding, $body, %how);

    is($answer->status, $status, $name);
    is($seen, undef, '.. goes nowhere');
    like($answer->body, $words, '.. is told why');
    ok($answer->json, '.. as JSON');
}


# all that is done with a body

my $edited = '{"model":"m","stream":true,"stream_options":'
             . '{"include_usage":true},"messages":[1]}';

for my $coding ('gzip', 'X-GZip', $zstd ? 'zstd' : ()) {
    my ($answer, $seen) = sent('/v1/chat/completions', $coding,
                               pack_as($coding, $stream));

    is($answer->status, 200, "a stream, sent as $coding");
    is_deeply(decode_json($seen->{body}), decode_json($edited),
              '.. has its suffix taken off, and is asked for its usage');
    unlike($answer->body, qr/"usage"/, '.. which the client does not see');
}

my $plain = '{"model":"packed:cloud","messages":[1],"stream":false}';

$t->post('/api/chat', memGzip($plain),
         headers => [ 'Content-Encoding' => 'gzip' ]);

my $q = record($t, 'packed');

is($q->{model}, 'packed', 'a record has the model');
is($q->{certainty}, 'exact', '.. and its tokens');
is($q->{bytes_in}, length $plain, '.. and its bytes, as they are');
is($t->get("/queries/$q->{id}/body")->body, $plain, '.. and its body');

# sizes, in memory and in files, and in pieces

my $letters = join '', map { chr } 35 .. 91, 93 .. 125;

for my $size (1, 10_000, 200_000, 5_000_000) {
    my $plain = '{"model":"m","messages":["'
                . substr($letters x (1 + $size / 90), 0, $size) . '"]}';
    my $packed = memGzip($plain);

    arrives("$size bytes", '/api/chat', 'gzip', $packed, $plain);
    arrives("$size bytes, in a file", '/v1/responses', 'gzip', $packed, $plain);
    arrives("$size bytes, chunked", '/api/chat', 'gzip', undef, $plain,
            chunked => [ unpack "(a7)10 a*", $packed ]);
    arrives("$size bytes of zstd", '/api/chat', 'zstd', zstd($plain), $plain)
        if $zstd;
}

arrives('two members', '/api/chat', 'gzip', memGzip('{"model":"m",')
        . memGzip('"messages":[1]}'), '{"model":"m","messages":[1]}');
arrives('identity', '/api/chat', 'identity', '{"model":"m","messages":[1]}',
        '{"model":"m","messages":[1]}');

# the next key gets it, too

$t->cloud->reset;
$t->cloud->rules({ times => 1, preset => 'quota_session' });
is($t->post('/api/chat', memGzip('{"model":"m:cloud","messages":[2]}'),
            headers => [ 'Content-Encoding' => 'gzip' ])->status, 200,
   'a refused try is made again');
is(join(' ', map { $_->{body} } $t->cloud->requests),
   '{"model":"m","messages":[2]} {"model":"m","messages":[2]}',
   '.. with the same body');

# nor is a fallback told that it is packed

$t->cloud->rules({ times => 1, status => 418, body => '{"error":"teapot"}' });
$t->post('/api/generate', memGzip('{"model":"m:cloud","prompt":"x"}'),
         headers => [ 'X-One' => 'a', 'Content-Encoding' => 'gzip',
                      'X-Two' => 'b' ]);

my $last = $own->last;

is($last->{body}, '{"model":"m","prompt":"x"}', 'a fallback gets what it is');
is(join(' ', Cloud::headers($last, 'content-encoding')), '', '.. and no coding');
is(join(' ', map { Cloud::headers($last, $_) } 'x-one', 'x-two'), 'a b',
   '.. but what else the client said');

# where there is no body, or none that matters

is($t->get('/api/tags', headers => [ 'Content-Encoding' => 'br' ])->status, 200,
   'a coding of nothing is no matter');

# over a connection that goes on

my $first = $t->start('POST', '/api/chat', keep => 1,
                      body => memGzip('{"model":"m","messages":[3]}'),
                      headers => [ 'Content-Encoding' => 'gzip' ]);
Http::finish($first);
my $second = $t->start('POST', '/api/chat', on => $first,
                       body => '{"model":"m","messages":[4]}');
Http::finish($second);
is($second->status, 200, 'a plain one on the same connection');
is($t->cloud->last->{body}, '{"model":"m","messages":[4]}', '.. is read plainly');

# what is not read

refused('br', '/api/chat', 'br', 'x', 415, qr{br.*gzip});
refused('deflate', '/v1/chat/completions', 'deflate', 'x', 415, qr{deflate});
refused('two at once', '/v1/messages', 'gzip, zstd', 'x', 415, qr/gzip, zstd/);
refused('two lines', '/api/chat', [ 'gzip', 'gzip' ], 'x', 415, qr/gzip/);

# what is broken

my $good = memGzip($stream);

refused('no gzip at all', '/api/chat', 'gzip', $stream, 400,
        qr/Content-Encoding/);
refused('half of it', '/v1/messages', 'gzip', substr($good, 0, -9), 400,
        qr/ends before/);
refused('nothing', '/api/chat', 'gzip', '', 400, qr/ends before/);
refused('something behind it', '/api/chat', 'gzip', "$good\{}", 400,
        qr/Content-Encoding/);
refused('half of it, chunked', '/api/chat', 'gzip', undef, 400, qr/ends before/,
        chunked => [ substr($good, 0, 20), substr($good, 20, 9) ]);
refused('another length', '/api/chat', 'gzip', substr($good, 0, -1) . 'x', 400,
        qr/Content-Encoding/);
refused('no zstd at all', '/api/chat', 'zstd', $stream, 400,
        qr/Content-Encoding/) if $zstd;

# too large: that is seen early, and costs no more memory than what fits

my $bomb = memGzip(memGzip("\0" x 4_000_000) . "\0" x 30_000_000);
my ($bomb_memory, $before) = (memGzip("\0" x 100_000_000), memory());

refused('a bomb', '/v1/messages', 'gzip', $bomb, 413, qr/larger than 1048576/);
refused('a larger one', '/v1/messages', 'gzip', $bomb_memory, 413, qr/larger/);
refused('a bomb, chunked', '/v1/messages', 'gzip', undef, 413, qr/larger/,
        chunked => [ unpack '(a4000)*', $bomb ]);
refused('a bomb of zstd', '/v1/messages', 'zstd', zstd_bomb(50_000_000), 413,
        qr/larger/) if $zstd;
cmp_ok(memory() - $before, '<', 20_000, 'in little memory');

# before its end has come

my $slow = $t->start('POST', '/v1/messages', raw =>
    "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    . "$Proxy::token\r\nContent-Encoding: gzip\r\nContent-Length: 500000\r\n\r\n"
    . substr($bomb_memory, 0, 20_000));

Http::finish($slow);
is($slow->status, 413, 'refused while it comes');

finish();


sub pack_as {
    my ($coding, $plain) = @_;
    return $coding eq 'zstd' ? zstd($plain) : memGzip($plain);
}


# a frame of blocks that are not compressed (RFC 8878)

sub zstd {
    my ($plain) = @_;
    my $frame = "\x28\xb5\x2f\xfd\x00\x38";

    do {
        my $block = substr $plain, 0, 100_000, '';
        $frame .= substr(pack('V', (length($block) << 3)
                                   | ($plain eq '' ? 1 : 0)), 0, 3) . $block;
    } while ($plain ne '');

    return $frame;
}


# one byte, again and again

sub zstd_bomb {
    my ($size) = @_;
    my $n = int($size / 100_000);

    return "\x28\xb5\x2f\xfd\x00\x38"
           . join '', map { substr(pack('V', (100_000 << 3) | 2
                                             | ($_ == $n ? 1 : 0)), 0, 3) . "\0" }
                          1 .. $n;
}


# KB of the workers

sub memory {
    my $kb = 0;

    for my $pid ($t->workers) {
        $kb += $1 if Process::slurp("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/;
    }

    return $kb;
}


sub readelf { return scalar `ldd @{[ Process::build('ngx_ollama_module.so') ]}` }
