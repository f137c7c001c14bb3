#!/usr/bin/perl

# Tests for requests that nginx refuses before it has a location for them: they
# have the shape of the API that was asked, as far as the line was read, and a
# server that does other things as well keeps nginx's own pages for these.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $t = Proxy->new(workers => 1)->run;
my $long = 'x' x 70_000;


# bytes as they are, and what is answered

sub raw {
    my ($p, $bytes) = @_;
    return $p->request('GET', '/', raw => $bytes, timeout => 10);
}


# the text of an error, by its shape

sub native { my ($j) = @_; return ref $j->{error} ? undef : $j->{error} }

sub openai {
    my ($j) = @_;
    return ref $j->{error} && !$j->{type} ? $j->{error}{message} : undef;
}

sub anthropic {
    my ($j) = @_;
    return ($j->{type} // '') eq 'error' ? $j->{error}{message} : undef;
}

my %shape = (native => \&native, openai => \&openai, anthropic => \&anthropic);


sub refused {
    my ($p, $title, $status, $shape, $bytes) = @_;
    my $r = raw($p, $bytes);

    is($r->status, $status, "$title: status");
    like($r->header('content-type'), qr!^application/json!, 'JSON');
    is($r->header('content-length'), length $r->body, 'of its length');
    like($shape{$shape}->($r->json // {}), qr/\w/, "of the shape: $shape")
        or diag($r->raw);
}


my @apis = ([ '/api/chat', 'native' ], [ '/v1/chat/completions', 'openai' ],
            [ '/v1/messages', 'anthropic' ], [ '/v1/messages/x', 'anthropic' ],
            [ '/v1/api/chat', 'native' ], [ '/chat/completions', 'openai' ],
            [ '//v1//messages', 'anthropic' ], [ '/whatever', 'native' ]);

for my $api (@apis) {
    my ($uri, $shape) = @$api;

    refused($t, "a query too long, $uri", 414, $shape,
            "GET $uri?$long HTTP/1.1\r\nHost: x\r\n\r\n");
    refused($t, "a header too long, $uri", 400, $shape,
            "POST $uri HTTP/1.1\r\nHost: x\r\nX-Long: $long\r\n\r\n");
    refused($t, "no Host, $uri", 400, $shape, "POST $uri HTTP/1.1\r\n\r\n");
    refused($t, "two lengths, $uri", 400, $shape, "POST $uri HTTP/1.1\r\n"
            . "Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    refused($t, "an invalid Host, $uri", 400, $shape,
            "GET $uri HTTP/1.1\r\nHost: a/b\r\n\r\n");
    refused($t, "a version of HTTP, $uri", 505, $shape,
            "GET $uri HTTP/3.9\r\nHost: x\r\n\r\n");
    refused($t, "a control byte, $uri", 400, $shape,
            "GET $uri\x01 HTTP/1.1\r\nHost: x\r\n\r\n");
    refused($t, "a coding, $uri", 501, $shape, "POST $uri HTTP/1.1\r\n"
            . "Host: x\r\nTransfer-Encoding: gzip\r\n\r\n");
}

refused($t, 'a path too long', 414, 'openai', "GET /v1/$long HTTP/1.1\r\n\r\n");
refused($t, 'an absolute one', 414, 'anthropic',
        "GET http://x/v1/messages?$long HTTP/1.1\r\n\r\n");
refused($t, 'TRACE', 405, 'openai', "TRACE /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
refused($t, 'a method that is none', 400, 'openai', "get /v1 HTTP/1.1\r\n\r\n");
refused($t, 'no HTTP at all', 400, 'native', "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n");
refused($t, 'one word', 400, 'native', "hello\r\n\r\n");
refused($t, 'a length of HEAD is no number', 400, 'native',
        "PUT /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n");

my $r = $t->request('HEAD', '/', raw => "HEAD /api/tags HTTP/1.1\r\n\r\n");

is($r->status, 400, 'HEAD without Host');
is($r->body, '', 'has no body');

is_deeply([ $t->cloud->requests ], [], 'the cloud is asked for none');
is($t->chat->status, 200, 'the proxy goes on');

# a server that does other things as well, and one that does nothing of ours

my $p = Proxy->new(conf => '', cloud => $t->cloud);

$p->{conf} = $p->default_conf;
$p->{conf} =~ s/include \S+ollama_locations;/
    location \/ { return 200 "a site"; }
    if (\$arg_no) { return 403 "a word of its own"; }
    location \/api\/ { ollama on; proxy_pass \$ollama_upstream; }/;
$p->{conf} =~ s/\}\s*\z/    server {
        listen 127.0.0.1:${\ ($p->{second} = Process::port()) };
        return 200 "another";
    }
}
/;
$p->write_conf;
$p->run;

refused($p, 'a path of ours there', 414, 'native',
        "GET /api/tags?$long HTTP/1.1\r\n\r\n");
refused($p, 'no path at all', 400, 'native', "hello\r\n\r\n");
refused($p, 'of the other API', 400, 'openai', "GET /v1/x HTTP/1.1\r\n\r\n");

$r = raw($p, "GET /index.html?$long HTTP/1.1\r\n\r\n");
is($r->status, 414, 'any other path');
like($r->header('content-type'), qr!^text/html!, "has nginx's own page");

$r = raw($p, "GET /api/tags?no=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is($r->status, 403, 'words of the configuration');
is($r->body, 'a word of its own', 'stay what they are');

my $other = Http->new(port => $p->{second});

$r = raw($other, "GET /api/tags?$long HTTP/1.1\r\n\r\n");
is($r->status, 414, 'another server');
like($r->header('content-type'), qr!^text/html!, "has nginx's own page");

# an error_page of one's own goes before ours

my $e = Proxy->new(cloud => $t->cloud, server => 'error_page 400 414 /mine;',
                   locations => 'location = /mine { internal; return 200 "mine"; }')
        ->run;

is(raw($e, "GET /api/tags?$long HTTP/1.1\r\n\r\n")->body, 'mine',
   'an error_page is shown');

# HTTP/2 and HTTPS

my $s = Proxy->new(cloud => $t->cloud);

$s->certificate('localhost');
$s->{conf} = $s->default_conf;
$s->{conf} =~ s/(listen 127.0.0.1:%PORT%);/$1 ssl; ssl_certificate %DIR%\/cert.pem;
    ssl_certificate_key %DIR%\/key.pem;/;
$s->{conf} =~ s/(server \{)(\s+listen)/$1 listen 127.0.0.1:${\ ($s->{plain} = Process::port()) }${\ ($Proxy::version >= 1025001 ? '; http2 on;' : ' http2;') }$2/;
$s->write_conf;

SKIP: {
    my ($code, $output) = $s->nginx('-t');

    skip('no HTTP/2 or TLS here', 6) if $code;
    $s->start_nginx;
    Poll::poll(sub { $s->listening }, 'nginx');

    $r = raw($s, "POST /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n");
    is($r->status, 400, 'plain HTTP to a port of HTTPS');
    like(anthropic($r->json // {}), qr/HTTPS/, 'is told so');

    my @curl = (qw{ curl -sS --http2-prior-knowledge -o }, $s->dir . '/out',
                '-w', '%{http_code} %{content_type}');
    my $url = "http://127.0.0.1:$s->{plain}/v1/messages";
    my ($rc, $out) = Process::run([ @curl, '-X', 'TRACE', $url ]);

    like($out, qr!^405 application/json!, 'HTTP/2: a method');
    like(Process::slurp($s->dir . '/out'), qr/"type":"error"/, 'in its shape');

    ($rc, $out) = Process::run([ @curl, '-H', 'Host: a/b', $url ]);
    like($out, qr!^400 application/json!, 'HTTP/2: a Host');
    like(Process::slurp($s->dir . '/out'), qr/"type":"error"/, 'in its shape');
}

finish();
