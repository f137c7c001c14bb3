#!/usr/bin/perl

# Tests for an nginx that runs already: Debian's stock nginx.conf, with exactly
# the lines that `make install` asks for, beside a site that stays as it was.
#
# All of it happens below a folder: /etc/nginx becomes FOLDER/etc/nginx, ports
# are free ones, and the cloud is the simulator.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

plan(skip_all => "Debian's nginx is not installed")
    unless -f '/etc/nginx/nginx.conf' && -f '/etc/nginx/sites-available/default';

my $cloud = Cloud->start;
my $site = Process::port();
my $t = Proxy->new(cloud => $cloud, conf => '', keys => [ keys_of(2) ]);
my $root = $t->dir . '/root';
my $etc = "$root/etc/nginx";

Process::run([ 'sh', '-ec', <<"EOF" ]);
mkdir -p $root/etc $root/usr/share/nginx $root/usr/lib/nginx/modules
mkdir -p $root/var/log/nginx $root/var/www/html $root/var/lib $root/run
cp -r /etc/nginx $root/etc/
rm -rf $etc/modules-enabled/* $etc/conf.d/* $etc/sites-enabled/*
cp $etc/sites-available/default $etc/sites-enabled/default
ln -s ../../lib/nginx/modules $root/usr/share/nginx/modules
echo '<h1>another site</h1>' > $root/var/www/html/index.html
EOF

edit("$etc/nginx.conf", sub {
    s!^user www-data;!user root;! if $> == 0;
    s!(?<=[\s"])/(etc|run|var)/!$root/$1/!g;
    s!^http \{!"http {\n    " . $t->temp_paths!me;
});
edit("$etc/sites-enabled/default", sub {
    s!(?<=[\s"])/var/!$root/var/!g;
    s!\blisten 80!listen 127.0.0.1:$site!;
    s!^\s*listen \[::\].*!!m;
});


sub edit {
    my ($file, $change) = @_;
    my $text = Process::slurp($file);

    $change->() for $text;
    Process::spill($file, $text);
}


# what the other site says, without the date

sub other_site {
    my $http = Http->new(port => $site);

    return join "\n---\n", map { $http->get($_)->raw =~ s/^Date:.*\n//mr }
                           qw! / /nothing /api/chat /index.html !;
}


# stock nginx, as it was before

$t->{conf} = Process::slurp("$etc/nginx.conf");

my @command = ($Proxy::nginx, '-p', "$root/usr/share/nginx/",
               '-c', "$etc/nginx.conf");
my $nginx = Process->start([ @command, '-g', 'daemon off;' ], name => 'before',
                           dir => $t->dir);

Poll::poll { IO::Socket::INET->new("127.0.0.1:$site") } 'stock nginx';

my $before = other_site();

like($before, qr/another site/, 'a site as Debian has it');
$nginx->stop;

# make install, and the lines that it asks for

my ($code, $output) = Process::run([ "$Process::root/mk/install" ], env =>
    { DESTDIR => $root, PREFIX => '/usr', BUILD => Process::build('') });

is($code, 0, 'make install') or diag($output);

my ($user, $group) = Process::slurp("$etc/nginx.conf")
                     =~ /^user +([^\s;]+) *([^\s;]*);/m;
$group ||= getgrgid((getpwnam $user)[3]);

like(Process::slurp("$root/usr/lib/systemd/system/ollama-statsd.service"),
     qr/^ExecStart=\S+ .*--allow-user $user\n.*^Group=$group$/ms,
     'the daemon is to take the records of nginx\'s user');
like(Process::slurp("$root/usr/lib/systemd/system/ollama-statsd.socket"),
     qr/^SocketGroup=$group$/m, '.. by sockets of its group');

my ($top) = $output =~ /^ +(load_module .*\n +worker_shutdown_timeout .*\n +error_log .*)$/m;
my ($lines) = $output =~ /inside http.*?\n\n(.*?)\n\n3\./s;

ok($top && $lines, 'says which lines to add');

my $readme = Process::slurp("$Process::root/README.md") =~ s/^\s+//mgr;

is(index($readme, $_) < 0 ? $_ : '', '', 'README has them, too')
    for map { s/^\s+//r } grep { /\S/ } split /\n/, "$top\n$lines";

my $sockets = "$root/run/ollama-statsd";

s!/run/ollama-statsd!$sockets! for $top, $lines;
$lines =~ s/listen 11434;/listen 127.0.0.1:$t->{port};/;
$lines =~ s/server ollama.com:443/server 127.0.0.1:$cloud->{port}/;
$lines =~ s/(include ollama_params;)/ollama_upstream http:\/\/ollama_cloud;\n$1/;

edit("$etc/nginx.conf", sub { s/^/$top\n/; s/^http \{/http {\n$lines/m });
Process::run([ 'cp', $t->dir . "/$_", "$etc/ollama/$_" ])
    for 'config.yaml', '.env';

edit("$etc/ollama_locations", sub { s!/run/ollama-statsd!$sockets!g });
edit("$etc/ollama_private", sub {
    s!/run/ollama-proxy!$root/run/ollama-proxy!;
    s!/etc/nginx/!!;
    s!ollama_upstream https://!ollama_upstream http://!;
    s! allow_user=ollama-statsd!!;
});
mkdir "$root/run/ollama-proxy", 0750;

my $daemon = Process->start([ "$root/usr/sbin/ollama-statsd",
                              '--data', "$root/var/lib/ollama-statsd",
                              '--sockets', $sockets ],
                            name => 'statsd', dir => $t->dir);

Poll::poll { -S "$sockets/statsd.sock" } 'ollama-statsd'
    or diag($daemon->output);

$nginx = Process->start([ @command, '-g', 'daemon off;' ], name => 'after',
                        dir => $t->dir, env => $t->environment);
Poll::poll { $t->listening } 'nginx with the lines' or diag($nginx->output);

is(other_site(), $before, 'the other site is as it was');
is($t->chat->status, 200, 'a chat');
is($t->chat(uri => '/v1/chat/completions', stream => 1)->status, 200, 'a stream');
is(scalar keys %{ $t->health }, 2, '/health/keys');
is($t->get('/', only => 1)->body, 'Ollama is running', 'a good local Ollama');
ok(Poll::poll(sub { @{ $t->get('/stats')->json } }, 'numbers'), '/stats');
is($t->get('/api/tags', only => 1)->status, 401, 'that is guarded');

# an error of nginx's is in its own file and reaches the daemon

sub in_logs {
    my ($words) = @_;
    return grep { $_->{source} eq 'nginx' && $_->{message} =~ $words }
                @{ $t->get('/logs?limit=1000')->json };
}

mkdir "$root/var/www/html/empty";
Http->new(port => $site)->get('/empty/');
ok(Poll::poll(sub { in_logs(qr!directory index of ".*/empty/" is forbidden!) },
              'a line'),
   'an error of nginx is in /logs');
like(Process::slurp("$root/var/log/nginx/error.log"), qr!/empty/" is forbidden!,
     '.. and in the file that nginx has');

# reload and stop by Debian's own means

is((Process::run([ @command, '-s', 'reload' ]))[0], 0, 'a reload');
ok(Poll::poll(sub { $t->chat->status == 200 }, 'a chat'), 'goes on');
is(other_site(), $before, 'so does the other site');

$nginx->stop('QUIT');
$daemon->stop;

unlike(Process::slurp("$root/var/log/nginx/error.log"),
       qr/\[(alert|emerg|crit)\]/, 'no alerts');
Proxy::clean($root);
finish();
