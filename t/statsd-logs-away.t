# A log that cannot be written: the daemon goes on and says so, no old log is
# lost, and when it can be written again it gets what it has missed.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Poll;
use Statsd;
use Test::More;

Statsd::tool('ollama-statsd');

removed();
no_descriptor();
no_room();
no_file_at_the_start();
no_folder_to_turn_over_in();

done_testing();


# the file goes, or a folder stands in its place

sub removed {
    my $s = daemon('removed');

    line($s, 'before');
    unlink $s->dir . '/proxy.log';
    line($s, 'after');
    eventually { in_file($s, 'after') } 'removed: a new one';

    unlink $s->dir . '/proxy.log';
    mkdir $s->dir . '/proxy.log';
    line($s, "away $_") for 1 .. 3;
    problem($s, 'Is a directory');
    is(scalar(grep { $_->{message} =~ /^away/ } @{ $s->json('/logs') }), 3,
       '.. lines are in /logs');

    # more than memory has lines

    for my $n (1 .. 1200) {
        line($s, "many $n");
        answers($s) if $n % 100 == 0;
    }

    ok(!-f $s->dir . '/proxy.log.1', '.. nothing is turned over meanwhile');
    rmdir $s->dir . '/proxy.log';
    well($s);
    ok(in_file($s, "many $_"), ".. what it has missed is in it: $_")
        for 300, 1000, 1200;
    ok(!in_file($s, 'many 100'), '.. as far as there was memory');
    like(Process::slurp($s->dir . '/proxy.log'),
         qr/it is written again; [1-9]\d* lines are missing/, '.. and it says so');

    my @n = Process::slurp($s->dir . '/proxy.log') =~ /: many (\d+)$/mg;

    is_deeply(\@n, [ sort { $a <=> $b } @n ], '.. in order');
    is(scalar @n, 1 + $n[-1] - $n[0], '.. each once');
    end($s);
}


# no descriptor to open the next one with: old logs are not turned over and over

sub no_descriptor {
    SKIP: {
        skip 'there is no prlimit', 1 if system('prlimit > /dev/null 2>&1');

        my $s = daemon('no descriptor', "log_size 20k\nlog_keep 3\n",
                       under => [ qw/ prlimit --nofile=256:256 / ]);
        my $pid = $s->pid;

        for my $n (1 .. 600) {
            line($s, "old $n " . 'x' x 100);
            answers($s) if $n % 100 == 0;
        }

        my @old = sort glob $s->dir . '/proxy.log.*';

        is(scalar @old, 3, 'no descriptor: there are old logs');

        # all numbers in use: the next one is beyond the limit

        my ($next) = sort { $b <=> $a } map { m!(\d+)$! } glob "/proc/$pid/fd/*";
        my @holes = grep { !-e "/proc/$pid/fd/$_" } 0 .. $next;
        my @fill = map { IO::Socket::UNIX->new(Peer => $s->path('http')) }
                       0 .. @holes + 8;

        $next = 0;
        eventually { $next++ while -e "/proc/$pid/fd/$next"; $next > 20 }
            '.. descriptors are used up';
        system("prlimit --pid $pid --nofile=$next:256") == 0 or die;

        my %before = map { $_ => content($_) } @old;
        my $first = substr content($s->dir . '/proxy.log'), 0, 200;

        line($s, "more $_ " . 'y' x 100) for 1 .. 350;
        eventually { all($s) =~ /more 350 / } '.. lines go on', 20;

        my $all = join '', map { content($_) } glob $s->dir . '/proxy.log*';

        ok(index($all, $first) >= 0, '.. no old log is pushed out')
            or diag(`ls -l $s->{dir}`);
        like($all, qr/old 600 /, '.. nor what was written last');
        system("prlimit --pid $pid --nofile=256:256") == 0 or die;
        @fill = ();
        eventually { $s->up } '.. and so does the daemon', 20;
        end($s);
    }
}


# a disk without room, which has some again

sub no_room {
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1);

    if ($> || system("mount -t tmpfs -o size=16m tmpfs $dir 2>/dev/null")) {
        SKIP: { skip 'a small disk needs root and mount', 1 }
        rmdir $dir;
        return;
    }

    my $s = daemon('no room', undef, dir => $dir);

    open my $file, '>', "$dir/full" or die;
    1 while syswrite $file, 'x' x 65536;
    1 while syswrite $file, 'x' x 512;

    line($s, "full $_ " . 'z' x 500) for 1 .. 100;
    problem($s, 'No space left');
    close $file;
    unlink "$dir/full";
    well($s);
    ok(in_file($s, "full $_ z{500}"), ".. nothing is missing: $_") for 1, 100;

    my @torn = grep { !/^\S+Z \[\w+\] [\w-]+: / }
                   split /\n/, Process::slurp("$dir/proxy.log");

    is(scalar @torn, 0, '.. and no line is torn') or diag(@torn);
    end($s);
    system("umount -l $dir");
    rmdir $dir;
}


# not even at the start

sub no_file_at_the_start {
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    mkdir "$dir/proxy.log";

    my $s = daemon('at the start', undef, dir => $dir);

    line($s, 'early');
    problem($s, 'cannot be opened: Is a directory');

    my $f = $s->frames;

    $f->request(seq => 1, prompt => 1);
    ok($f->acked(1), '.. records come in');
    rmdir "$dir/proxy.log";
    well($s);
    ok(in_file($s, 'early'), '.. nothing is missing');
    end($s);
}


# the folder may not be changed: the file grows, in bounds

sub no_folder_to_turn_over_in {
    SKIP: {
        skip 'only root can become somebody', 1 if $>;

        my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

        chown 65534, 65534, $dir;

        my $s = daemon('no folder', "log_size 20k\nlog_keep 3\n", dir => $dir,
                       args => [ qw/ --user nobody / ]);

        chmod 0500, $dir;

        for my $n (1 .. 2000) {
            line($s, "grows $n " . 'x' x 100);
            answers($s) if $n % 100 == 0;
        }

        problem($s, 'cannot be turned over: Permission denied');
        cmp_ok(-s "$dir/proxy.log", '<', 100_000, '.. it is bounded');
        ok(in_file($s, 'grows 2000'), '.. and has the last line');
        chmod 0700, $dir;
        line($s, "again $_ " . 'x' x 100) for 1 .. 200;
        eventually { line($s, 'on and on ' x 20); -e "$dir/proxy.log.1" }
                   '.. until it can be turned over', 20;
        well($s);
        end($s);
    }
}


sub daemon {
    my ($name, $config, %how) = @_;

    note($name);

    my $s = Statsd->start(config => $config, %how);

    $s->{syslog} = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
                                         Peer => $s->path('log')) or die;
    return $s;
}


sub line {
    my ($s, $text) = @_;
    $s->{syslog}->send("<187>Nov 22 20:43:00 nginx: 2026/11/22 20:43:00"
                       . " [error] $text") or die;
}


sub answers { $_[0]->get('/logs?limit=1') }


sub content { -f $_[0] ? Process::slurp($_[0]) : '' }


sub all { join '', map { content($_) } glob $_[0]->dir . '/proxy.log*' }


sub in_file {
    my ($s, $text) = @_;
    return content($s->dir . '/proxy.log') =~ /nginx: $text\b/;
}


sub problems { "@{ $_[0]->health->{problems} }" }


sub problem {
    my ($s, $words) = @_;
    eventually { problems($s) =~ /proxy\.log: .*$words/ } '.. it is said', 20;
}


sub well {
    my ($s) = @_;
    eventually { problems($s) !~ /proxy\.log/ } '.. then all is well', 20;
}


sub end {
    my ($s) = @_;
    is($s->stop, 0, 'a clean end');
    unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
}
