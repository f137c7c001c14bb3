#!/usr/bin/perl

# A ledger with damaged pages: what can be read of it is saved into a new one,
# which says so until somebody has seen it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $rows = 20000;
my $page = 4096;

nothing_wrong();
one_page($_) for qw/ request usage_hour usage_minute usage_sum usage_spread
                     client total instance series combo request_combo
                     sqlite_autoindex_instance_1 sqlite_schema /;
holes();
running_read();
running_write();
beginning();
cut_short();
at_random();

done_testing();


# a ledger of some size, at rest; its proxy is "feed"

sub ledger {
    my $s = Statsd->start;
    my $f = $s->frames(instance => 'feed',
                       keys => [ { key => 'a1b2c3d4', name => 'team-a' } ]);

    # half of them rolled up, and these have a price
    $f->request(seq => 1, count => $rows / 2, clients => 300, models => 10,
                key => 'a1b2c3d4', prompt => 3, completion => 1, cost => 7,
                time => int(time() * 1000) - 5 * 3600_000);
    $f->request(seq => 1 + $rows / 2, count => $rows / 2, clients => 300,
                models => 10, key => 'a1b2c3d4', prompt => 3, completion => 1);
    $f->acked($rows, 60000) or die;

    my $sums = sums($s);

    $s->stop;

    return ($s, $f, $sums);
}


sub sums {
    my ($s) = @_;
    my %sums;

    for my $row (@{ $s->json('/stats?by=client&limit=10000') }) {
        $sums{requests} += $row->{requests};
        $sums{nano} += sprintf '%.0f', 1e9 * $row->{cost_usd};
        $sums{unpriced} += $row->{unpriced_tokens};
    }

    return \%sums;
}


# garbage over pages of a file, from 1 on

sub spoil {
    my ($s, @pages) = @_;

    open my $file, '+<:raw', $s->dir . '/usage.db' or die;

    for (@pages) {
        seek $file, $page * ($_ - 1), 0;
        print $file "\xa5" x $page;
    }

    close $file;
}


# the leaf pages of a table or an index, in their order

sub leaves {
    my ($s, $name) = @_;

    open my $file, '<:raw', $s->dir . '/usage.db' or die;

    my $read = sub {
        my $data;

        seek $file, $page * ($_[0] - 1), 0;
        read $file, $data, $page;

        return $data;
    };

    my ($visit, @leaves);

    $visit = sub {
        my ($number) = @_;
        my $data = $read->($number);
        my $head = $number == 1 ? 100 : 0;
        my ($type, undef, $cells, undef, undef, $right)
            = unpack 'C n n n C N', substr $data, $head, 12;

        if ($type == 13 || $type == 10) {
            push @leaves, $number;
            return;
        }

        $visit->(unpack 'N', substr $data, $_, 4)
            for unpack "n$cells", substr $data, $head + 12, 2 * $cells;
        $visit->($right);
    };

    $visit->($name eq 'sqlite_schema' ? 1 :
             sql($s, 'SELECT rootpage FROM sqlite_schema WHERE name = '
                     . "'$name'"));

    return @leaves;
}


sub sql {
    my ($s, $statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $statements ]);

    die "$statements: $said\n" if $code;

    return $said =~ s/\n\z//r;
}


sub problem {
    my ($s) = @_;
    my ($problem) = grep { $_->{name} eq 'ledger_damaged' }
                    @{ $s->health->{to_acknowledge} };

    return $problem;
}


sub asides { return grep { !/-wal$/ } glob $_[0]->dir . '/usage.db.damaged-*' }


# what is to be true of whatever was saved

sub sound {
    my ($s, $f, $what) = @_;

    is(sql($s, 'PRAGMA integrity_check'), 'ok', '.. the new one is whole');
    is(scalar(() = asides($s)), 1, '.. the old one is kept');
    like(problem($s)->{text}, qr/damaged.*saved: \d+ rows.*lost: /,
         '.. what was saved and lost is said');

    my $health = $s->health;

    is($health->{status}, 'degraded', '.. in /health');
    ok(scalar(grep { /ledger was damaged/ } @{ $health->{problems} }),
       '.. among the problems');
    like($s->get('/metrics')->{body},
         qr/^ollama_statsd_problem\{name="ledger_damaged"\} 1$/m,
         '.. in /metrics');

    # it goes on, and nothing is counted twice
    my $total = $health->{totals}{requests};

    $f->connect;
    is($f->welcome, $rows, '.. the number is known') if $what ne 'instance';

    my $repeated = $health->{store}{repeated};

    $f->request(seq => $rows + 1, id => 7, prompt => 3);
    $f->request(seq => $rows + 2, id => $rows + 2, prompt => 3);
    ok($f->acked($rows + 2), '.. it takes records');
    is($s->health->{totals}{requests}, $total + 1, '.. each once')
        if $what ne 'request';
    is($s->get($_)->{status}, 200, ".. $_") for qw! /queries /stats !;
}


# without damage there is none

sub nothing_wrong {
    my ($s) = ledger();

    $s->launch;
    is(problem($s), undef, 'a whole ledger has no problem');
    is_deeply([ asides($s) ], [], '.. and stays where it is');
    like($s->get('/metrics')->{body},
         qr/^ollama_statsd_problem\{name="ledger_damaged"\} 0$/m,
         '.. 0 in /metrics');
    is($s->get('/stats/problems/ledger_damaged/acknowledge',
               method => 'POST')->{status}, 404,
       '.. which cannot be acknowledged');
    $s->stop;
    clean($s);
}


# one leaf of one table

sub one_page {
    my ($name) = @_;
    my ($s, $f, $sums) = ledger();
    my @leaves = leaves($s, $name);

    spoil($s, $leaves[@leaves / 2]);
    $s->launch;
    ok(problem($s), "a page of $name (@{[ scalar @leaves ]}): it is noticed");

    my $totals = $s->health->{totals};
    my $left = sums($s);

    is($totals->{requests}, $rows, '.. the total is there');
    is($totals->{prompt_tokens}, 3 * $rows, '.. and the tokens');
    is(sprintf('%.0f', 1e9 * $totals->{cost_usd}), 7 * $rows / 2,
       '.. and what they cost');

    is_deeply($left, { requests => $rows, nano => 7 * $rows / 2,
                       unpriced => 4 * $rows / 2 }, '.. all sums');

    my $cube = 0;
    $cube += $_->{requests} for @{ $s->json('/stats?limit=10000') };

    if ($name eq 'usage_hour') {
        cmp_ok($cube, '>', 0, '.. those of series around the damage');
    } else {
        is($cube, $rows, '.. and those of series');
    }

    is($s->json('/stats/latency?by=all')->[0]{requests}, $rows,
       '.. and how long they took') if $name ne 'usage_spread';

    my $there = sql($s, 'SELECT count(*) FROM request');

    if ($name eq 'request') {
        cmp_ok($there, '>', $rows * 0.99, '.. all requests around the damage');
        cmp_ok($there, '<', $rows, '.. without those of the page');
        like(problem($s)->{text}, qr/about ${\ ($rows - $there) } requests/,
             '.. as it says');
    } else {
        is($there, $rows, '.. all requests');
    }

    sound($s, $f, $name);
    is(() = $s->get('/queries?limit=500')->{body} =~ /"id":/g, 500,
       '.. and the requests are shown');
    $s->stop;
    clean($s);
}


# many holes, at the beginning and the end as well

sub holes {
    my ($s, $f) = ledger();
    my @leaves = leaves($s, 'request');
    my @bad = @leaves[ grep { $_ % 7 == 0 || $_ == $#leaves } 0 .. $#leaves ];
    my @minutes = leaves($s, 'usage_minute');

    spoil($s, @bad, $minutes[0], $minutes[-1]);
    $s->launch;
    is($s->health->{totals}{requests}, $rows, 'holes: the total is there');

    my $there = sql($s, 'SELECT count(*) FROM request');

    cmp_ok($there, '>', $rows * (1 - @bad / @leaves) * 0.97,
           ".. and what is between them ($there)");
    is(sums($s)->{requests}, $rows, '.. all sums');
    sound($s, $f, 'request');
    $s->stop;
    clean($s);
}


# met by a reader

sub running_read {
    my ($s, $f) = ledger();
    my @leaves = leaves($s, 'request');

    $s->launch;
    is(problem($s), undef, 'while it runs: it is whole');
    $f->connect;
    spoil($s, $leaves[3]);

    for (my $at = $rows; $at > 0; $at -= 500) {
        $s->get("/queries?limit=500&before=$at");
    }
    eventually { problem($s) } '.. a reader meets damage', 30;
    eventually { $s->get('/queries')->{status} == 200 } '.. then all is read';
    is($s->health->{totals}{requests}, $rows, '.. the total is there');
    ok($f->request(seq => $rows + 1, prompt => 3), '.. the connection goes on');
    ok($f->acked($rows + 1), '.. and records are taken');
    is($s->json('/queries')->[0]{id}, $rows + 1, '.. ids go on');

    # until somebody has seen it
    my $text = problem($s)->{text};

    $s->crash;
    is(problem($s)->{text}, $text, 'the problem survives a restart');

    my $path = '/stats/problems/ledger_damaged/acknowledge';

    is($s->get($path)->{status}, 405, '.. a GET does not take it away');
    is($s->get($path)->{headers}{allow}, 'POST', '.. and says what does');
    is($s->get($path, method => 'POST',
               headers => { 'Sec-Fetch-Site' => 'cross-site' })->{status}, 403,
       '.. nor a page of another site');
    is($s->get("/stats/problems/$_", method => 'POST')->{status}, 404,
       ".. nor $_")
        for qw! other/acknowledge ledger_damaged ledger_damaged/forget
                ledger_damaged/acknowledge/ /acknowledge !;
    ok(problem($s), '.. it stands');

    my $answer = $s->get($path, method => 'POST');

    is($answer->{status}, 200, 'acknowledged');
    is($Statsd::json->decode($answer->{body})->{acknowledged}, 'ledger_damaged',
       '.. as the answer says');
    is(problem($s), undef, '.. and gone');
    is_deeply([ grep { /damaged/ } @{ $s->health->{problems} } ], [],
              '.. from the words, too');
    $s->crash;
    is(problem($s), undef, '.. for the next start, too');
    like($s->get('/metrics')->{body},
         qr/^ollama_statsd_problem\{name="ledger_damaged"\} 0$/m,
         '.. and in /metrics');
    is(scalar(() = asides($s)), 1, '.. the old file stays');
    $s->stop;
    clean($s);
}


# met by the writer

sub running_write {
    my ($s, $f) = ledger();
    my @pages = map { (leaves($s, $_))[-1] } qw/ total instance /;

    $s->launch;
    $f->connect;
    spoil($s, @pages, (leaves($s, 'request'))[-1]);
    $f->request(seq => $rows + 1, count => 10, prompt => 3);
    ok($f->acked($rows + 10), 'the writer meets damage: nothing waits');
    ok(problem($s), '.. it is said');

    # the total is added up anew
    is($s->health->{totals}{requests}, $rows + 10, '.. the total is right');
    is($s->health->{store}{status}, 'ok', '.. the store works');
    $s->crash;
    $f->connect;
    is($f->welcome, $rows + 10, '.. the numbers go on');
    $s->stop;
    clean($s);
}


# the first page, by which all others are found

sub beginning {
    my ($s, $f) = ledger();

    spoil($s, 1);
    $s->launch;
    is($s->health->{totals}{requests}, $rows, 'the first page: all is there');
    is(sums($s)->{requests}, $rows, '.. sums');
    is(sql($s, 'SELECT count(*) FROM request'), $rows, '.. requests');
    sound($s, $f, 'head');
    is_deeply([ glob $s->dir . '/usage.db.patched*' ], [], '.. and no more');
    $s->stop;
    clean($s);

    # without what was kept for that
    ($s, $f) = ledger();
    spoil($s, 1);
    unlink $s->dir . '/usage.db.head';
    $s->launch;
    like(problem($s)->{text}, qr/nothing of it can be read/,
         'the first page, and no copy: it is said');
    is(scalar(() = asides($s)), 1, '.. and nothing is thrown away');
    $f->connect;

    my $from = $f->welcome;

    $f->request(seq => $from + 1, count => 10, prompt => 1);
    ok($f->acked($from + 10), '.. it goes on');
    $s->stop;
    clean($s);
}


# killed in the midst of it

sub cut_short {
    my ($s, $f) = ledger();
    my $db = $s->dir . '/usage.db';

    # the new one is half made
    Process::spill("$db.salvage", 'x' x 5000);
    $s->launch;
    ok(!-e "$db.salvage", 'cut short: half of a new one is thrown away');
    is($s->health->{totals}{requests}, $rows, '.. the old one stays');
    $s->stop;

    # the new one is whole, the old one was renamed already
    rename $db, "$db.salvaged";
    Process::spill("$db.damaged-2026-01-01T00:00:00Z", 'old');
    Process::spill("$db-wal", 'the old one\'s');
    $s->launch;
    is($s->health->{totals}{requests}, $rows,
       'cut short later: the new one takes its place');
    is(Process::slurp("$db.damaged-2026-01-01T00:00:00Z-wal"),
       'the old one\'s', '.. the -wal stays with the old one');
    like(problem($s)->{text}, qr/ledger was damaged/, '.. and it is said');
    $s->stop;
    clean($s);
}


# any pages, by garbage, zeros, or other pages of the file

sub at_random {
    my $seed = $ENV{SEED} // time;

    note("SEED=$seed");
    srand $seed;

    for my $round (1 .. $ENV{ROUNDS} // 5) {
        my ($s, $f) = ledger();
        my $db = $s->dir . '/usage.db';
        my $pages = (-s $db) / $page;
        my $n = 1 + int rand 12;

        open my $file, '+<:raw', $db or die;

        for (1 .. $n) {
            my ($to, $from) = map { int rand $pages } 1, 2;
            my $data = "\0" x $page;
            my $how = int rand 4;

            if ($how == 1) {
                seek $file, $from * $page, 0;
                read $file, $data, $page;
            } elsif ($how == 2) {
                $data = join '', map { chr int rand 256 } 1 .. $page;
            } elsif ($how == 3) {
                $data = substr $data, 0, 1 + int rand $page - 1;
            }
            seek $file, $to * $page, 0;
            print $file $data;
        }

        close $file;

        $s->launch;
        ok($s->up, "at random, $n of $pages pages: it starts");
        $s->get($_) for qw! /stats /stats/minute /queries !,
                        map { "/queries?limit=500&before=$_" } 5000, 10000;

        $f->connect;
        my $from = $f->welcome;
        $f->request(seq => $from + 1, count => 100, id => $rows + 1);
        ok($f->acked($from + 100, 60000), '.. and takes records');
        eventually { $s->get('/queries')->{status} == 200
                     && $s->health->{store}{status} eq 'ok' }
                   '.. and works', 30;
        $s->stop;
        is(sql($s, 'PRAGMA quick_check(1)'), 'ok', '.. whole')
            if glob("$db.damaged-*");
        clean($s);
    }
}


sub clean {
    my ($s) = @_;
    unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
}
