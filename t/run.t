#!/usr/bin/perl

# Tests for conf/run, which `make run` starts: one command that brings up
# everything, keeps it up, and takes everything down.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @k = keys_of(2);
my $cloud = Cloud->start;
my $dir = tempdir('ollama-run-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $number = 0;

Proxy::secret(@k);
chmod 0755, $dir;
Process::spill("$dir/config.yaml", "keys:\n  - $k[0]\n");
Process::spill("$dir/.env", "PROXY_AUTH_TOKEN=$Proxy::token\n");
chmod 0600, "$dir/config.yaml", "$dir/.env";


# conf/run with an environment of its own

sub start {
    my (%env) = @_;

    my %default = (PORT => Process::port(), CONFIG => "$dir/config.yaml",
                   ENV_FILE => "$dir/.env", DATA => "$dir/data",
                   UPSTREAM => 'http://127.0.0.1:' . $cloud->port,
                   BUILD => Process::build(''), NGINX_BIN => $Proxy::nginx,
                   PROXY_AUTH_TOKEN => undef,
                   ALLOW_UNAUTHENTICATED_ACCESS => undef);

    %env = (%default, %env);

    my $run = Process->start([ "$Process::root/conf/run" ], env => \%env,
                             dir => $dir, name => 'run' . $number++);

    $run->{port} = $env{PORT};
    $run->{http} = Http->new(port => $env{PORT}, headers =>
                             [ Authorization => "Bearer $Proxy::token" ]);

    return $run;
}


sub chat {
    my ($run) = @_;

    my $r = eval { $run->{http}->post('/api/chat', {
        model => 'gpt-oss:20b', stream => JSON::PP::false,
        messages => [ { role => 'user', content => 'hi' } ] }) };

    return $r && $r->status == 200;
}


sub pid_of {
    my ($run, $name) = @_;
    my ($pid) = grep { Process::name_of($_) eq $name }
                Process::children($run->pid);

    return $pid;
}


sub refused {
    my ($name, $reason, %env) = @_;

    my $run = start(%env);

    ok($run->wait(20), "$name: refused");
    like($run->output, $reason, 'in words that help');
}


# up

my $run = start();

ok($run->says(qr/Ctrl-C ends it/, 20), 'conf/run is up') or diag($run->output);
like($run->output, qr/port $run->{port}/, 'says where');
ok(chat($run), 'and answers');
is($run->{http}->get('/health/keys', only => 1)->status, 401, 'to whom it knows');
ok(pid_of($run, 'nginx'), 'nginx is there');

my $has_daemon = -e Process::build('ollama-statsd');

ok(pid_of($run, 'ollama-statsd'), 'ollama-statsd as well') if $has_daemon;

# what dies is started again

my $nginx = pid_of($run, 'nginx');

kill 'KILL', $nginx;

# a wish to reload that comes before it is back is for nobody else

ok($run->says(qr/nginx \(pid $nginx\) ended/, 20), 'nginx is killed');
$run->signal('HUP');
ok(poll(sub { my $pid = pid_of($run, 'nginx');
              $pid && $pid != $nginx && chat($run) }, 'nginx is back', 20),
   'a killed nginx is started again');
is(scalar(() = $run->output =~ /^Reloading/mg), 1, 'and one reload was made');

if ($has_daemon) {
    my $daemon = pid_of($run, 'ollama-statsd');

    kill 'KILL', $daemon;
    ok(poll(sub { my $pid = pid_of($run, 'ollama-statsd');
                  $pid && $pid != $daemon }, 'the daemon is back', 20),
       'a killed daemon is started again');
}

ok(chat($run), 'requests go on');

# another list of keys

Process::spill("$dir/config.yaml", "keys:\n  - $k[0]\n  - $k[1]\n");
$run->signal('HUP');
ok(poll(sub { my $keys = $run->{http}->get('/health/keys')->json;
              ref $keys && keys %$keys == 2 }, 'a reload'), 'SIGHUP reloads');

Process::spill("$dir/config.yaml", "keys: nonsense\n");
$run->signal('HUP');
ok($run->says(qr/Nothing was changed/), 'a wrong list is refused');
ok(chat($run), 'and nothing stops');
Process::spill("$dir/config.yaml", "keys:\n  - $k[0]\n  - $k[1]\n");

# side by side

my $second = start(DATA => "$dir/data2");

ok($second->says(qr/Ctrl-C ends it/, 20), 'a second one beside it')
    or diag($second->output);
ok(chat($second), 'answers');
ok(chat($run), 'so does the first');

refused('the same DATA', qr/DATA=/);
refused('the same PORT', qr/[Pp]ort $run->{port} is taken.*PORT=/s,
        PORT => $run->{port}, DATA => "$dir/data3");

# down

my @family = Process::family($second->pid);

ok(@family > 2, 'processes: ' . @family);
$second->signal('TERM');
is($second->wait(15), 0, 'SIGTERM ends it');
ok(Process::gone(@family), 'with all of its processes');
ok(chat($run), 'the first does not mind');

@family = Process::family($run->pid);
$run->signal('INT');
ok(defined $run->wait(15), 'Ctrl-C ends it');
ok(Process::gone(@family), 'with all of its processes');

# killed without a chance to say so

$run = start();
$run->says(qr/Ctrl-C ends it/, 20);
@family = Process::family($run->pid);
$run->signal('KILL');
ok(poll(sub { Process::gone(@family) }, 'all are gone', 20),
   'SIGKILL leaves nobody behind');

# what is missing is said

refused('no list of keys', qr/cp .*config\.example\.yaml/,
        CONFIG => "$dir/nowhere.yaml", DATA => "$dir/data4");
refused('no token', qr/PROXY_AUTH_TOKEN/, ENV_FILE => "$dir/nowhere.env",
        DATA => "$dir/data5");
refused('a strange UPSTREAM', qr/UPSTREAM/, UPSTREAM => 'ollama.com',
        DATA => "$dir/data6");
refused('a strange PORT', qr/PORT/, PORT => 'x', DATA => "$dir/data7");

# the environment goes before .env

$run = start(ENV_FILE => "$dir/nowhere.env", DATA => "$dir/data8",
             PROXY_AUTH_TOKEN => $Proxy::token);
ok($run->says(qr/Ctrl-C ends it/, 20), 'the token in the environment');
ok(chat($run), 'is the one');
$run->stop;

Proxy::clean($dir);
finish();
