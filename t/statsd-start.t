# Beginning and ending: sockets, locks, signals, and errors in words.

use warnings;
use strict;

use Fcntl qw/ :mode /;
use File::Temp qw/ tempdir /;
use FindBin;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Poll;
use Statsd;
use Test::More;

my $daemon = Statsd::tool('ollama-statsd');

my ($code, $said) = Process::run([ $daemon, '--help' ]);
is($code, 0, '--help');
like($said, qr/--data DIR/, '.. tells the options');
is((Process::run([ $daemon, '--version' ]))[0], 0, '--version');
is((Process::run([ $daemon, '--colour' ]))[0], 2, 'an unknown option');
is((Process::run([ $daemon, 'data' ]))[0], 2, 'a stray word');

my $s = Statsd->start;

for my $socket (qw/ statsd http log /) {
    my $mode = (stat $s->path($socket))[2];

    ok(S_ISSOCK($mode), "$socket.sock");
    is(S_IMODE($mode), 0660, '.. has mode 0660');
}

is(S_IMODE((stat $s->dir . '/usage.db')[2]) & 0007, 0,
   'the ledger is not for everybody');
is(Process::slurp('/proc/' . $s->pid . '/comm'), "ollama-statsd\n",
   'its name');

# one daemon a folder

my $dir = $s->dir;
my $pid = $s->pid;

($code, $said) = Process::run([ $daemon, '--data', $dir ]);
is($code, 1, 'a second daemon on the folder does not start');
like($said, qr/another ollama-statsd \(pid $pid\) works on \Q$dir\E/,
     '.. and says which one is there');
ok($s->up, '.. and the first one goes on');

my $other = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

($code, $said) = Process::run([ $daemon, '--data', $other,
                                '--socket', $s->path('statsd') ]);
is($code, 1, 'nor one on the same socket');
like($said, qr/another process listens/, '.. in words');
ok(-S $s->path('statsd'), '.. and the socket stays');

($code, $said) = Process::run([ $daemon, '--data', $other, '--sockets',
                                "$other/" . 'x' x 120 ]);
is($code, 1, 'a path that is too long');
like($said, qr/a socket's path has at most 107 bytes/, '.. in words');

Process::spill("$other/file", '');
($code, $said) = Process::run([ $daemon, '--data', $other,
                                '--http', "$other/file" ]);
is($code, 1, 'a file where a socket is to be');
like($said, qr/is no socket/, '.. is not removed');
ok(-e "$other/file", '.. really');

($code, $said) = Process::run([ $daemon, '--data', "$other/file" ]);
is($code, 1, 'a file instead of a folder');

($code, $said) = Process::run([ $daemon, '--data', "$other/a/b/c" ]);
is($code, 1, 'no folder to make the folder in');
like($said, qr/cannot be made.*No such file/, '.. in words');

SKIP: {
    skip 'only root can become somebody', 6 if $>;

    my $locked = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $locked;
    ($code, $said) = Process::run([ qw/ setpriv --reuid 65534 --regid 65534
                                        --clear-groups /, $daemon, '--data',
                                    $locked ]);
    is($code, 1, 'a folder that cannot be written');
    like($said, qr/cannot be written: \Q$locked\E.*Permission denied/,
         '.. in words');

    ($code, $said) = Process::run([ $daemon, '--data', $locked,
                                    '--user', 'nobody' ]);
    like($said, qr/cannot be written: \Q$locked\E: Permission denied/,
         'nor one that --user cannot write');

    chown 65534, 65534, $locked;
    my $as = Statsd->start(dir => $locked, args => [ qw/ --user nobody
                                                         --group nogroup / ]);
    my @status = grep { /^[UG]id:/ }
                      split /\n/, Process::slurp('/proc/' . $as->pid
                                                 . '/status');
    like($status[0], qr/65534\s+65534\s+65534\s+65534/, '--user');
    is((stat $as->path('http'))[5], scalar getgrnam('nogroup'), '--group');
    ok($as->frames->request(seq => 1), '.. and it works');
    $as->stop;
}

($code, $said) = Process::run([ $daemon, '--data', $other, '--user',
                                'no-such-user' ]);
like($said, qr/no user "no-such-user"/, 'a user that is not there');

# where the ledger is kept

for my $url ('postgres://somebody:secret@host/ledger', 'usage.db', 'sqlite:',
             '')
{
    ($code, $said) = Process::run([ $daemon, '--data', $other,
                                    '--store', $url ]);
    is($code, 1, "a store that there is not: '$url'");
    like($said, qr/--store: .* is no store; expected sqlite:/, '.. in words');
    unlike($said, qr/secret/, '.. without what may be a password');
}

mkdir "$other/ledgers";
my $elsewhere = Statsd->start(args => [ '--store',
                                        "sqlite:$other/ledgers/main.db" ]);
my $there = $elsewhere->frames;
$there->request(seq => 1);
ok($there->acked(1), 'a store elsewhere');
$elsewhere->stop;
ok(-s "$other/ledgers/main.db", '.. is there');
ok(!-e $elsewhere->dir . '/usage.db', '.. and nowhere else');

($code, $said) = Process::run([ $daemon, '--data', $elsewhere->dir,
                                '--store', "sqlite:$other/ledgers/main.db",
                                '--backup', "$other/copy.db" ]);
is($code, 0, '.. its backup') or diag($said);
ok(-s "$other/copy.db", '.. is there, too');

# a name without a folder is one of the folder that it is started in

my $here = Statsd->start(args => [ '--store', 'sqlite:main.db' ]);
my $feed = $here->frames;
$feed->request(seq => 1);
ok($feed->acked(1), 'a store in the folder at hand');
my $in = readlink '/proc/' . $here->pid . '/cwd';
$here->stop;
ok(-s "$in/main.db", '.. is there');
unlink glob "$in/main.db*";

# a configuration that is wrong

for my $case ([ "body_age 7d\nbody_size 1g\n", qr/:2: there is no setting/ ],
              [ "row_age\n", qr/:1: "row_age" needs one value/ ],
              [ "row_age 1 day\n", qr/:1: "row_age" needs one value/ ],
              [ "body_bytes lots\n", qr/:1: "body_bytes" needs one value/ ]) {
    Process::spill("$other/keep.conf", $case->[0]);
    ($code, $said) = Process::run([ $daemon, '--data', $other,
                                    '--config', "$other/keep.conf" ]);
    is($code, 1, 'a wrong configuration');
    like($said, $case->[1], '.. is shown by its line');
}

Process::spill("$other/statsd.conf", "rows 1d\n");
($code, $said) = Process::run([ $daemon, '--data', $other ]);
like($said, qr/statsd\.conf:1: there is no setting "rows"/,
     'the data folder\'s own configuration is read');
unlink "$other/statsd.conf";

# SIGTERM finishes the batch

my $f = $s->frames;
$f->request(seq => 1, count => 20000, prompt => 1);
is($s->stop, 0, 'SIGTERM ends it well');
ok(!-e $s->path('http'), '.. and takes its sockets away');
ok($f->closed, '.. and hangs up');

my ($ack) = ($f->seen('ack'))[-1];
$s->launch;
my $total = $s->health->{totals};
is($total->{requests}, $total->{prompt_tokens}, 'what was read was written');
is($total->{requests}, $ack->{seq}, '.. and acknowledged before the end')
    if $ack;
$f->connect;
is($f->welcome, $total->{requests}, '.. to the last number');
$f->request(seq => $total->{requests} + 1,
            count => 20000 - $total->{requests}, prompt => 1)
    if $total->{requests} < 20000;
ok($f->acked(20000), 'the rest comes afterwards');
is($s->health->{totals}{requests}, 20000, '.. and nothing twice');

# sockets that a dead daemon left behind

$s->crash;
ok($s->up, 'a dead daemon\'s sockets are taken over');

# sockets that are passed, as systemd does: each with a name, or all of them
# with their unit's, in its order

my $unit = Process::slurp("$Process::root/conf/ollama-statsd.socket");

passed('http:ingest:syslog', qw/ http statsd log /);
passed(join(':', ('ollama-statsd.socket') x 3),
       $unit =~ m!^Listen\w+=/run/ollama-statsd/(\w+)\.sock$!mg);

# SIGHUP

rename $s->dir . '/proxy.log', $s->dir . '/moved.log';
$s->{process}->signal('HUP');
eventually { -s $s->dir . '/proxy.log' } 'a new proxy.log';
like(Process::slurp($s->dir . '/proxy.log'), qr/SIGHUP/, '.. after SIGHUP');

# .. and the configuration, which may be wrong

for my $try ([ "body_bytes 7m\nrow_age 1s\n", 7 * 1024 * 1024 ],
             [ "body_bytes 8m\nrow_age soon\n", 7 * 1024 * 1024 ],
             [ '', 1024 * 1024 * 1024 ])
{
    my ($text, $expected) = @$try;
    my $file = $s->dir . '/statsd.conf';
    my $before = () = $s->output =~ /SIGHUP/g;

    $text ? Process::spill($file, $text) : unlink $file;
    $s->{process}->signal('HUP');
    poll { (() = $s->output =~ /SIGHUP/g) > $before };
    is($s->health->{disk}{body_limit}, $expected,
       'after SIGHUP with "' . ($text =~ s/\n/; /gr) . '"');
}

like($s->output, qr!/statsd\.conf:2: "row_age" needs one value like 7d!,
     'what is wrong is said, with its line');

$s->stop;
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();


sub passed {
    my ($names, @sockets) = @_;
    my $run = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $data = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $systemd = IO::Socket::UNIX->new(Local => "$run/notify.sock",
                                        Type => SOCK_DGRAM) or die;
    my $child = fork() // die;

    if ($child == 0) {
        POSIX::close($_) for 3 .. 20;
        $^F = 20;

        my @passed = map {
            IO::Socket::UNIX->new(Local => "$run/$_.sock",
                                  $_ eq 'log' ? (Type => SOCK_DGRAM)
                                  : (Type => SOCK_STREAM, Listen => 10))
        } @sockets;

        die unless fileno($passed[0]) == 3;
        open STDERR, '>', '/dev/null';
        @ENV{qw/ LISTEN_PID LISTEN_FDS LISTEN_FDNAMES NOTIFY_SOCKET /}
            = ($$, 3, $names, "$run/notify.sock");
        exec $daemon, '--data', $data;
    }

    my $passed = bless { dir => $data, process => undef }, 'Statsd';
    {
        no warnings 'redefine';
        local *Statsd::path = sub { "$run/$_[1].sock" };

        eventually { $passed->up } "answers on a passed socket ($names)", 10;
        $systemd->recv(my $state, 100);
        is($state, 'READY=1', '.. and says when it is ready');

        my $frames = $passed->frames;

        $frames->request(seq => 1, prompt => 5);
        ok($frames->acked(1), 'records come over a passed socket');
        is($passed->health->{totals}{prompt_tokens}, 5, '.. and are counted');
        ok(!-e "$data/run/http.sock", 'none of its own is made');
    }

    kill 'TERM', $child;
    waitpid $child, 0;
    is($?, 0, 'a clean end');
    $systemd->recv(my $state, 100);
    is($state, 'STOPPING=1', '.. that it has told');
    ok(-S "$run/http.sock", '.. and a passed socket stays');
}
