#!/usr/bin/perl

# Tests for the headers that leave the house: those of a list go to the cloud,
# whatever else a client or a proxy in front of it has added stays here.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my ($k1, $k2) = keys_of(2);
my $token = $Proxy::token;
my $t = Proxy->new(keys => [ $k1, $k2 ],
                   server => 'underscores_in_headers on;')->run;

# what the proxy says itself

my %own = map { $_ => 1 } qw/ host authorization content-length
                              accept-encoding /;


# what the cloud has seen besides, in its order: [ name, value ]

sub seen { return grep { !$own{lc $_->[0]} } @{ $t->cloud->last->{headers} } }
sub names { return join ' ', sort map { lc $_->[0] } seen() }


# what the cloud's APIs and their SDKs define

my @kept = ('Content-Type' => 'application/json', 'Accept' => 'text/x-own',
            'User-Agent' => 'agent/1', 'Anthropic-Version' => '2023-06-01',
            'anthropic-beta' => 'a', 'ANTHROPIC-BETA' => 'b',
            'Anthropic-Dangerous-Direct-Browser-Access' => 'true',
            'OpenAI-Beta' => 'responses=v1', 'X-Stainless-Lang' => 'js',
            'x-stainless-retry-count' => '0', 'X-App' => 'cli',
            'Originator' => 'codex', 'Idempotency-Key' => 'i',
            'traceparent' => '00-1-2-3', 'tracestate' => 'x=y',
            'X-Request-Id' => 'r', 'X-Client-Request-Id' => 'c');

# who somebody is, or a proxy of his says he is

my @known = map { $_ => 'somebody' } qw/ X-Ollama-Client X-Ollama-No-Log
    X-OpenWebUI-User-Name X-OpenWebUI-User-Email X-OpenWebUI-User-Id
    X-Forwarded-For X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups
    X-Real-IP Forwarded Via Remote-User Remote-Email Tailscale-User-Login
    Tailscale-User-Name Cf-Access-Jwt-Assertion Cf-Connecting-IP
    Cf-Access-Authenticated-User-Email X-Amzn-Oidc-Data X-Amzn-Oidc-Identity
    Fly-Client-IP Fastly-Client-IP X-Codex-Turn-Metadata Cookie Referer Origin
    OpenAI-Organization OpenAI-Project Session_id Conversation_id DNT TE
    If-None-Match Range Proxy-Authorization X-Stainless Accept-Encodin
    Content-Type2 Sec-Fetch-Site X-Vercel-Ip /;

# and what nobody has heard of yet: odd cases, underscores, some of them twice

srand 9;

my @invented = map {
    my $name = join $_ % 3 ? '-' : '_', map {
        join '', map { ('a' .. 'z', 'A' .. 'Z', 0 .. 9)[rand 62] }
                 1 .. 1 + rand 12
    } 1 .. 1 + rand 4;

    ("Z$name" => "secret-$_");
} 1 .. 100;

push @invented, @invented[0 .. 9], 'x' x 400 => 'long', X => 'short';

my @all = (@kept, @known, @invented);


sub check {
    my ($title) = @_;
    my @want;

    for (my $i = 0; $i < @kept; $i += 2) {
        push @want, lc($kept[$i]) . ": $kept[$i + 1]";
    }

    is(join("\n", sort map { lc($_->[0]) . ": $_->[1]" } seen()),
       join("\n", sort @want), "$title: those of the list, and no others");
}


my $chat = '{"model":"gpt-oss:20b","stream":false,"messages":[{"role":"user",'
           . '"content":"hi"}]}';

is($t->post('/api/chat', $chat, headers => \@all)->status, 200,
   'a chat with a hundred headers');
check('a chat');
is(join(' ', map { $_->[0] } grep { $_->[0] =~ /^anthropic-beta$/i } seen()),
   'anthropic-beta ANTHROPIC-BETA', 'as they are written, in order');

# again for another key, and on each kind of path

$t->cloud->rules({ times => 1, preset => 'quota_session' });
is($t->post('/v1/chat/completions', $chat, headers => \@all)->status, 200,
   'a chat that takes two keys');

my @two = grep { $_->{uri} =~ /completions/ } $t->cloud->requests;

is(scalar @two, 2, 'is two requests');
is(scalar(grep { grep { $_->[1] =~ /secret|somebody/ } @{ $_->{headers} } }
          @two), 0, 'neither tells more');
check('the second one');

$t->get('/v1/models', headers => \@all);
check('a public path');
$t->get('/api/whatever', headers => \@all);
check('an unknown path');
$t->get('/api/tags');
is(names(), '', 'none of a client that sends none');

# the token, wherever a client repeats it

for my $name (qw/ X-Api-Key Api-Key X-Goog-Api-Key Proxy-Authorization
                  X-Auth-Token x_api_key Cookie /)
{
    $t->get('/v1/models', headers => [ $name => $token ]);
    unlike(join("\n", map { "@$_" } @{ $t->cloud->last->{headers} }),
           qr/\Q$token\E/, "the token is not sent along: $name");
}

# HTTP/2

SKIP: {
    my $p = Proxy->new(cloud => $t->cloud, keys => [ $k1 ]);
    my $listen = $Proxy::version >= 1025001 ? '; http2 on;' : ' http2;';

    $p->{conf} = $p->default_conf =~ s/(listen 127.0.0.1:%PORT%);/$1$listen/r;
    $p->write_conf;

    skip('no HTTP/2 here', 2) if ($p->nginx('-t'))[0];

    $p->run;

    my ($code, $text) = Process::run([ qw{ curl -sS --http2-prior-knowledge },
        '-d', $chat, (map { ('-H', $_) } 'Content-Type: application/json',
                      "Authorization: Bearer $token", 'X-Stainless-Os: l',
                      'X-Who: me', 'Cookie: a=b', "Api-Key: $token"),
        "http://127.0.0.1:$p->{port}/api/chat" ]);

    like($text, qr/"done":true/, 'a chat over HTTP/2');
    is(names(), 'accept content-type user-agent x-stainless-os',
       'tells no more either');
}

# HTTP/2 to the cloud, for which another nginx stands here

SKIP: {
    my $port = Process::port();
    my $front = Proxy->new(conf => '');

    $front->{conf} = $front->globals . <<"EOF";
http {
    access_log off;
    ${\ $front->temp_paths }
    underscores_in_headers on;

    server {
        listen 127.0.0.1:$port;
        http2 on;

        location / {
            proxy_set_header Connection "";
            proxy_set_header Host ollama.test;
            proxy_pass http://127.0.0.1:${\ $t->cloud->port };
        }
    }
}
EOF
    my $p = Proxy->new(cloud => $t->cloud, keys => [ $k1, $k2 ],
                       servers => "server 127.0.0.1:$port;",
                       locations => <<'EOT');
        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_http_version 2;
            proxy_pass $ollama_upstream;
        }
EOT

    skip('this nginx knows no HTTP/2 to an upstream', 3) if ($p->nginx('-t'))[0];

    $front->write_conf;
    $front->{nginx} = $front->start_nginx;
    Poll::poll { IO::Socket::INET->new("127.0.0.1:$port") } 'the one in between';
    $p->run;

    $t->cloud->reset;
    $t->cloud->rules({ times => 1, preset => 'quota_session' });
    is($p->post('/api/chat', $chat, headers => \@all)->status, 200,
       'a chat over HTTP/2 to the cloud');
    is(scalar(grep { grep { $_->[1] =~ /secret|somebody/ } @{ $_->{headers} } }
              $t->cloud->requests), 0, 'tells no more at its first try');
    check('the second one');
}

# the log, a proxy_set_header and a map are told what the client has sent

my $own = Proxy->new(cloud => $t->cloud, keys => [ $k1, $k2 ],
    http => <<'EOF', locations => <<'EOT')->run;
    map $http_x_mapped $mapped { default "mapped $http_x_mapped"; }
    log_format who '[$http_x_logged] [$http_x_team] [$http_cookie]'
                   ' [$upstream_status]';
EOF
        location ^~ /api/generate {
            ollama on;
            ollama_access on;
            access_log %DIR%/who.log who;
            add_header X-Added "$http_x_added";
            proxy_set_header Authorization $ollama_authorization;
            proxy_set_header X-Team $http_x_team;
            proxy_set_header X-Renamed "$http_x_who-1";
            proxy_set_header X-Mapped $mapped;
            proxy_set_header Cookie $http_cookie;
            proxy_set_header Accept "";
            proxy_pass $ollama_upstream;
        }
EOT

$t->cloud->reset;
$t->cloud->rules({ times => 1, preset => 'quota_session' });

my $r = $own->post('/api/generate', '{"model":"m","prompt":"x","stream":false}',
    headers => [ 'X-Team' => 'blue', 'X-Who' => 'me', 'X-Mapped' => 'x',
                 'X-Logged' => 'seen', 'X-Added' => 'told', 'Cookie' => 'a=b',
                 'Accept' => 'a/b', 'Content-Type' => 'application/json',
                 'X-Other' => 'y', 'X-App' => 'z' ]);

is($r->status, 200, 'a location with lines of its own');

for my $request ($t->cloud->requests) {
    my %sent = map { lc $_->[0] => $_->[1] } @{ $request->{headers} };

    delete @sent{keys %own, 'connection'};
    is_deeply(\%sent, { 'x-team' => 'blue', 'x-renamed' => 'me-1',
                        'x-mapped' => 'mapped x', 'cookie' => 'a=b',
                        'content-type' => 'application/json', 'x-app' => 'z' },
              'sends what they say, and those of the list');
}

is($r->header('x-added'), 'told', 'a header of the answer may ask for one');
Poll::poll { Process::slurp($own->dir . '/who.log') =~ /\n/ } 'a line';
is(Process::slurp($own->dir . '/who.log'), "[seen] [blue] [a=b] [429, 200]\n",
   'so may the log');

# ollama_pass_header: http, server and location add up, the last one holds

my $list = Proxy->new(cloud => $t->cloud, keys => [ $k1 ],
    http => 'ollama_pass_header X-Http; ollama_pass_header X-Team-* off;',
    server => 'ollama_pass_header X-Team-*; ollama_pass_header User-Agent off;'
              . 'ollama_pass_header x-stainless-* off;',
    locations => <<'EOT')->run;
        location = /api/generate {
            ollama on;
            ollama_access on;
            ollama_pass_header X-TEAM-B off;
            ollama_pass_header x-stainless-lang;
            ollama_pass_header X-Here;
            proxy_pass $ollama_upstream;
        }

        location = /api/show {
            ollama on;
            ollama_access on;
            ollama_pass_header *;
            proxy_pass $ollama_upstream;
        }

        location = /v1/completions {
            ollama on;
            ollama_access on;
            ollama_pass_header * off;
            ollama_pass_header Accept;
            proxy_pass $ollama_upstream;
        }
EOT

my @sent = ('X-Http' => 1, 'X-Team-A' => 2, 'X-Team-B' => 3, 'X-Here' => 4,
            'User-Agent' => 5, 'X-Stainless-Lang' => 6, 'X-Stainless-Os' => 7,
            'Accept' => 8, 'X-Api-Key' => $token, 'X-Else' => 9,
            'X-Goog-Api-Key' => $token);

my $body = '{"model":"m","prompt":"x","stream":false}';
my %what = ('/api/chat' => 'accept x-http x-team-a x-team-b',
            '/api/generate' => 'accept x-here x-http x-stainless-lang x-team-a',
            '/api/show' => 'accept user-agent x-else x-here x-http'
                           . ' x-stainless-lang x-stainless-os x-team-a x-team-b',
            '/v1/completions' => 'accept');

for my $uri (sort keys %what) {
    $t->cloud->reset;
    $list->post($uri, $uri eq '/api/chat' ? $chat : $body, headers => \@sent);
    is(names(), $what{$uri}, "ollama_pass_header: $uri");
}

# an upstream of one's own, and a location that is none of ours

my $else = Proxy->new(cloud => $t->cloud, keys => [ $k1 ],
    http => 'upstream own { server 127.0.0.1:%CLOUD%; }', locations => <<'EOT')->run;
        location = /api/show {
            ollama on;
            ollama_access on;
            ollama_upstream http://own;
            proxy_pass $ollama_upstream;
        }

        location = /api/chat {
            ollama on;
            ollama_access on;
            proxy_intercept_errors on;
            error_page 418 = @else;
            proxy_pass $ollama_upstream;
        }

        location @else {
            proxy_set_header Host else.test;
            proxy_pass http://own;
        }
EOT

$t->cloud->reset;
$else->post('/api/show', $body, headers => \@sent);
is(names(), 'accept user-agent x-stainless-lang x-stainless-os',
   'an upstream without keys is told no more');

$t->cloud->reset;
$t->cloud->rules({ times => 1, status => 418, body => '{}' });
$else->chat(headers => [ 'X-Mine' => 'all', 'X-Stainless-Os' => 'x' ]);

my @seen = $t->cloud->requests;

is(scalar @seen, 2, 'an error that leads to a location of its own');
is(join(' ', map { $_->[1] } grep { lc $_->[0] eq 'x-mine' }
             map { @{ $_->{headers} } } @seen), 'all', 'is sent there as anywhere');

# what nginx -t says

for my $wrong ([ 'X-*-Y', qr/"\*" may only be the last/ ],
               [ '"X Y"', qr/no header's name/ ], [ 'X:', qr/no header's name/ ],
               [ 'Authorization', qr/never passed on/ ],
               [ 'x-API-key', qr/never passed on/ ],
               [ 'X-Goog-Api-Key', qr/never passed on/ ],
               [ '""', qr/name is missing/ ],
               [ 'X-A on', qr/expected "off" or nothing/ ],
               [ '', qr/invalid number of arguments/ ],
               [ 'A B C', qr/invalid number of arguments/ ])
{
    my ($words, $reason) = @$wrong;
    my ($code, $output) = Proxy->new(cloud => 0,
        server => "ollama_pass_header $words;")->nginx('-t');

    is($code, 1, "refused: ollama_pass_header $words");
    like($output, $reason, 'in words');
}

finish();
