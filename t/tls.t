#!/usr/bin/perl

# Tests for TLS to the cloud: the name is sent, the certificate is checked.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my $cloud = Cloud->start;

# a certificate, and an nginx with it in front of the simulator

my $port = Process::port();
my $gate = Proxy->new(cloud => $cloud, port => $port, conf => '');

$gate->certificate('ollama.test');
$gate->{conf} = <<"EOF";
@{[ $gate->globals =~ s/load_module.*//r ]}

http {
    @{[ $gate->temp_paths ]}

    log_format tls '\$ssl_server_name \$http_host \$ssl_session_reused';
    access_log @{[ $gate->dir ]}/tls.log tls;

    server {
        listen 127.0.0.1:%PORT% ssl;

        ssl_certificate @{[ $gate->dir ]}/cert.pem;
        ssl_certificate_key @{[ $gate->dir ]}/key.pem;

        client_max_body_size 0;

        location / {
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host \$http_host;
            proxy_pass http://127.0.0.1:%CLOUD%;
        }
    }
}
EOF

$gate->write_conf;
$gate->run;


sub proxy {
    my (%params) = @_;

    return Proxy->new(cloud => $cloud, servers => "server 127.0.0.1:$port;",
                      upstream => 'https://ollama_cloud host=ollama.test',
                      params => \%params)->run;
}


my $t = proxy(proxy_ssl_trusted_certificate => $gate->dir . '/cert.pem');
my $r = $t->chat(stream => 1);

is($r->status, 200, 'a chat over TLS');
is(($r->lines)[-1]{done}, JSON::PP::true, 'to its end');

is_deeply([ Cloud::headers($cloud->last, 'host') ], [ 'ollama.test' ],
          'the Host of the upstream');

poll { Process::slurp($gate->dir . '/tls.log') =~ /\n/ } 'a line in the log';
like(Process::slurp($gate->dir . '/tls.log'), qr/^ollama\.test ollama\.test /,
     'SNI and Host');

# another try over TLS, with a body in a file

$cloud->reset;
$cloud->rules({ times => 1, preset => 'unauthorized' },
              { times => 1, preset => 'overloaded_503' });
$r = $t->chat(text => 'x' x 3_000_000);

is($r->status, 200, '3 MB over TLS');
is($r->header('x-ollama-attempts'), 3, 'three times');

my @sums = map { $_->{body_sha256} } $cloud->requests;

is_deeply(\@sums, [ ($sums[0]) x 3 ], 'the body whole each time');

# many, and connections used again

my @chats = map { $t->start_chat(stream => 1, sim => { delay_ms => 10 }) } 1 .. 20;

Http::finish(@chats);
is(scalar(grep { !$_->complete } @chats), 0, 'twenty at once');

# a certificate that nobody vouches for: no key is sent

$cloud->reset;

my $strict = proxy();

is($strict->chat->status, 502, 'an unknown certificate');
is(scalar $cloud->requests, 0, 'gets no key');
like($strict->log, qr/certificate verify/, 'and the log says why');

# a name that the certificate does not have

my $wrong = Proxy->new(cloud => $cloud, servers => "server 127.0.0.1:$port;",
    upstream => 'https://ollama_cloud host=other.test',
    params => { proxy_ssl_trusted_certificate => $gate->dir . '/cert.pem' })->run;

is($wrong->chat->status, 502, 'a certificate of another name');
is(scalar $cloud->requests, 0, 'gets no key');

finish();
