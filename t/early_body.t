#!/usr/bin/perl

# Tests for bodies that somebody else has read before the proxy does: the model
# is found, and its suffix taken off, all the same.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $cloud = Cloud->start;
my $nobody = Process::port();

# a location whose own upstream is down, and which goes on to the proxy

my $uris = join '|', qw! api/show api/chat api/generate v1/chat/completions !;
my $handed_on = <<"EOF";
        location ~ ^/($uris)\$ {
            proxy_pass http://127.0.0.1:$nobody;
            error_page 502 = \@proxy;
        }

        location \@proxy {
            ollama on;
            ollama_access on;
            proxy_pass \$ollama_upstream;
        }
EOF

# a mirror reads bodies, too

my $mirrored = <<"EOF";
        location ~ ^/($uris)\$ {
            ollama on;
            ollama_access on;
            mirror /nowhere;
            proxy_pass \$ollama_upstream;
        }

        location = /nowhere {
            internal;
            return 204;
        }
EOF


sub model_seen { ($cloud->last // {})->{model} // '' }


sub works {
    my ($name, %conf) = @_;

    subtest $name => sub {
        my $t = Proxy->new(daemon => 1, allow => qr/$absent|:$nobody/,
                           cloud => $cloud, %conf)->run;

        # short ones are in memory, long ones in a file

        for my $size (10, 40_000) {
            my $pad = 'x' x $size;

            $cloud->reset;

            for my $field ('name', 'model') {
                my $r = $t->post('/api/show', { $field => 'gpt-oss:20b-cloud',
                                                pad => $pad });

                is($r->status, 200, "/api/show by $field, $size bytes");
                is(model_seen(), 'gpt-oss:20b', 'the suffix is taken off');
            }

            for my $uri (qw! /api/chat /v1/chat/completions !) {
                my $model = join '.', $name =~ tr/a-z/-/cr, $size,
                                      substr($uri, 1) =~ tr!/!.!r . ':20b';
                my $r = $t->chat(uri => $uri, stream => 1, text => $pad,
                                 model => "$model-cloud");
                my $q = record($t, $model) // {};

                is($r->status, 200, "$uri, $size bytes");
                is(model_seen(), $model, 'the suffix is taken off');
                is(tokens($q), told_of($cloud, $model) . ' exact done',
                   'tokens on record');
                unlike($r->body, qr/"choices":\[\]/, 'no more than asked for');
            }

            is($t->post('/api/generate', { model => 'm:cloud', prompt => $pad,
                stream => JSON::PP::false })->status, 200, '/api/generate');
            is(model_seen(), 'm', 'the suffix is taken off');

            my $asked = $cloud->requests;

            is($t->post('/api/generate', { model => 'm', pad => $pad })->json
                   ->{done_reason}, 'load', 'an empty prompt is seen as one');
            is(scalar $cloud->requests, $asked, 'and answered here');
        }
    };
}


my @params = (params => { client_body_buffer_size => '16k' });

works('nobody before', @params);
works('another location', @params, locations => $handed_on);
works('a mirror', @params, locations => $mirrored);
works('in one buffer', locations => $handed_on,
      params => { client_body_in_single_buffer => 'on' });
works('in a file', locations => $handed_on,
      params => { client_body_in_file_only => 'clean' });

SKIP: {
    my @early = (client_body_early_read => 'on',
                 client_body_buffer_size => '16k');
    my ($code, $output) = Proxy->new(cloud => $cloud, params => { @early })
                          ->nginx('-t');

    skip('this nginx knows no client_body_early_read', 1)
        if $output =~ /unknown directive "client_body_early_read"/;

    works('read early', params => { @early });
}

finish();
