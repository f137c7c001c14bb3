#!/usr/bin/perl

# Tests for ollama_private: the daemon asks the cloud with a key that it names
# and never sees; nobody else may, and nothing else can be asked there.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use POSIX ();
use Poll;
use Proxy;
use Test::More;

my @k = keys_of(3);
my $t = Proxy->new(private => 1, log => 'debug', http => 'ollama_access on;',
                   keys => [
    { key => $k[0], name => 'one' }, { key => $k[1], name => 'two' },
    { key => $k[2], name => 'off', enabled => 'false' } ])->run;
my $health = $t->health;
my @print = map { $health->{"key_$_"}{fingerprint} } 0 .. 2;
my $path = $t->dir . '/private/nginx.sock';


sub ask {
    my ($uri, %how) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $path) or return "no: $!";
    my $method = $how{method} // 'GET';

    print $socket "$method $uri HTTP/1.0\r\n",
                  defined $how{key} ? "X-Ollama-Key: $how{key}\r\n" : (),
                  "Cookie: none\r\nAuthorization: Bearer none\r\n\r\n";
    local $/;
    return scalar <$socket>;
}


# in a child that is another user

sub ask_as {
    my ($uid, @ask) = @_;

    pipe my $out, my $in;

    if (!(my $pid = fork)) {
        $) = "$uid $uid";
        ($(, $<, $>) = ($uid, $uid, $uid);
        print $in ask(@ask) // '';
        close $in;
        POSIX::_exit(0);
    }

    close $in;
    local $/;
    my $answer = <$out>;
    wait;
    return $answer;
}


# with each key, also one that clients do not get

for my $n (0 .. 2) {
    my $answer = ask('/api/balance', key => $print[$n]);

    like($answer, qr/^HTTP\/1.1 200 /, "key $n: an answer");
    like($answer, qr/^X-Ollama-Private: asked\r$/m, 'which is the cloud\'s');
    like($answer, qr/"included"/, 'and its body');
    is_deeply([ Cloud::headers($t->cloud->last, 'authorization') ],
              [ "Bearer $k[$n]" ], 'asked with that key');
}

like(ask('/api/usage?range=24h', key => $print[1]), qr/"range":"24h"/,
     'parameters are passed');
is_deeply([ Cloud::headers($t->cloud->last, 'cookie') ], [],
          'headers of who asks are not');

# the cloud's word is passed, and held against nobody

for my $rule ({ preset => 'unauthorized' }, { preset => 'concurrent' },
              { status => 403, body => '{"error":"suspended"}' })
{
    $t->cloud->reset;
    $t->cloud->rules({ times => 1, %$rule });

    my $answer = ask('/api/balance', key => $print[0]);

    like($answer, qr/^HTTP\/1.1 4\d\d .*X-Ollama-Private: asked/s,
         'a refusal of the cloud');
    is(scalar $t->cloud->requests, 1, 'is asked for once');
}

$health = $t->health(0);
is($health->{status}, 'healthy', 'nothing is held against the key');
is($health->{requests}, 0, 'nor counted');
is($health->{in_flight}, 0, 'and it is in no slot');

# what cannot be asked

$t->cloud->reset;

like(ask('/api/balance'), qr/ 400 .*"error":"X-Ollama-Key must be/s, 'no key');
like(ask('/api/balance', key => 'one'), qr/ 400 /, 'a name is none');
like(ask('/api/balance', key => '0badcafe'), qr/ 404 .*no such key/s, 'unknown');
unlike(ask('/api/balance', key => '0badcafe'), qr/X-Ollama-Private/,
       'which is not the cloud\'s word');
like(ask('/api/balance', key => $print[0], method => 'POST'), qr/ 405 /, 'POST');
like(ask('/api/tags', key => $print[0]), qr/ 40[14] /, 'another path');
is(scalar $t->cloud->requests, 0, 'nothing of that went to the cloud');

# who may ask

SKIP: {
    skip 'needs root', 4 if $>;

    chmod 0755, $t->dir, $t->dir . '/private';

    my $answer = ask_as(12345, '/api/balance', key => $print[0]);

    like($answer, qr/ 403 .*ollama-statsd alone/s, 'another user is refused');
    is(scalar $t->cloud->requests, 0, 'and nothing asked');
    like($t->log, qr/\[warn\].*process of user 12345 \(pid \d+\) was refused/,
         'said in the log');

    chmod 0750, $t->dir . '/private';
    like(ask_as(12345, '/api/balance', key => $print[0]), qr/^no: Permission/,
         'the folder keeps others away before');
}

# what a killed nginx leaves behind is no hindrance

kill 'KILL', $t->pid, $t->workers;
poll { !IO::Socket::UNIX->new(Peer => $path) } 'nobody listens any more';
ok(-S $path, 'the socket of a killed nginx is still there');
$t->run;
like(ask('/api/balance', key => $print[1]), qr/"included"/, 'and a new one starts');
like($t->log, qr/socket "\S+" of an nginx that was killed is removed/, 'in words');

# a configuration that is refused, in words

my %wrong = (
    'ollama_balance maybe;' => qr/invalid value "maybe", expected "on" or "off"/,
    'ollama_balance on interval=30s;' => qr/"30s", it must be between 1m and 1d/,
    'ollama_balance off interval=5m;' => qr/invalid parameter "interval=5m"/,
    'ollama_balance on; ollama_balance on;' => qr/"ollama_balance" .*duplicate/,
    'ollama_balance on;' => qr/"ollama_balance on" needs a location .* in \S+nginx.conf:\d+/,
    'server { listen 127.0.0.1:1; location / { ollama_private;
     proxy_pass $ollama_upstream; } }' => qr/must listen on a unix socket and on nothing else/,
    'server { listen unix:%DIR%/x.sock; location / { ollama_private; } }'
        => qr/in location "\/" needs "proxy_pass \$ollama_upstream;"/,
    'server { listen unix:%DIR%/x.sock; location / { ollama_private allow_user=nobody-here;
     } }' => qr/there is no user "nobody-here".* in \S+nginx.conf:\d+/,
    'server { listen unix:%DIR%/x.sock; location / { ollama_private user; } }'
        => qr/invalid parameter "user", expected "allow_user=name"/,
);

for my $http (sort keys %wrong) {
    my $bad = Proxy->new(cloud => 0, http => $http);
    my ($code, $output) = $bad->nginx('-t');

    is($code, 1, $http =~ s/\s+/ /gr);
    like($output, $wrong{$http}, 'refused in words');
}

chmod 0755, $t->dir . '/private';
my ($code, $output) = $t->nginx('-t');
is($code, 0, 'nginx -t');
like($output, qr/\[warn\].*folder "\S+" of a private socket is open to everybody/,
     'warns of an open folder');

finish();
