#!/usr/bin/perl

# How large the ledger may be: row_bytes, and a file that shrinks.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Schema;
use Statsd;
use Test::More;

my $mb = 1024 * 1024;
my $n = 40_000;
my $agent = 'x' x 200;

bounded();
no_bound();
older();

done_testing();


sub fill {
    my ($s, $seq) = @_;
    my $f = $s->frames;

    $f->request(seq => $seq, count => $n, clients => 50, user_agent => $agent);
    $f->acked($seq + $n - 1, 60_000);
    return $f;
}


sub bounded {
    my $s = Statsd->start(config => "row_bytes 4m\n");
    my $f = fill($s, 1);

    eventually { used($s) <= 4 * $mb } 'a bound: the oldest rows go', 60;
    eventually { -s file($s) <= 4 * $mb } '.. and the file shrinks', 60;

    my $rows = sql($s, 'SELECT count(*) FROM request');

    cmp_ok($rows, '>', 5000, '.. no more of them than have to');
    cmp_ok($rows, '<', 20_000, '.. (there were more)');
    is(sql($s, 'SELECT max(id), max(id) - min(id) + 1 FROM request'),
       "$n\t$rows", '.. and the newest stay');
    is($s->health->{totals}{requests}, $n, '.. the total is as it was');
    my $sum = 0;
    $sum += $_->{requests} for @{ $s->json('/stats?by=model') };
    is($sum, $n, '.. sums, too');
    is($s->json('/queries?limit=1')->[0]{id}, $n, '.. and they are found');

    # .. again, meanwhile and after a restart

    $f->request(seq => $n + 1, count => $n, clients => 50, user_agent => $agent);
    $f->acked(2 * $n, 60_000);
    eventually { used($s) <= 4 * $mb && -s file($s) <= 4 * $mb }
               '.. for those that come later, too', 60;
    is(sql($s, 'PRAGMA integrity_check'), 'ok', '.. it is whole');
    $s->stop;
    $s->{config} = "row_bytes 2m\n";
    $s->launch;
    eventually { used($s) <= 2 * $mb && -s file($s) <= 2 * $mb }
               '.. a smaller bound', 60;
    is(sql($s, 'SELECT max(id) FROM request'), 2 * $n, '.. the newest stay');
}


sub no_bound {
    my $s = Statsd->start(config => "row_bytes 0\nrow_age 400d\n");

    fill($s, 1);
    select undef, undef, undef, 3;
    is(sql($s, 'SELECT count(*) FROM request'), $n, '0 is no bound');

    # what age takes away makes the file smaller, too

    $s->stop;
    my $size = -s file($s);
    $s->{config} = "row_age 1s\n";
    $s->launch;
    eventually { -s file($s) < $size / 4 } 'rows that are too old leave no'
                                           . ' file behind', 60;
}


# one that an older version made: small, so it is written anew

sub older {
    my $s = Statsd->start;

    fill($s, 1);
    $s->stop;
    sql($s, 'PRAGMA auto_vacuum = NONE');
    sql($s, 'PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;'
            . Schema::back(4));
    is(sql($s, 'PRAGMA auto_vacuum'), 0, 'a ledger of an older version');
    my $size = -s file($s);
    $s->{config} = "row_bytes 4m\n";
    $s->launch;
    eventually { used($s) <= 4 * $mb } '.. is bounded', 60;
    eventually { -s file($s) <= 4 * $mb } '.. and shrinks', 60;
    cmp_ok($size, '>', 8 * $mb, '.. it was larger');
    is($s->health->{totals}{requests}, $n, '.. the total is as it was');
}


sub file { return $_[0]->dir . '/usage.db' }


sub used {
    my ($s) = @_;
    my ($all, $free, $size) = map { sql($s, "PRAGMA $_") }
        qw/ page_count freelist_count page_size /;
    return ($all - $free) * $size;
}


sub sql {
    my ($s, $statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'), file($s),
                                       $statements ]);

    die "$statements: $said\n" if $code;
    return $said =~ s/\n\z//r;
}
