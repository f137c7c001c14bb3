#!/usr/bin/perl

# A data folder as an earlier version left it: each number that it knew is
# known still, and what comes is added.  t/data/make.pl made them.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use File::Temp qw/ tempdir /;
use IO::Uncompress::Gunzip qw/ gunzip /;
use MIME::Base64;
use Poll;
use Process;
use Schema;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

upgraded($_) for glob "$FindBin::Bin/data/*/data.tar.gz";
other_names();

done_testing();


sub upgraded {
    my ($archive) = @_;
    my ($name, $from) = $archive =~ m!(.*/([^/]+))/! ? ($2, $1) : die;
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    gunzip("$from/said.json.gz", \my $json) or die;
    system("tar -C $dir -xzf $archive") == 0 or die;

    # the day on which it was made, so that nothing grows old

    my $said = $Statsd::json->decode($json);
    my $clocks = Clocks->new->day($said->{now} + 60 - time());
    my $s = Statsd->start(dir => $dir, env => $clocks->env,
                          config => "cube_age 400d\n");

    same($s, $name, $said);

    # .. and what is made of them

    for my $by (qw/ hour client model key /) {
        my $n = 0;

        $n += $_->{requests} for @{ $s->json("/stats?by=$by&limit=10000") };
        is($n, $said->{totals}{requests}, "$name: all sums by $by");
    }

    # nothing had a price

    my $totals = $s->health->{totals};

    is($totals->{cost_usd}, 0, "$name: nothing is known of costs");
    is($totals->{unpriced_tokens}, $totals->{total_tokens}, '.. of any token');

    for my $by (qw/ model key client hour /) {
        my @sums = @{ $s->json("/stats?by=$by&limit=10000") };

        is((grep { $_->{cost_usd} != 0 || $_->{unpriced_tokens}
                   != $_->{prompt_tokens} + $_->{completion_tokens} } @sums), 0,
           ".. nor in a sum by $by");
    }
    is((grep { defined $_->{cost_usd} || defined $_->{affinity} }
        @{ $s->json('/queries?limit=500') }), 0, '.. nor in a row');

    my ($event) = @{ $s->json('/stats/events') };

    is($event->{status}, 'exhausted', "$name: a key is exhausted");

    # what was acknowledged then is known, what comes is added

    my $f = $s->frames(instance => '4242');

    is($f->welcome, $said->{last}, 'the last number is known');
    $f->request(seq => $said->{last}, id => 7, prompt => 1000);
    $f->request(seq => $said->{last} + 1, id => 9000, prompt => 5, model => 'new',
                client => '10.0.0.1', key => 'a1b2c300', completion => 0,
                cost => 750);
    $f->body(seq => $said->{last} + 2, id => 9000, data => '{"new":1}');
    ok($f->acked($said->{last} + 2), 'a request is added');
    is($s->health->{totals}{requests}, $said->{totals}{requests} + 1,
       'to the sums, the other one is not');
    is(join(' ', @{ $s->health->{totals} }{qw/ cost_usd unpriced_tokens /}),
       "7.5e-07 $totals->{unpriced_tokens}", '.. with what it costs');

    my ($new) = @{ $s->json('/queries?model=new') };

    cmp_ok($new->{id}, '>', $said->{rows}[0]{id}, 'with an id of its own');
    is($s->get("/queries/$new->{id}/body")->{body}, '{"new":1}', 'and a body');
    is(scalar @{ $s->json('/queries?limit=500') }, @{ $said->{rows} } + 1,
       'all rows are there');
    is($s->stop, 0, 'a clean end');

    # bodies of their own go when their time is over, as those of today do

    $clocks->day($clocks->{day} + 20 * 86400);
    $s->launch;
    $clocks->pass(3700);
    eventually { !glob "$dir/requests/*/*" } 'in the end the bodies go', 30;
    is($s->get("/queries/$said->{rows}[0]{id}/body")->{status}, 404,
       'which is said');
    is($s->health->{totals}{requests}, $said->{totals}{requests} + 1,
       'and no sum changes');
    $s->stop;
}


sub same {
    my ($s, $name, $said) = @_;

    for my $path (sort grep { m!^/! } keys %$said) {
        is_deeply(like_then($s->json($path), $said->{$path}), $said->{$path},
                  "$name: $path");
    }

    my @rows = map { @{ $s->json("/queries?limit=50&offset=$_") } }
               map { $_ * 50 } 0 .. 3;

    is_deeply(like_then(\@rows, $said->{rows}), $said->{rows}, 'all rows');
    is_deeply(like_then($s->health->{totals}, $said->{totals}),
              $said->{totals}, 'the totals');

    my @wrong = grep { $s->get("/queries/$_/body")->{body}
                       ne decode_base64($said->{bodies}{$_}) }
                sort keys %{ $said->{bodies} };

    is("@wrong", '', scalar(keys %{ $said->{bodies} }) . ' bodies');
}


# names that became "(other)" were in the rows, and are found as before; they go
# with their rows

sub other_names {
    my $s = Statsd->start(config => "row_age 31d\n");
    my $f = $s->frames;
    my $db = $s->dir . '/usage.db';

    $f->request(seq => $_, client => '10.6.0.1', model => "a$_", status => 404)
        for 1 .. 100;
    ok($f->acked(100), 'more names than one client may add');
    my $rows = $s->json('/queries?limit=200');
    $s->stop;

    my ($code) = Process::run([ Statsd::tool('sql'), $db, Schema::back(4) ]);
    is($code, 0, 'a ledger as it was');
    my ($n) = (Process::run([ Statsd::tool('sql'), $db, 'SELECT count(*) FROM request'
                              . ' WHERE model_other IS NOT NULL' ]))[1] =~ /(\d+)/;
    cmp_ok($n, '>', 0, '.. with names in its rows');

    $s->launch;
    is_deeply($s->json('/queries?limit=200'), $rows, 'all rows have their names');
    is_deeply([ map { $_->{model} } @{ $s->json('/queries?model=a100') } ],
              [ 'a100' ], '.. and are found by them');
    $s->stop;

    $s->{config} = "row_age 1s\n";
    $s->launch;
    eventually { !@{ $s->json('/queries?limit=1') } } 'in the end the rows go', 30;
    $s->stop;
    ($n) = (Process::run([ Statsd::tool('sql'), $db, 'SELECT count(*) FROM other_name'
                         ]))[1] =~ /(\d+)/;
    is($n, 0, '.. and the names');
}


# without the fields that there were not at that time

sub like_then {
    my ($now, $then) = @_;

    if (ref $then eq 'ARRAY' && ref $now eq 'ARRAY') {
        return [ map { like_then($now->[$_], $then->[$_]) } 0 .. $#$now ];
    }

    if (ref $then eq 'HASH' && ref $now eq 'HASH') {
        return { map { $_ => like_then($now->{$_}, $then->{$_}) }
                 grep { exists $then->{$_} } keys %$now };
    }

    return $now;
}
