#!/usr/bin/perl

# Copies of the ledger: by --backup, by cp when nothing has happened for a
# minute, and before a migration. And files that are no ledger.

use warnings;
use strict;

use Fcntl qw/ :mode /;
use File::Copy qw/ copy /;
use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use Poll;
use Schema;
use Statsd;
use Test::More;
use Time::HiRes qw/ sleep /;

my $daemon = Statsd::tool('ollama-statsd');

beside_writes();
beside_nobody();
read_by_others();
refused();
before_a_migration();
foreign();
idle();

done_testing();


# somebody reads the ledger with a tool of theirs, while it is written

sub read_by_others {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $file = $s->dir . '/usage.db';

    for my $n (1 .. 20) {
        $f->request(seq => $n);
        $f->acked($n);
        is(sql($file, 'SELECT requests FROM total'), $n, "somebody reads $n")
            if $n % 5 == 0;
        ok(-e "$file-wal", '.. and removes nothing') if $n % 10 == 0;
    }
    $s->crash;
    is(sql($file, 'SELECT count(*) FROM request'), 20, '.. nothing is lost');
    consistent($file);
}


sub backup {
    my ($dir, $file, @as) = @_;
    return Process::run([ @as, $daemon, '--data', $dir, '--backup', $file ]);
}


sub sql {
    my ($file, $statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'), $file,
                                       $statements ]);

    die "$statements: $said\n" if $code;

    return $said =~ s/\n\z//r;
}


# all of it hangs together: the total, the rows, the numbers

sub consistent {
    my ($file) = @_;

    is(sql($file, 'PRAGMA integrity_check'), 'ok', '.. it is whole');

    my $total = sql($file, 'SELECT requests FROM total');

    is(sql($file, 'SELECT count(*) FROM request'), $total, '.. the rows');
    is(sql($file, 'SELECT max(last_seq) FROM instance'), $total,
       '.. the numbers');
    is(sql($file, 'SELECT sum(requests) FROM usage_hour'), $total,
       '.. and the sums are of one moment');

    return $total;
}


# while a daemon writes

sub beside_writes {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $out = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    $f->request(seq => 1, count => 20000, clients => 100, prompt => 1);
    $f->acked(20000, 60000);

    my $child = fork() // die;

    if ($child == 0) {
        # frames of its own; its end is no business of this test's
        my $g = $s->frames(instance => '2');
        $g->request(seq => 1, count => 60000, prompt => 1, ms => 60000);
        POSIX::_exit(0);
    }

    my ($code, $said) = backup($s->dir, "$out/copy");

    is($code, 0, 'beside a daemon that writes: a copy') or diag($said);
    is($said, '', '.. without a word');
    is_deeply([ glob "$out/*" ], [ "$out/copy" ], '.. one file');

    is(sql("$out/copy", 'PRAGMA integrity_check'), 'ok', '.. it is whole');
    my $total = sql("$out/copy", 'SELECT requests FROM total');
    is(sql("$out/copy", 'SELECT count(*) FROM request'), $total,
       ".. of one moment ($total)");
    is(sql("$out/copy", 'SELECT sum(last_seq) FROM instance'), $total,
       '.. the numbers, too');
    is(sql("$out/copy", 'PRAGMA journal_mode'), 'delete',
       '.. and needs no other file');
    is(S_IMODE((stat "$out/copy")[2]) & 0007, 0, '.. nor is it for everybody');

    waitpid $child, 0;

    # again, over the last one
    ($code, $said) = backup($s->dir, "$out/copy");
    is($code, 0, 'an older backup is replaced') or diag($said);
    cmp_ok(sql("$out/copy", 'SELECT requests FROM total'), '>=', $total,
           '.. by a newer one');

    # whoever may read the folder
    SKIP: {
        skip 'only root can become somebody', 3 if $>;

        my $theirs = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

        chown 65534, 65534, $theirs;
        chmod 0750, $s->dir;
        chown 0, 65534, $s->dir, glob $s->dir . '/usage.db*';
        chmod 0640, glob $s->dir . '/usage.db*';
        ($code, $said) = backup($s->dir, "$theirs/copy", qw/ setpriv --reuid
            65534 --regid 65534 --clear-groups /);
        is($code, 0, 'who may only read makes one, too') or diag($said);
        is(sql("$theirs/copy", 'SELECT count(*) FROM request'),
           sql("$theirs/copy", 'SELECT requests FROM total'), '.. whole');

        chmod 0640, $s->dir . '/usage.db';
        chown 0, 0, $s->dir . '/usage.db';
        ($code, $said) = backup($s->dir, "$theirs/other", qw/ setpriv --reuid
            65534 --regid 65534 --clear-groups /);
        is($code, 1, 'who may not read does not');
        like($said, qr/usage\.db: Permission denied/, '.. in words');
        is_deeply([ glob "$theirs/other*" ], [], '.. and leaves nothing');
    }

    ok($s->up, 'the daemon goes on');
    $s->stop;
    clean($s);

    # and it is a ledger: put into the place of one
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    copy("$out/copy", "$dir/usage.db");
    my $restored = Statsd->start(dir => $dir);

    is($restored->health->{totals}{requests},
       sql("$out/copy", 'SELECT requests FROM total'), 'restored: all is there');
    is($restored->health->{status} eq 'ok'
       || $restored->health->{problems}[0] =~ /no proxy/, 1, '.. and well');
    $restored->stop;
    clean($restored);
}


# at rest, and after a crash

sub beside_nobody {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $out = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    $f->request(seq => 1, count => 500, prompt => 1);
    $f->acked(500);
    $s->{process}->stop('KILL');
    is((backup($s->dir, "$out/killed"))[0], 0, 'after a crash: a copy');
    is(consistent("$out/killed"), 500, '.. with all that was acknowledged');

    $s->launch;
    $s->stop;
    ok(!-e $s->dir . '/usage.db-wal', 'at rest there is one file');

    my @before = map { (stat $s->dir . '/usage.db')[$_] } 7, 9;

    is((backup($s->dir, "$out/rest"))[0], 0, '.. a copy');
    is(consistent("$out/rest"), 500, '.. of all');
    is_deeply([ map { (stat $s->dir . '/usage.db')[$_] } 7, 9 ], \@before,
              '.. the ledger is untouched');
    is_deeply([ glob $s->dir . '/usage.db*' ],
              [ map { $s->dir . "/usage.db$_" } '', '.head' ],
              '.. nothing is left beside it');

    SKIP: {
        skip 'only root can become somebody', 1 if $>;

        my $theirs = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

        chown 65534, 65534, $theirs;
        chown 0, 65534, $s->dir, $s->dir . '/usage.db';
        chmod 0750, $s->dir;
        chmod 0640, $s->dir . '/usage.db';
        is((backup($s->dir, "$theirs/copy", qw/ setpriv --reuid 65534 --regid
            65534 --clear-groups /))[0], 0, '.. nor is the right to write needed');
    }
    clean($s);
}


# errors in words, and nothing half made

sub refused {
    my $s = Statsd->start;
    my $dir = $s->dir;
    my $out = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    mkdir "$out/folder";
    mkdir "$out/empty";
    Process::spill("$out/letter", "Dear Sir or Madam\n");
    sql_new("$out/foreign");
    link "$dir/usage.db", "$out/same";

    my %keep = map { $_ => Process::slurp($_) }
               "$out/letter", "$out/foreign";

    for my $case ([ $dir, "$out/folder", qr/is there already, and is no file/ ],
                  [ $dir, "$out/none/copy", qr/No such file or directory/ ],
                  [ $dir, "$out/folder/", qr/needs the name of a file/ ],
                  [ $dir, '', qr/needs the name of a file/ ],
                  [ $dir, "$out/letter", qr/no backup of a ledger/ ],
                  [ $dir, "$out/foreign", qr/no backup of a ledger/ ],
                  [ $dir, "$dir/usage.db", qr/is the ledger itself/ ],
                  [ $dir, "$out/same", qr/is the ledger itself/ ],
                  [ "$out/empty", "$out/copy", qr/there is no ledger/ ],
                  [ "$out/nowhere", "$out/copy", qr/there is no ledger/ ]) {
        my ($code, $said) = backup($case->[0], $case->[1]);

        is($code, 1, "no backup to $case->[1]");
        like($said, qr/^ollama-statsd: no backup: .*$case->[2]/, '.. in words');
    }

    is(Process::slurp($_), $keep{$_}, "$_ is as it was") for sort keys %keep;
    is_deeply([ glob "$out/*partial*" ], [], 'nothing is left behind');
    ok(!-e "$out/nowhere", 'nor made');
    is_deeply([ glob "$out/empty/*" ], [], '.. anywhere');
    is((Process::run([ $daemon, '--backup' ]))[0], 2, 'a file is needed');
    $s->stop;

    # what is damaged is no backup, and takes no backup's place
    ok((backup($dir, "$out/good"))[0] == 0, 'a good one');
    open my $file, '+<:raw', "$dir/usage.db" or die;
    seek $file, 4096 * 3, 0;
    print $file "\xa5" x 4096;
    close $file;

    my $good = Process::slurp("$out/good");
    my ($code, $said) = backup($dir, "$out/good");

    is($code, 1, 'a damaged ledger: no backup');
    like($said, qr/damaged/, '.. in words');
    ok(Process::slurp("$out/good") eq $good, '.. the older one stays');

    # a disk that is full
    SKIP: {
        my $small = tempdir('statsd-XXXXXX', TMPDIR => 1);

        skip 'a small disk needs root and mount', 3
            if $> || system("mount -t tmpfs -o size=64k tmpfs $small"
                            . ' 2>/dev/null');
        my $big = Statsd->start;
        my $f = $big->frames;

        $f->request(seq => 1, count => 3000);
        $f->acked(3000);
        ($code, $said) = backup($big->dir, "$small/copy");
        is($code, 1, 'no room: no backup');
        like($said, qr/full/, '.. in words');
        is_deeply([ glob "$small/*" ], [], '.. and not half of one');
        $big->stop;
        system("umount -l $small");
        rmdir $small;
    }
}


sub sql_new {
    my ($file) = @_;

    Process::spill($file, '');
    sql($file, 'CREATE TABLE song(name TEXT); INSERT INTO song VALUES (1)');
}


# the schema of an older version, with a copy of how it was

sub before_a_migration {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $db = $s->dir . '/usage.db';

    $f->request(seq => 1, count => 50, prompt => 1);
    $f->acked(50);
    $s->stop;
    is_deeply([ glob "$db.schema-*" ], [], 'nothing is kept of the same schema');

    my $old = Schema::back(2);

    sql($db, $old);
    Process::spill("$db.schema-$_", 'old') for 0, 1;
    $s->launch;
    is(sql("$db.schema-2", 'PRAGMA user_version'), 2,
       'a migration: the ledger is kept as it was');
    is(sql("$db.schema-2", 'SELECT count(*) FROM request'), 50, '.. all of it');
    is(sql("$db.schema-2", 'SELECT requests FROM total'), 50, '.. with sums');
    is(sql("$db.schema-2", 'PRAGMA journal_mode'), 'delete', '.. by itself');
    is_deeply([ glob "$db.schema-*" ], [ "$db.schema-1", "$db.schema-2" ],
              '.. the oldest goes');
    like($s->output, qr/from schema 2 to \d+; first it is copied to \S+schema-2/,
         '.. the log says so');
    is($s->health->{totals}{requests}, 50, '.. and it goes on');
    $s->stop;
    clean($s);

    # no room for that is no reason not to start
    SKIP: {
        my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1);

        skip 'a small disk needs root and mount', 3
            if $> || system("mount -t tmpfs -o size=20m tmpfs $dir 2>/dev/null");
        sql($db, $old);
        copy($db, "$dir/usage.db");
        my $small = Statsd->start(dir => $dir);

        is($small->health->{totals}{requests}, 50, 'no room: it starts');
        is_deeply([ glob "$dir/usage.db.schema*" ], [], '.. without a copy');
        like($small->output, qr/without a copy/, '.. and says so');
        $small->stop;
        system("umount -l $dir");
        rmdir $dir;
    }
}


# files of somebody else

sub foreign {
    my %made = (
        'text' => sub { Process::spill($_[0], "some words\n" x 1000) },
        'a few bytes' => sub { Process::spill($_[0], 'x') },
        'zeros' => sub { Process::spill($_[0], "\0" x 40960) },
        'other tables' => sub { sql_new($_[0]) },
        'other tables, WAL' => sub {
            sql_new($_[0]);
            sql($_[0], 'PRAGMA journal_mode = WAL');
        },
        'another id' => sub {
            sql_new($_[0]);
            sql($_[0], 'PRAGMA application_id = 77');
        },
        'a view' => sub {
            Process::spill($_[0], '');
            sql($_[0], 'CREATE VIEW v AS SELECT 1');
        },
        'damage' => sub {
            sql_new($_[0]);
            open my $file, '+<:raw', $_[0] or die;
            seek $file, 100, 0;
            print $file "\xa5" x 3000;
        },
        'a folder' => sub { mkdir $_[0] },
    );

    for my $what (sort keys %made) {
        my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

        $made{$what}->("$dir/usage.db");
        my $before = -d "$dir/usage.db" ? '' : Process::slurp("$dir/usage.db");

        for my $time (qw/ once twice /) {
            my ($code, $said) = Process::run([ $daemon, '--data', $dir ]);

            is($code, 1, "$what, $time: it does not start");
            like($said, qr!\Q$dir/usage.db\E (is|belongs)!, '.. and says why');
        }
        is(-d "$dir/usage.db" ? '' : Process::slurp("$dir/usage.db"), $before,
           '.. it is untouched');
        is_deeply([ glob "$dir/usage.db*" ], [ "$dir/usage.db" ],
                  '.. and where it was');
    }

    # what a crash in the midst of the first start leaves is ours
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    Process::spill("$dir/usage.db", '');
    my $s = Statsd->start(dir => $dir);
    ok($s->up, 'an empty file is taken');
    $s->stop;
    sql("$dir/usage.db", 'PRAGMA application_id = 0');
    $s->launch;
    ok($s->up, '.. and a ledger without the id');
    $s->stop;
    clean($s);
}


# a minute without work

sub idle {
    my $out = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $clocks = Clocks->new;
    my $idle = Statsd->start(env => $clocks->env);
    my $feed = $idle->frames;
    my $wal = $idle->dir . '/usage.db-wal';

    $feed->request(seq => 1, count => 100, prompt => 1);
    $feed->acked(100);
    $clocks->pass(50);
    sleep 2.5;
    cmp_ok(-s $wal, '>', 0, 'idle: not all is in the file at once');
    $clocks->pass(11);
    eventually { -e $wal && !-s $wal } '.. after a minute it is', 20;
    copy($idle->dir . '/usage.db', "$out/usage.db");
    is(consistent("$out/usage.db"), 100, '.. and cp gives a ledger');

    $feed->request(seq => 101, prompt => 1);
    ok($feed->acked(101), '.. it goes on');
    $idle->stop;
    clean($idle);
}


sub clean {
    my ($s) = @_;
    unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
}
