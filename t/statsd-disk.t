# When the disk does not do what it should: nothing is lost, it is said, and
# when the disk does it again, so does the daemon.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Schema;
use Statsd;
use Test::More;

my $daemon = Statsd::tool('ollama-statsd');
my $tool = Statsd::tool('ingest_bench');

full();
refused();
held();
gone();
damaged_at_rest();
damaged_inside();
older();
newer();

done_testing();


# a disk that is full

sub full {
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1);

    if ($> || system("mount -t tmpfs -o size=6m tmpfs $dir 2>/dev/null")) {
        SKIP: { skip 'a small disk needs root and mount', 1 }
        rmdir $dir;
        return;
    }

    my $s = Statsd->start(dir => $dir);
    my $f = $s->frames;

    $f->request(seq => 1, count => 100, prompt => 1);
    ok($f->acked(100), 'full: at first there is room');

    # bodies that do not get smaller
    my $seq = 100;

    for (1 .. 8) {
        $seq++;
        $f->body(seq => $seq, id => $seq, fill => 1_000_000);
    }
    $f->request(seq => $seq + 1, count => 1000, prompt => 1);
    $seq += 1000;

    ok($f->acked($seq), '.. and bodies that do not fit delay no record');
    my $health = $s->health;
    is($health->{totals}{requests}, 1100, '.. all of which are there');
    cmp_ok($health->{store}{bodies_lost}, '>', 0, '.. lost bodies are counted');
    cmp_ok($health->{store}{bodies_lost} + $health->{disk}{bodies}, '<=', 8,
           '.. each once');

    # records: the connection is slowed down, not the daemon
    my $more = 80_000;
    ok(!$f->request(seq => $seq + 1, count => $more, prompt => 1, ms => 3000,
                    user_agent => 'x' x 200),
       'when records do not fit either, nothing is taken any more');
    eventually { $s->health->{store}{status} eq 'full' } 'it is full', 10;
    $health = $s->health;
    is($health->{status}, 'degraded', '.. and said so');
    like($health->{problems}[0], qr/cannot be written .*\(full\)/,
         '.. in words');
    cmp_ok($health->{store}{queued_frames}, '>=', 1000, '.. it waits');
    eventually { $s->health->{disk}{bodies} == 0 }
               '.. and there is no body left to go', 30;
    cmp_ok($s->get('/health')->{seconds}, '<', 0.5, '.. but answers are given');
    is($s->get('/stats')->{status}, 200, '.. of what is there');
    ok($s->{process}->alive, '.. and it lives');
    my $rss = Process::slurp('/proc/' . $s->pid . '/status');
    my ($kb) = $rss =~ /VmRSS:\s+(\d+)/;
    # a sanitizer keeps 256 MB of what was freed
    cmp_ok($kb, '<', $ENV{SANITIZE} ? 600_000 : 100_000, '.. in bounded memory');

    system("mount -o remount,size=300m $dir") == 0 or die;
    eventually { $s->health->{store}{status} eq 'ok' }
               'room again: it goes on', 10;
    $f->connect;
    my $last = $f->welcome;
    ok($f->request(seq => $last + 1, count => $seq + $more - $last,
                   prompt => 1), 'the proxy sends what is not acknowledged');
    ok($f->acked($seq + $more, 30000), '.. and all of it is taken');

    my $totals = $s->health->{totals};
    # what the bodies' numbers were is not a request
    is($totals->{requests}, 100 + 1000 + $more, '.. each once');
    is($totals->{prompt_tokens}, $totals->{requests}, '.. with its tokens');
    like($s->output, qr/cannot be written \(full\).*written again/s,
         'the log tells the story');

    is($s->stop, 0, 'a clean end');
    clean($s);

    # and one that is full when the daemon has to end
    $s->launch;
    my ($used) = `df --output=used -k $dir` =~ /(\d+)/;
    $used += 3000;
    system("mount -o remount,size=${used}k $dir") == 0 or die;
    $f = $s->frames(instance => 'ff');
    $f->request(seq => 1, count => 20_000, user_agent => 'x' x 200);
    eventually { $s->health->{store}{status} eq 'full' } 'full again', 10;
    is($s->stop, 0, 'SIGTERM with a full disk ends it as well');
    clean($s);

    system("umount -l $dir");
    rmdir $dir;
}


# a folder that may not be written

sub refused {
    SKIP: {
        skip 'only root can become somebody', 1 if $>;

        my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        chown 65534, 65534, $dir;

        my $s = Statsd->start(dir => $dir, args => [ '--user', 'nobody' ]);
        my $f = $s->frames;

        chmod 0500, "$dir/requests";
        $f->request(seq => 1, prompt => 1);
        $f->body(seq => 2, id => 1);
        ok($f->acked(2), 'refused: a record does not wait for its body');
        eventually { $s->health->{status} eq 'degraded' } '.. it is said', 5;
        like($s->health->{problems}[0],
             qr/bodies cannot be kept.*requests.*Permission denied/,
             '.. in words');
        is($s->health->{store}{bodies_lost}, 1, '.. and counted');
        is($s->get('/queries/1/body')->{status}, 404, '.. and is not there');

        chmod 0700, "$dir/requests";
        $f->request(seq => 3, id => 3, prompt => 1);
        $f->body(seq => 4, id => 3);
        ok($f->acked(4), 'allowed again: it goes on');
        is($s->get('/queries/2/body')->{body}, '{}', '.. with bodies');
        is($s->health->{status}, 'ok', '.. and all is well');

        system('rm', '-rf', "$dir/requests");
        $f->request(seq => 5, id => 5, prompt => 1);
        $f->body(seq => 6, id => 5);
        ok($f->acked(6), 'the folder is gone: it goes on');
        is($s->get('/queries/3/body')->{body}, '{}', '.. in a new one');
        is($s->get('/queries/2/body')->{status}, 404, '.. without the old');
        is($s->health->{store}{bodies_lost}, 1, '.. and loses nothing');
        $s->stop;
        clean($s);
    }
}


# somebody else holds the ledger: as slow as a disk can be

sub held {
    my $s = Statsd->start;
    my $f = $s->frames;

    $f->request(seq => 1, prompt => 1);
    $f->acked(1);

    open my $holder, '-|', $tool, 'hold', $s->dir, 5 or die;
    like(scalar <$holder>, qr/held/, 'held: somebody holds the ledger');
    $f->request(seq => 2, prompt => 1);

    my $slowest = 0;
    my %seen;

    for (1 .. 40) {
        my $answer = $s->get('/health');
        my $status = $Statsd::json->decode($answer->{body})->{store}{status};

        $seen{$status} = 1;
        $slowest = $answer->{seconds} if $answer->{seconds} > $slowest;
        $answer = $s->get('/stats');
        $slowest = $answer->{seconds} if $answer->{seconds} > $slowest;
        select undef, undef, undef, 0.1;
    }

    ok($seen{busy}, '.. which is said');
    cmp_ok($slowest, '<', 0.5, '.. and no answer waits for it');
    ok($f->acked(2), '.. then it goes on');
    close $holder;
    $s->stop;
    clean($s);
}


# the file is deleted under the daemon

sub gone {
    my $s = Statsd->start;
    my $f = $s->frames;

    $f->request(seq => 1, count => 5, prompt => 1);
    $f->acked(5);
    unlink glob $s->dir . '/usage.db*';

    $f->request(seq => 6, prompt => 1);
    ok($f->acked(6), 'gone: a deleted ledger is begun anew');
    is($s->health->{totals}{requests}, 1, '.. with what comes then');

    $s->crash;
    $f->connect;
    is($f->welcome, 6, '.. and the numbers go on');
    $s->stop;
    clean($s);
}


# the file is garbage at the start

sub damaged_at_rest {
    my $s = Statsd->start;
    my $f = $s->frames;

    $f->request(seq => 1);
    $f->acked(1);
    $s->stop;

    Process::spill($s->dir . '/usage.db', 'x' x 50000);
    $s->launch;
    my ($aside) = glob $s->dir . '/usage.db.damaged-*';
    ok($aside, 'damaged: the file is moved aside');
    is(-s $aside, 50000, '.. as it was');
    like($s->output, qr/damaged: moved to \Q$aside\E/, '.. with its name');
    like((map { $_->{message} } grep { $_->{level} eq 'crit' }
              @{ $s->json('/logs') })[-1], qr/\Q$aside\E/, '.. in /logs, too');

    $f->connect;
    $f->request(seq => $f->welcome + 1, prompt => 3);
    ok($f->acked($f->welcome + 1), '.. and a new one is begun');
    is($s->health->{totals}{prompt_tokens}, 3, '.. and works');
    $s->stop;
    clean($s);
}


# pages in the middle are garbage; it shows when they are used

sub damaged_inside {
    my $s = Statsd->start;
    my $f = $s->frames;

    $f->request(seq => 1, count => 20000, clients => 100, models => 10,
                prompt => 1);
    $f->acked(20000, 30000);
    $s->stop;

    # all pages behind the first one: the header is good
    open my $file, '+<:raw', $s->dir . '/usage.db' or die;
    seek $file, 4096, 0;
    print $file "\xa5" x ((-s $file) - 4096);
    close $file;

    $s->{wait} = 0;
    $s->launch;
    eventually { $s->{process}->alive && $s->up || !$s->{process}->alive }
       'it starts, or says why not', 10;
    ok($s->{process}->alive, 'damaged inside: it starts');
    $f->connect;

    my $from = $f->welcome;
    $f->request(seq => $from + 1, count => 10, prompt => 1);
    ok($f->acked($from + 10), '.. and takes records');
    ok(scalar(glob $s->dir . '/usage.db.damaged-*'), '.. into a new file');
    is($s->health->{totals}{requests}, 10, '.. each once');
    is($s->get('/queries')->{status}, 200, '.. which can be read');
    is($s->health->{store}{status}, 'ok', '.. and all is well');
    $s->stop;
    clean($s);

    # the same, met by a reader
    $s = Statsd->start;
    $f = $s->frames;
    $f->request(seq => 1, count => 20000, clients => 100, models => 10);
    $f->acked(20000, 30000);
    $s->stop;
    $s->launch;

    open $file, '+<:raw', $s->dir . '/usage.db' or die;
    seek $file, 4096 * 30, 0;
    print $file "\xa5" x ((-s $file) - 4096 * 30);
    close $file;

    $s->get("/queries?limit=500&offset=$_") for 0, 2000, 5000, 9000;
    eventually { scalar glob $s->dir . '/usage.db.damaged-*' }
       'a reader meets damage: moved aside', 10;
    eventually { $s->get('/queries')->{status} == 200 }
               'and reads a new one', 5;
    $f->connect;
    $f->request(seq => 20001, prompt => 1);
    ok($f->acked(20001), '.. the numbers go on');
    $s->stop;
    clean($s);
}


# the file of an older version is brought up to date

sub older {
    my $s = Statsd->start;
    my $f = $s->frames;

    $f->request(seq => 1, client_name => 'anna', attempts => [
                { key => 'a1b2c3d4', status => 429 },
                { key => 'a1b2c3d4', status => 200 } ]);
    $f->acked(1);
    $s->stop;

    sql($s, Schema::back(1));

    $s->launch;
    my $row = $s->json('/queries?client=anna')->[0];
    is($row->{client_name}, 'anna', 'an older file: its rows are there');
    is($row->{attempts_total}, 2, '.. with the attempts that are told');
    is("@$row{qw/ prompt_certainty completion_certainty certainty /}",
       'exact exact exact', '.. both halves as sure as the whole');

    $f->connect;
    $f->request(seq => 1, client_name => 'anna');
    $f->request(seq => 2, client_name => 'anna');
    $f->request(seq => 3, client_name => 'berta', attempts_all => 40,
                attempts => [ map { { key => 'a1b2c3d4', status => 429 } }
                                  1 .. 16 ]);
    $f->acked(3);
    is(scalar @{ $s->json('/queries?client=anna') }, 2, '.. and goes on');
    $row = $s->json('/queries?client=berta')->[0];
    is($row->{attempts_total}, 40, '.. beside rows with more');
    is(scalar @{ $row->{attempts} }, 16, '.. than are told');

    $s->stop;
    is(sql($s, 'PRAGMA user_version'), 6, '.. and it is up to date');
    clean($s);
}


sub sql {
    my ($s, $statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $statements ]);

    die "$statements: $said\n" if $code;

    return $said =~ s/\n\z//r;
}


# the file of a newer version, and of another program

sub newer {
    for my $case ([ 60, 99, qr/schema 99.*up to \d+.*newer version/ ],
                  [ 68, 12345, qr/belongs to another program/ ]) {
        my ($at, $value, $words) = @$case;
        my $s = Statsd->start;
        $s->stop;

        open my $file, '+<:raw', $s->dir . '/usage.db' or die;
        seek $file, $at, 0;
        print $file pack 'N', $value;
        close $file;

        my ($code, $said) = Process::run([ $daemon, '--data', $s->dir ]);
        is($code, 1, 'not our file: it does not start');
        like($said, $words, '.. and says why');
        is(scalar(() = glob $s->dir . '/*damaged*'), 0,
           '.. and leaves it where it is');
    }
}


sub clean {
    my ($s) = @_;
    unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
}
