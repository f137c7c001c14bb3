#!/usr/bin/perl

# Tests for ollama_client: who a client is, as the operator wants it told.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Poll;
use Proxy;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $cloud = Cloud->start;
my $log = 'log_format client \'$http_x_test name="$ollama_client"\'; '
          . 'access_log %DIR%/client.log client;';
my $n = 0;


sub proxy {
    my ($http, %how) = @_;

    return Proxy->new(cloud => $cloud, daemon => 1, allow => $absent,
                      http => "$log\n$http", %how);
}


# the names of a client in the record and in the access log

sub known_as {
    my ($t, %how) = @_;
    my $model = 'client-' . ++$n;

    $how{headers} = [ 'X-Test' => $model, @{ $how{headers} // [] } ];
    $t->chat(model => $model, %how);

    my $q = poll { my $list = $t->get("/queries?model=$model")->json;
                   ref $list && $list->[0] } "the record of $model";
    my ($line) = poll { Process::slurp($t->dir . '/client.log')
                        =~ /^$model name="(.*)"$/m && \"$1" } 'its line';

    is($q->{client_ip}, '127.0.0.1', 'the address stays');

    # who has no name is known by the address
    $line = $line ? $$line =~ s/^(127\.0\.0\.1|)$/-/r : 'no line';

    return join ' ', $q->{client_name} // '-', $line;
}


sub basic {
    my ($user) = @_;
    return (only => 1, headers =>
            [ Authorization => 'Basic ' . encode_base64("$user:$Proxy::token",
                                                        '') ]);
}


# by default

my $t = proxy('');
my ($code, $output) = $t->nginx('-t');

if (!is($code, 0, 'nginx knows $ollama_client')) {
    diag($output);
    $t = undef;

} else {
    $t->run;
    is(known_as($t, headers => [ 'X-Ollama-Client' => 'ada' ]), 'ada ada',
       'X-Ollama-Client');
    is(known_as($t, basic('grace')), 'grace grace', 'or the user of Basic');
    is(known_as($t), '- -', 'or nobody in particular');
}

# a variable of the operator's; one place of Ollama's has another

my $map = 'map $http_x_team $team { ~^(?<named>[a-z]+)$ team-$named; '
          . 'default ""; }';

$t = proxy("$map ollama_client \$team;",
           locations => 'location = /api/generate { ollama on; '
           . 'ollama_access on; proxy_pass $ollama_upstream; '
           . 'ollama_client $http_x_other; }');
($code, $output) = $t->nginx('-t');

if (!is($code, 0, 'nginx takes "ollama_client"')) {
    diag($output);
    finish();
    exit;
}

$t->run;

is(known_as($t, headers => [ 'X-Team' => 'red' ]), 'team-red team-red',
   'a map');
is(known_as($t, headers => [ 'X-Team' => 'red', 'X-Ollama-Client' => 'eve' ]),
   'team-red team-red', 'what a client says of itself is not asked');
is(known_as($t, headers => [ 'X-Ollama-Client' => 'eve' ]), '- -',
   'an empty value: the address alone');
is(known_as($t, basic('grace')), '- -', 'nor is the user of Basic');
is(known_as($t, uri => '/api/generate', body => { prompt => 'hi' },
            headers => [ 'X-Team' => 'red', 'X-Other' => 'blue' ]),
   'blue blue', 'another variable in a location');

# $remote_user, and text around a variable

$t = proxy('', server => 'ollama_client $remote_user;')->run;

is(known_as($t, basic('grace')), 'grace grace', '$remote_user');
is(known_as($t, headers => [ 'X-Ollama-Client' => 'eve' ]), '- -',
   'and nothing else');

# the subject of a certificate: with "=", "," and spaces

$t = proxy('map $http_x_dn $dn { default $http_x_dn; }',
           server => 'ollama_client $dn;')->run;

my $dn = 'CN=Ada Lovelace,OU="R&D" \\ 1,O=caf' . "\xc3\xa9";
my $model = 'client-' . ++$n;

$t->chat(model => $model, headers => [ 'X-DN' => $dn ]);

my $q = poll { my $list = $t->get("/queries?model=$model")->json;
               ref $list && $list->[0] } 'the record';

utf8::decode($dn);
is($q->{client_name}, $dn, 'the subject of a certificate');

# long names are cut, as those of a header

is(length((split ' ', known_as($t, headers => [ 'X-DN' => 'x' x 500 ]))[0]),
   128, 'the first 128 bytes of a long one');

# the sums are by that name, and so is what runs

$t->chat(headers => [ 'X-DN' => 'summed' ]) for 1 .. 3;
ok(poll(sub { 3 == grep { ($_->{client_name} // '') eq 'summed' }
                   map { ($_) x $_->{requests} }
                   @{ $t->get('/stats?limit=1000')->json } },
        'three requests'), 'sums by client');

my $slow = $t->start_chat(headers => [ 'X-DN' => 'running' ],
                          sim => { first_delay_ms => 60000 });

ok(poll(sub { Http::turn(0, $slow);
              $t->get('/stats/running')->body =~ /"running"/ }, 'it runs'),
   'the name of who runs');
$slow->abort;

# refused

for my $line ('ollama_client;', 'ollama_client $remote_user more;',
              'ollama_client $no_such_variable;',
              'ollama_client $team; ollama_client $team;')
{
    ($code, $output) = Proxy->new(cloud => 0, http => "$map\n$line")
                       ->nginx('-t');
    is($code, 1, "refused: $line") or diag($output);
    unlike($output, qr/unknown directive/, 'with a reason');
}

finish();
