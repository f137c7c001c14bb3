#!/usr/bin/perl

# Tests for the body on every try: it is sent whole, wherever nginx keeps it.

use warnings;
use strict;

use Digest::SHA qw/ sha256_hex /;
use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my $cloud = Cloud->start;

my %ways = (
    'in memory' => { client_body_buffer_size => '1m' },
    'in a file' => { client_body_buffer_size => '8k' },
    'in a file, sendfile' => { client_body_buffer_size => '8k',
                               sendfile => 'on' },
    'in a file only' => { client_body_in_file_only => 'clean' },
    'in a file only, sendfile' => { client_body_in_file_only => 'clean',
                                    sendfile => 'on' },
    'in a single buffer' => { client_body_in_single_buffer => 'on',
                              client_body_buffer_size => '1m' },
);

$ways{'read early'} = { client_body_early_read => '$request_method' }
    if $Proxy::version >= 1031001;

my $text = join '', map { chr 97 + $_ % 26 } 1 .. 200_000;

for my $way (sort keys %ways) {
    subtest $way => sub {
        my $t = Proxy->new(cloud => $cloud, params => $ways{$way})->run;

        for my $model ('m', 'm:cloud') {
            my $body = "{\"messages\":[\"$text\"],\"model\":\"$model\"}";
            my $sha = sha256_hex($body =~ s/:cloud//r);

            $t->post("/health/keys/$_/reset", '') for 0 .. 2;
            $cloud->reset;
            $cloud->rules({ times => 1, preset => 'unauthorized' },
                          { times => 1, preset => 'unknown_429' });

            my $r = $t->post('/api/chat', $body);
            my @requests = $cloud->requests;
            my %keys = map { $_->{key} => 1 } @requests;

            is($r->status, 200, "$model: answered");
            is(scalar @requests, 3, 'at the third try');
            is(scalar keys %keys, 3, 'with three keys');
            is_deeply([ map { $_->{body_sha256} } @requests ],
                      [ ($sha) x 3 ], 'the body whole each time');
            is_deeply([ map { Cloud::headers($_, 'content-length') } @requests ],
                      [ (length $requests[0]{body}) x 3 ], 'and its length');
            is_deeply([ map { Cloud::headers($_, 'authorization') } @requests ],
                      [ map { "Bearer $_->{key}" } @requests ],
                      'one Authorization each');
        }
    };
}

# chunked by the client, without a body, and 20 MB

my $t = Proxy->new(cloud => $cloud)->run;


sub twice {
    my ($request) = @_;

    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
    $cloud->reset;
    $cloud->rules({ times => 1, preset => 'unauthorized' });
    $request->();

    return $cloud->requests;
}


my @two = twice(sub {
    $t->post('/api/chat', undef, chunked =>
             [ '{"model":"m","messages":["', 'x' x 5000, '"]}' ]) });

is(scalar @two, 2, 'a chunked request is tried twice');
is($two[1]{body_sha256}, $two[0]{body_sha256}, 'with the same body');
is($two[1]{body_bytes}, 5000 + length '{"model":"m","messages":[""]}',
   'all of it');

@two = twice(sub { $t->request('POST', '/api/web_search', body => '') });

is(scalar @two, 2, 'a request without a body is tried twice');
is($two[1]{body_bytes}, 0, 'and still has none');

my $long = '{"model":"m","messages":["' . $text x 100 . '"]}';

@two = twice(sub { $t->post('/api/chat', $long) });

is(scalar @two, 2, '20 MB are tried twice');
is($two[1]{body_sha256}, sha256_hex($long), 'and arrive whole');

# A try that came to no connection was made out for another key than the next
# one.  Nobody accepts here, and no more connections fit into the backlog.

my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
my @backlog = map { IO::Socket::INET->new(Proto => 'tcp', Blocking => 0,
                        PeerAddr => '127.0.0.1', PeerPort => $full->sockport) }
              1 .. 6;
my $v = Proxy->new(cloud => $cloud,
                   servers => 'server 127.0.0.1:%CLOUD% weight=9 max_fails=0;'
                              . 'server 127.0.0.1:' . $full->sockport
                              . ' max_fails=0;',
                   params => { proxy_connect_timeout => '300ms' })->run;

$cloud->reset;
$cloud->rules({ times => 1, preset => 'unknown_429' });

my $r = $v->chat;
my @sent = $cloud->requests;

is($r->status, 200, 'a try without a connection between two others');
is($r->header('x-ollama-attempts'), 3, 'makes three');
is(scalar @sent, 2, 'of which the cloud sees two');
is('key_' . (grep { key_of($_) eq $sent[1]{key} } 0 .. 2)[0],
   $r->header('x-ollama-key'), 'the key that is told is the one that was sent');
is($sent[1]{body_sha256}, $sent[0]{body_sha256}, 'with the same body');

finish();
