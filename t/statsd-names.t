# Names (of clients, models, keys, and what is put together of them) go with
# the last row that uses them, and nobody can use up the room for them.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Schema;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $day = 86400_000;

full_once();
models();
last_row();
back_again();
left_before();
keys_go();
one_client();

done_testing();


# more clients than there is room for, all of which go

sub full_once {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $old = int(time * 1000) - 402 * $day;
    my $n = 200_001;

    ok($f->request(seq => 1, count => $n, clients => $n, prompt => 1,
                   time => $old, ms => 120_000), 'very many clients');
    ok($f->acked($n, 120_000), '.. once');

    # meanwhile nobody waits
    my ($slowest, $seq) = (0, $n);
    my $gone = poll {
        my $began = time;

        $f->request(seq => ++$seq, client => '10.9.9.9');
        $f->acked($seq);
        my $took = time - $began;
        $slowest = $took if $took > $slowest;
        return sql($s, 'SELECT count(*) FROM client') <= 2;
    } undef, 120;
    ok($gone, '.. and all gone');
    cmp_ok($slowest, '<', 2, '.. without a record that waits');
    # the first of those that came meanwhile are "(other)", and stay it
    $f->request(seq => ++$seq, client => '10.9.9.9');
    $f->acked($seq);
    is(sql($s, 'SELECT (SELECT count(*) FROM series) <= 2, (SELECT count(*) FROM'
               . ' combo) <= 2, (SELECT count(*) FROM model)'),
       "1\t1\t1", '.. with what was put together of them');
    whole($s);

    $f->request(seq => ++$seq, client => '10.8.8.8', client_name => 'new');
    $f->acked($seq);
    is_deeply([ sort grep { $_ ne '(other)' } map { $_->{client_ip} }
                     @{ $s->json('/stats?by=client') } ],
              [ '10.8.8.8', '10.9.9.9' ], 'a new client has its name');
    is($s->health->{totals}{requests}, $seq, 'and nothing is forgotten');
}


# .. and models; one that was summed up as "(other)" has its name again

sub models {
    my $s = Statsd->start(config => "row_age 3s\n");
    my $f = $s->frames;
    my $seq = 20_000;

    # what holds them are the sums by hour
    $f->request(seq => 1, count => $seq, clients => 1000, models => $seq);
    $f->acked($seq, 60_000);
    $f->request(seq => ++$seq, model => 'x', client => '10.7.7.7');
    $f->acked($seq);
    is(sum($s, 'x'), 0, 'models: there is no room for one more');
    # with the half that is behind the limit
    is(sum($s, '(other)'), 10_001, '.. which is one of the others');
    eventually { !@{ $s->json('/queries') } } '.. their rows go', 30;
    is(sql($s, 'SELECT count(*) FROM model'), 20_001, '.. the sums have names');

    $s->stop;
    $s->{config} = "row_age 3s\nhour_age 400d\n";
    # .. by name as well: all of it is 404 days older
    sql($s, 'DELETE FROM usage_minute; DELETE FROM usage_sum;'
            . ' UPDATE usage_hour SET hour = hour - 9696 WHERE series IN (SELECT'
            . ' s.id FROM series s JOIN model m ON m.id = s.model WHERE m.name'
            . " LIKE 'model-%'); UPDATE series SET day = day - 404"
            . ' WHERE id IN (SELECT s.id FROM series s JOIN model m'
            . " ON m.id = s.model WHERE m.name LIKE 'model-%')");
    $s->launch;
    $f->connect;
    $f->request(seq => ++$seq, model => 'x', client => '10.7.7.7');
    $f->acked($seq);
    eventually { sql($s, 'SELECT count(*) FROM model') <= 2 }
               '.. all but those of now go with the sums', 60;
    $f->request(seq => ++$seq, model => 'x', client => '10.7.7.7');
    $f->acked($seq);
    eventually { sum($s, 'x') >= 1 } '.. and there is room again', 10;
    whole($s);
}


# each table that uses a name keeps it

sub last_row {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $now = int(time * 1000);

    $f->request(seq => 1, time => $now - 40 * $day, model => 'hours',
                client => '10.1.0.1', client_name => 'anna');
    $f->request(seq => 2, time => $now - 402 * $day, model => 'nothing',
                client => '10.1.0.2');
    $f->request(seq => 3, time => $now - 402 * $day, model => 'hours',
                client => '10.1.0.3');
    $f->request(seq => 4, time => $now - 402 * $day, model => 'nothing',
                client => '10.1.0.1', client_name => 'anna');
    $f->request(seq => 5, model => 'rows', client => '10.1.0.4');
    $f->acked(5);
    eventually { sql($s, 'SELECT group_concat(name) FROM (SELECT name FROM'
                         . ' model ORDER BY 1)') eq '(other),hours,rows' }
               'a model that has no row goes', 20;
    eventually { sql($s, 'SELECT group_concat(address) FROM (SELECT address'
                         . ' FROM client ORDER BY 1)')
                 eq '(other),10.1.0.1,10.1.0.4' }
               '.. and a client', 20;
    is(join(' ', map { "$_->{client_ip} $_->{client_name} $_->{requests}" }
                 grep { $_->{client_name} } @{ $s->json('/stats?by=client') }),
       '10.1.0.1 anna 2', 'one with sums has not gone');
    is(join(' ', sort map { "$_->{model} $_->{requests}" }
                      @{ $s->json('/stats?by=model') }),
       '(other) 2 hours 2 rows 1', '.. and of the others each is counted');
    is(sql($s, 'SELECT count(*) FROM combo'), 1, '.. but its combo has');
    whole($s);
}


# what the writer has in mind follows: names that went come again, in the midst
# of retention, and are counted as before

sub back_again {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $now = int(time * 1000);
    my $seq = 0;

    for my $round (1 .. 40) {
        for my $n (1 .. 20) {
            $f->request(seq => ++$seq, model => "m$n", client => "10.3.0.$n",
                        status => $round % 3 ? 200 : 500,
                        time => $round % 2 ? $now - 402 * $day : $now);
        }
        $f->acked($seq);
        select undef, undef, undef, 0.05 + ($round % 4) / 10;
    }
    eventually { sql($s, "SELECT count(*) FROM request WHERE time < $now") == 0 }
               'names come and go', 20;
    whole($s);
    my $n = 0;
    $n += $_->{requests} for @{ $s->json('/stats?by=model') };
    is($n, 800, '.. and each request is counted');
    is(@{ $s->json('/queries?model=m7&limit=100') }, 20, '.. and found');
}


# names without rows that an older version, or a damaged ledger, has left

sub left_before {
    my $s = Statsd->start(config => "cube_age 400d\n");
    my $f = $s->frames;

    $f->request(seq => 1, model => 'kept', client => '10.4.0.1');
    $f->request(seq => 2, model => 'sums', client => '10.4.0.2',
                time => int(time * 1000) - 40 * $day);
    $f->acked(2);
    eventually { @{ $s->json('/queries') } == 1 } 'the older row goes', 10;
    $s->stop;
    sql($s, 'WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n'
            . " WHERE i < 6000) INSERT INTO client SELECT i, '10.5.0.' || i, ''"
            . ' FROM n;'
            . ' INSERT INTO series(id, client, key, model) SELECT id, id, 0, 1'
            . ' FROM client WHERE id >= 1000;'
            . ' INSERT INTO combo SELECT id, id, 200, 0 FROM client'
            . ' WHERE id >= 1000;' . Schema::back(4));
    $s->launch;
    eventually { sql($s, 'SELECT count(*) FROM client') == 2 }
               'names of an older version go', 60;
    is(join(' ', sort map { $_->{model} } @{ $s->json('/stats') }),
       'kept sums', '.. but not those of sums');
    whole($s);
}


# a key that is configured stays, one with history too

sub keys_go {
    my $s = Statsd->start(config => "day_age 401d\n");
    my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'here' } ]);
    my $old = int(time * 1000) - 402 * $day;

    $f->request(seq => 1, time => $old, key => 'a1b2c3d4');
    $f->request(seq => 2, time => $old, key => 'b1b2c3d4');
    $f->request(seq => 3, time => $old, key => 'c1b2c3d4');
    $f->penalty(seq => 4, key => 'c1b2c3d4', until => int(time * 1000) + $day);
    $f->acked(4);
    eventually { sql($s, 'SELECT count(*) FROM key') == 2 }
               'a key that nothing tells of any more goes', 20;
    is(sql($s, "SELECT group_concat(printf('%08x', fingerprint)) FROM (SELECT"
               . ' fingerprint FROM key ORDER BY 1)'), 'a1b2c3d4,c1b2c3d4',
       '.. and no other');
}


# one client asks for names without end: others have room

sub one_client {
    my $s = Statsd->start;
    my $f = $s->frames;
    my $seq = 0;

    for my $n (1 .. 1500) {
        $f->request(seq => ++$seq, client => '10.6.0.1', model => "a$n",
                    status => $n % 2 ? 404 : 200, client_name => "name-$n");
    }
    $f->acked($seq, 60_000);
    for my $address ('2001:db8:1:2::', '2001:db8:1:2:a:b:c:') {
        $f->request(seq => ++$seq, client => $address . $_, model => "v6$_",
                    status => 404) for 1 .. 400;
    }
    $f->acked($seq, 60_000);
    for my $n (1 .. 20) {
        $f->request(seq => ++$seq, client => "10.6.1.$n", model => "b$n",
                    status => 404, client_name => "other-$n");
    }
    $f->acked($seq);

    my %model = map { $_->{model} => $_ } @{ $s->json('/stats?by=model&limit=10000') };
    is(grep({ $model{"b$_"} } 1 .. 20), 20, 'others have names of their own');
    my $its = grep { /^a(\d+)/ && $1 % 2 } keys %model;
    cmp_ok($its, '<', 100, 'one client has some a day');
    cmp_ok($its, '>=', 40, '.. but some');
    is(scalar(grep { /^a(\d+)/ && $1 % 2 == 0 } keys %model), 750,
       '.. and those that the cloud has');
    cmp_ok(scalar(grep { /^v6/ } keys %model), '<', 100,
           '.. a network of IPv6 (/64) is one');
    is($model{a1}{requests}, 1, 'the first are its own');
    is($model{'(other)'}{requests}, 1500 + 800 - keys(%model) + 20 + 1
                                    + v6_twice(\%model),
       '.. the others are summed up');
    my @client = @{ $s->json('/stats?by=client&limit=10000') };
    cmp_ok(scalar(grep { $_->{client_ip} eq '10.6.0.1' } @client), '<', 1000,
           'names of clients, too');
    is(scalar(grep { $_->{client_ip} =~ /^10\.6\.1\./ } @client), 20,
       '.. and others have theirs');
    is($s->json('/queries?model=a1499')->[0]{client_ip}, '10.6.0.1',
       'a row keeps its name');
    is($s->json('/queries?client=name-1499')->[0]{model}, 'a1499',
       '.. and is found by it');
    whole($s);
}


# requests of v6 models beyond the first of each

sub v6_twice {
    my ($model) = @_;
    my $n = 0;

    $n += 1 - $model->{$_}{requests} for grep { /^v6/ } keys %$model;
    return $n;
}


sub sum {
    my ($s, $model) = @_;
    my ($row) = grep { $_->{model} eq $model }
                     @{ $s->json('/stats?by=model&limit=10000') };
    return $row ? $row->{requests} : 0;
}


# nothing refers to what is not there

sub whole {
    my ($s) = @_;
    my @wrong = map { sql($s, "SELECT count(*) FROM $_") }
        'request WHERE combo NOT IN (SELECT id FROM combo)',
        'combo WHERE series NOT IN (SELECT id FROM series)',
        'usage_hour WHERE series NOT IN (SELECT id FROM series)',
        'series WHERE client NOT IN (SELECT id FROM client)',
        'series WHERE model NOT IN (SELECT id FROM model)',
        'series WHERE key <> 0 AND key NOT IN (SELECT id FROM key)',
        'usage_minute WHERE kind = 2 AND ref NOT IN (SELECT id FROM model)',
        'usage_minute WHERE kind = 3 AND ref NOT IN (SELECT id FROM client)',
        'usage_sum WHERE kind % 4 = 2 AND ref NOT IN (SELECT id FROM model)',
        'usage_sum WHERE kind % 4 = 3 AND ref NOT IN (SELECT id FROM client)',
        'usage_sum WHERE kind % 4 = 1 AND ref NOT IN (SELECT id FROM key'
            . ' UNION SELECT 0)';

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is("@wrong", '0 0 0 0 0 0 0 0 0 0 0',
       'nothing refers to what is not there');
}


sub sql {
    my ($s, $statements) = @_;
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $statements ]);

    die "$statements: $said\n" if $code;
    return $said =~ s/\n\z//r;
}
