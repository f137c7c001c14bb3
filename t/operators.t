#!/usr/bin/perl

# Tests for operators and clients apart: which token opens what.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Proxy;
use Test::More;

my %token = (client => 'token-of-the-clients', admin => 'token-of-operators',
             metrics => 'token-of-prometheus', wrong => 'token-of-nobody');

Proxy::secret(values %token);

# what there is, by what is needed to see it

my %path = (
    everybody => [ qw! / /api/version ! ],
    api => [ qw! /api/tags /api/ps /v1/models /api/anything /chat ! ],
    operators => [ qw! /dashboard /dashboard/app.js /stats /stats/24h
                       /stats/minute /stats/running /stats/keys /stats/latency
                       /queries /queries/1 /queries/1/body /logs /health/keys
                       /health/keys/0 /ratelimits ! ],
    metrics => [ '/metrics' ],
);
my @post = qw! /health/keys/0/penalize /health/keys/0/reset
               /stats/problems/ledger_damaged/acknowledge !;


sub written {
    my (%conf) = @_;
    my $env = join '', map { "$_=$conf{env}{$_}\n" } sort keys %{ $conf{env} };

    return Proxy->new(%conf, env => $env, config => 'keys: ["' . key_of(0)
                      . qq{"]\n} . ($conf{config} // ''));
}


sub proxy {
    my $t = written(daemon => 1, @_)->run;

    # of whoever looks at it in the end

    my ($in) = grep { $t->get('/health/keys', headers => [ 'X-Api-Key' => $_ ])
                        ->status == 200 } @token{qw/ admin client /};
    $t->{client}{headers} = [ 'X-Api-Key' => $in ];

    return $t;
}


# the paths of which a token is let in

sub opens {
    my ($t, $name, $uris, $method) = @_;
    my @headers = defined $name ? (Authorization => "Bearer $token{$name}") : ();

    return join ' ', grep {
        $t->request($method // 'GET', $_, only => 1, headers => [ @headers ])
          ->status !~ /^40[13]$/;
    } @$uris;
}


sub opened {
    my ($t, $words, %good) = @_;

    for my $kind (sort keys %path) {
        for my $name (undef, sort keys %token) {
            my $who = $name // 'no token';
            my $in = grep { $_ eq $who || $_ eq 'all' } @{ $good{$kind} };

            is(opens($t, $name, $path{$kind}), $in ? "@{ $path{$kind} }" : '',
               "$words: $who " . ($in ? 'opens' : 'does not open')
               . " what is for $kind");
        }
    }

    for my $name (undef, sort keys %token) {
        my $who = $name // 'no token';
        my $in = grep { $_ eq $who || $_ eq 'all' } @{ $good{operators} };

        is(opens($t, $name, \@post, 'POST'), $in ? "@post" : '',
           "$words: $who " . ($in ? 'may' : 'may not') . ' change anything');
    }
}


my $config = qq{metrics_token: "$token{metrics}"\n};
my $t = proxy(config => $config,
              env => { PROXY_AUTH_TOKEN => $token{client},
                       PROXY_ADMIN_TOKEN => $token{admin} });

opened($t, 'apart',
       everybody => [ 'all' ], api => [ qw/ client admin / ],
       operators => [ 'admin' ], metrics => [ qw/ admin metrics / ]);

# /health is open, and says more only to an operator

my %health = map {
    $_ => $t->get('/health?details=1', only => 1, headers =>
                  [ Authorization => "Bearer $token{$_}" ])->json
} keys %token;

is_deeply($health{$_}, { status => 'ok' }, "/health says no more to $_")
    for qw/ client metrics wrong /;
ok($health{admin}{store}, '.. but to an operator')
    or diag(explain($health{admin}));

# a browser is asked, and may answer with the operator's alone

my $r = $t->get('/dashboard', only => 1, headers => [ Accept => 'text/html' ]);

like($r->header('www-authenticate'), qr/^Basic /, 'a browser is asked');
is($t->get('/dashboard', only => 1, headers =>
           [ Authorization => 'Basic '
             . encode_base64("me:$token{client}", '') ])->status, 401,
   '.. and a client turned away');
is($t->get('/dashboard', only => 1, headers =>
           [ Authorization => 'Basic '
             . encode_base64("me:$token{admin}", '') ])->status, 200,
   '.. but no operator');
like($t->get('/stats', only => 1)->json->{error}, qr/PROXY_ADMIN_TOKEN/,
     'which token is wanted is said');
like($t->get('/api/tags', only => 1)->json->{error}, qr/the proxy's token/,
     '.. of the API as well');

# the API open to everybody, and the rest not

opened(proxy(cloud => $t->cloud, config => $config,
             env => { ALLOW_UNAUTHENTICATED_ACCESS => 'true',
                      PROXY_ADMIN_TOKEN => $token{admin} }), 'open',
       everybody => [ 'all' ], api => [ 'no token', keys %token ],
       operators => [ 'admin' ], metrics => [ qw/ admin metrics / ]);

# one token for all, as ever; that for metrics reads these, and nothing else

opened(proxy(cloud => $t->cloud, config => $config,
             env => { PROXY_AUTH_TOKEN => $token{client} }), 'one token',
       everybody => [ 'all' ], api => [ 'client' ], operators => [ 'client' ],
       metrics => [ qw/ client metrics / ]);

# in config.yaml, which gives way to the environment

opened(proxy(cloud => $t->cloud, env => { PROXY_AUTH_TOKEN => $token{client} },
             config => qq{admin_token: "$token{admin}"\n}), 'in config.yaml',
       everybody => [ 'all' ], api => [ qw/ client admin / ],
       operators => [ 'admin' ], metrics => [ 'admin' ]);

is(opens(proxy(cloud => $t->cloud, config => qq{admin_token: "$token{wrong}"\n},
               env => { PROXY_AUTH_TOKEN => $token{client},
                        PROXY_ADMIN_TOKEN => $token{admin} }),
         'wrong', $path{operators}), '', '.. which goes before it');

# and what is wrong with them

for ([ { PROXY_AUTH_TOKEN => 'same', PROXY_ADMIN_TOKEN => 'same' }, '',
       'are the same' ],
     [ { PROXY_AUTH_TOKEN => 'a', PROXY_ADMIN_TOKEN => 'b' },
       "metrics_token: b\n", 'are the same' ],
     [ { PROXY_AUTH_TOKEN => 'a' }, "admin_token: \"b c\"\n",
       '"admin_token" must consist of printable' ],
     [ { PROXY_AUTH_TOKEN => 'a', PROXY_ADMIN_TOKEN => '"b c"' }, '',
       'PROXY_ADMIN_TOKEN must consist of printable' ])
{
    my ($env, $more, $words) = @$_;
    my ($code, $output) = written(cloud => $t->cloud, config => $more,
                                  env => $env)->nginx('-t');

    like($output, qr/\Q$words\E/, "refused: $words");
}

finish();
