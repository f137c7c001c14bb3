#!/usr/bin/perl

# Tests for `make demo`: the proxy with a simulated cloud, and what a newcomer
# tries first.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my $dir = tempdir('ollama-demo-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $port = Process::port();

chmod 0755, $dir;
Proxy::secret(Process::slurp("$Process::root/conf/config.example.yaml")
              =~ /^ +- key: (\S+)/mg);

my $demo = Process->start([ "$Process::root/conf/run", '--demo' ],
                          dir => $dir, name => 'demo', env =>
    { PORT => $port, DATA => "$dir/data", BUILD => Process::build(''),
      NGINX_BIN => $Proxy::nginx, PROXY_AUTH_TOKEN => 'something' });

ok($demo->says(qr/Ctrl-C ends it/, 20), 'the demo is up') or diag($demo->output);
like($demo->output, qr/DEMO: a simulated cloud/, 'and says what it is');
like($demo->output, qr!localhost:$port/dashboard!, 'and where to look');

# the command that it shows, as it shows it

my ($command) = $demo->output =~ /^ *(curl -N .*)$/m;
my ($code, $output) = Process::run([ 'sh', '-c', "$command -sS" ]);
my @lines = map { eval { $Http::json->decode($_) } } split /\n/, $output;

is($code, 0, 'the command shown') or diag($output);
cmp_ok(scalar @lines, '>', 3, 'streams an answer');
is($lines[-1]{done}, JSON::PP::true, 'to the end');

($command) = $demo->output =~ /^ *(curl localhost\S*\/health\/keys)$/m;
($code, $output) = Process::run([ 'sh', '-c', "$command -sS" ]);

my $keys = $Http::json->decode($output);

is(join(' ', sort map { $_->{name} } values %$keys), 'team-a team-b team-c',
   'three sample keys');
ok(scalar(grep { $_->{usage_2h} } values %$keys), 'show where it went');
ok(scalar(grep { $_->{cost_2h} } values %$keys), 'and what it cost');

# a little traffic, and this machine only

my $http = Http->new(port => $port);


sub usage {
    my $keys = $http->get('/health/keys')->json;
    my $sum = 0;

    $sum += $_->{usage_2h} for values %$keys;

    return $sum;
}


my $usage = usage();

ok(poll(sub { usage() > $usage }, 'traffic', 15), 'there is some traffic');

my ($address) = `hostname -I 2>/dev/null` =~ /^(\d+\.\S+)/;

SKIP: {
    skip 'no other address', 1 unless $address;

    is(IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port), undef,
       'nobody else can connect');
}

# the end

my @family = Process::family($demo->pid);

$demo->signal('INT');
ok(defined $demo->wait(15), 'Ctrl-C ends it');
ok(Process::gone(@family), 'with all of its processes');

Proxy::clean($dir);
finish();
