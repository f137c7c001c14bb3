# A write-ahead log that somebody else's reading keeps from being written back:
# it is said while it is large, records come in meanwhile, and then all is well.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2;
use Poll;
use Statsd;
use Test::More;

my $sql = Statsd::tool('sql');
my $s = Statsd->start;
my $f = $s->frames;
my $seq = 0;

record();

my $wal = $s->dir . '/usage.db-wal';
my $reader = other('BEGIN', 'SELECT count(*) FROM request');
my $writer = other('PRAGMA wal_autocheckpoint = 0', 'PRAGMA synchronous = OFF',
                   'CREATE TABLE scratch(x)',
                   'INSERT INTO scratch VALUES (zeroblob(1048576))');

# not yet: large, but not so large

grow(100);
record();
sleep 4;    # it is looked at every other second
unlike(problems(), qr/usage\.db-wal/, '100 MiB are nothing to talk of');

grow(170);
cmp_ok(-s $wal, '>', 256 << 20, 'it is larger than 256 MiB');
eventually { problems() =~ /usage\.db-wal has grown to 2\d\d MiB/ }
    'it is said', 20;
is($s->health->{status}, 'degraded', '.. so not all is well');
record();
is($s->health->{totals}{requests}, $seq, '.. records come in');

# longer than what is said is silent after

sleep 5;
like(problems(), qr/usage\.db-wal/, '.. it is said as long as it lasts');
is(said(qr/usage\.db-wal has grown/), 1, '.. and once in the log');

# the one who reads leaves

done($writer, 'DROP TABLE scratch');
leave($_) for $reader, $writer;
eventually { record(); problems() !~ /usage\.db-wal/ }
    'with the reader gone it is written back', 30;
cmp_ok((-s $wal) || 0, '<', 256 << 20, '.. the file is small');
eventually { said(qr/usage\.db-wal is small again/) == 1 } '.. which is said', 5;
is($s->health->{totals}{requests}, $seq, '.. and no record is missing');

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();


# another program with the ledger open

sub other {
    my @statements = @_;
    my $other = {};

    $other->{pid} = open2($other->{out}, $other->{in}, $sql,
                          $s->dir . '/usage.db', '-');
    done($other, $_) for @statements;

    return $other;
}


sub done {
    my ($other, $statement) = @_;
    my $out = $other->{out};

    print { $other->{in} } "$statement\n";
    $other->{in}->flush;

    while (defined(my $line = <$out>)) {
        return if $line eq "done\n";
    }
    die "$statement: failed\n";
}


sub leave {
    my ($other) = @_;

    close $other->{in};
    waitpid $other->{pid}, 0;
}


# pages that are written again and again: one MiB each time

sub grow {
    my ($times) = @_;
    done($writer, 'UPDATE scratch SET x = randomblob(1048576)') for 1 .. $times;
}


sub record {
    $f->request(seq => ++$seq, prompt => 1);
    $f->acked($seq) or die 'not acknowledged';
}


sub problems { "@{ $s->health->{problems} }" }


sub said {
    my ($words) = @_;
    return scalar grep { $_->{message} =~ $words } @{ $s->json('/logs') };
}
