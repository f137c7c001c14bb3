#!/usr/bin/perl

# The sample's line that sends nginx's errors to ollama-statsd: nginx starts and
# serves without the daemon, and finds it whenever it comes, or comes again.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Proxy;
use Statsd;
use Test::More;

# a socket's path is short

my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $run = '/run/ollama-statsd';

# where the installed daemon listens

like(Process::slurp("$Process::root/conf/ollama-statsd.socket"),
     qr!^ListenDatagram=$run/log\.sock$!m, 'the unit has the socket');

my ($line) = Process::slurp("$Process::root/conf/nginx.conf")
             =~ /^(error_log syslog:[^;]*;)/m;

like($line // '', qr!server=unix:$run/log\.sock,!, 'the sample says it');

for my $file (qw! README.md mk/install !) {
    my $text = Process::slurp("$Process::root/$file");
    cmp_ok(index($text, $line // "\0"), '>', 0, "$file says the same");
}

($line //= '') =~ s!\Q$run!$dir/run!;

my $t = Proxy->new(cloud => 0, conf => '', allow =>
                   qr/ connect\(\) failed \(2: No such file or directory\)/);

mkdir "$dir/www";
mkdir "$dir/www/$_" for 'a' .. 'f';
$t->{conf} = $t->globals . $line . <<"EOF";

http {
    @{[ $t->temp_paths ]}

    server {
        listen 127.0.0.1:%PORT%;
        root $dir/www;
    }
}
EOF
$t->write_conf;

# no daemon

ok($t->run, 'nginx starts without the daemon');
is($t->get('/a/')->status, 403, '.. and serves');
ok(in_file('a'), '.. its file has the error');

# it comes

my $s = Statsd->start(dir => $dir);

is($t->get('/b/')->status, 403, 'the daemon comes');
eventually { in_logs('b') } '.. it is told the next error';
ok(in_file('b'), '.. which is in the file, too');

# it goes, and comes again with another socket

$s->stop;
is($t->get('/c/')->status, 403, 'without it nginx serves');
ok(in_file('c'), '.. its file has the error');
$s->launch;
eventually { $t->get('/d/'); in_logs('d') } 'when it is back it is told';

$s->crash;
eventually { $t->get('/e/'); in_logs('e') } '.. and when it has crashed';

is($s->stop, 0, 'a clean end');
finish();


sub words { qr!directory index of "\Q$dir\E/www/$_[0]/" is forbidden! }


sub in_file {
    my ($name) = @_;
    return poll { $t->log =~ words($name) } "the error $name";
}


sub in_logs {
    my ($name) = @_;
    return scalar grep { $_->{source} eq 'nginx' && $_->{message} =~ words($name) }
                      @{ $s->json('/logs') };
}
