#!/usr/bin/perl

# How long requests took and why they failed: by model and key, by minutes, hours
# and days; and what a key's window had used when a penalty came.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw/ shuffle sum0 /;
use Process;
use Schema;
use Statsd;
use Test::More;

my $minute = 60_000;
my $hour = 60 * $minute;
my $day = 24 * $hour;
my $now = int(time) * 1000;
my @keys = map { { key => "a000000$_", name => "key-$_" } } 1 .. 3;
my %ok = (attempts => [ { key => 'a0000001', status => 200 } ],
          key => 'a0000001');
my ($s, $f, $seq);

quantiles();
speeds();
causes();
windows();
spans();
names();
penalties();
upgrade();

done_testing();


sub begin {
    $s = Statsd->start(@_);
    $f = $s->frames(keys => \@keys);
    $seq = 0;
}


sub request { $f->request(seq => ++$seq, %ok, @_) }


# the row of one name

sub row {
    my ($uri, $name) = @_;
    my ($row) = grep { ($_->{model} // $_->{key} // '') eq $name }
                     @{ $s->json($uri) };

    return $row;
}


# what is told of a list is what it says, to an eighth

sub near {
    my ($told, $list, $name) = @_;
    my @sorted = sort { $a <=> $b } @$list;
    my @wrong;

    for my $p (grep { /^p/ } sort keys %$told) {
        my ($part) = $p =~ /(\d+)/;
        my $rank = int(($part * @sorted + 99) / 100);
        my $true = $sorted[$rank - 1];

        push @wrong, "$p: $told->{$p}, not $true"
            if abs($told->{$p} - $true) > $true / 8;
    }

    is("$told->{count} @wrong", scalar(@sorted) . ' ', $name);
}


sub quantiles {
    begin();

    my %took;
    my $n = 0;

    for my $i (shuffle 1 .. 300) {
        my $key = $i % 3 ? 'key-1' : 'key-2';
        my $model = $i % 2 ? 'odd' : 'even';
        my $first = int(5 * 1.03 ** $i);
        my $total = $first + 100 * $i;

        request(model => $model, first_token => $first, total => $total,
                key => $key eq 'key-1' ? 'a0000001' : 'a0000002',
                time => $now - $n++ % 2 * $minute);
        for my $name ($key, $model, 'all') {
            push @{ $took{$name}{first_token_ms} }, $first;
            push @{ $took{$name}{total_ms} }, $total;
        }
    }
    # refused here, in the queue: nobody asked the cloud
    request(model => 'odd', end => 1, status => 429, total => 900_000,
            attempts => []);
    request(model => 'odd', end => 2, status => 499, total => 900_000,
            attempts => []);
    $f->acked($seq);

    my $whole = sub {
        for my $name (sort keys %took) {
            my $by = $name =~ /key/ ? 'key' : $name eq 'all' ? 'all' : 'model';
            my $row = $by eq 'all' ? $s->json('/stats/latency?by=all')->[0]
                                   : row("/stats/latency?by=$by", $name);

            near($row->{$_}, $took{$name}{$_}, "$name: $_" . ($_[0] // ''))
                for qw/ first_token_ms total_ms /;
            cmp_ok($row->{requests}, '>=', @{ $took{$name}{total_ms} },
                   '.. of so many');
        }
    };

    $whole->();
    is_deeply([ map { $_->{model} } @{ $s->json('/stats/latency') } ],
              [ 'odd', 'even' ], 'by model, unless it is said; the most first');
    is($s->json('/stats/latency?by=all')->[0]{requests}, 302,
       'all requests are counted');
    is_deeply([ map { $_->{key_fingerprint} }
                    @{ $s->json('/stats/latency?by=key') } ],
              [ qw/ a0000001 a0000002 / ], 'keys are told');

    # whatever happens to the daemon

    $s->crash;
    $whole->(', after a crash');
    $f->connect;
    is($f->welcome, $seq, '.. which had committed all');
    $f->request(seq => 1, %ok, model => 'odd', total => 99);
    request(model => 'odd', total => 99);
    $f->acked($seq);
    is($s->json('/stats/latency?by=all')->[0]{requests}, 303,
       '.. nothing is counted twice');

    # many at once, in one batch

    $f->request(seq => $seq + 1, count => 5000, models => 7, keys => 3,
                first_token => 40, total => 4000);
    $f->acked($seq += 5000);
    is(sum0(map { $_->{total_ms}{count} } @{ $s->json('/stats/latency') }),
       5301, 'a batch of many');
    near(row('/stats/latency', 'model-3')->{total_ms}, [ (4000) x 714 ],
         '.. each where it belongs');

    # what is asked for

    is($s->get("/stats/$_")->{status}, 400, $_)
        for map { ("latency?$_", "errors?$_") }
            qw/ by=client by=x by= step=0 step=1441 step=x limit=0 limit=1001
                from=x to=x from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z
                step=1&from=2020-01-01T00:00:00Z /;
    my $cut = $s->get('/stats/latency?limit=2');
    my $rows = $Statsd::json->decode($cut->{body});
    is($cut->{headers}{'x-cut'}, 7, 'more than the limit: it is said');
    is("$rows->[-1]{model} $rows->[-1]{others}", '(other) 7', '.. the others');
    is(sum0(map { $_->{requests} } @$rows), 5303, '.. the sum is true');
    $rows = $s->json('/stats/latency?limit=2&step=5');
    is(sum0(map { map { $_->{requests} } @{ $_->{series} } } @$rows), 5303,
       '.. in steps as well');
    is($s->get('/stats/latency?limit=9')->{headers}{'x-cut'}, undef,
       '.. no more');

    # bytes that nobody wrote

    $s->stop;
    sql("UPDATE usage_spread SET counts = x'8080808080808080808080' WHERE kind"
        . " % 4 = 1; UPDATE usage_spread SET counts = CAST(substr(counts, 1,"
        . ' length(counts) - 1) AS BLOB) WHERE kind % 4 = 2');
    $s->launch;
    is($s->get("/stats/$_")->{status}, 200, "damaged counts: $_")
        for qw/ latency?by=key latency?by=model&step=5 errors?by=key /;
    $f->connect;
    request();
    ok($f->acked($seq), '.. and on it goes');
    $s->stop;
}


sub speeds {
    begin();
    my %case = (
        fast => [ { completion => 500, first_token => 200, total => 2200 }, 250 ],
        slow => [ { completion => 3, first_token => 1000, total => 13_000 }, .25 ],
        exact => [ { completion => 12, first_token => 0, total => 100_000 }, .12 ],
        most => [ { completion => 1e9, first_token => 1, total => 21 }, 4e7 ],
    );
    my %none = (
        'not streamed' => { completion => 500, first_token => 200,
                            total => 2200, streamed => 0 },
        'at once' => { completion => 500, first_token => 200, total => 210 },
        nothing => { completion => 0, first_token => 200, total => 2200 },
        'no first token' => { completion => 500, total => 2200 },
        backwards => { completion => 5, first_token => 4000000000, total => 3 },
    );

    request(model => $_, %{ $case{$_}[0] }) for keys %case;
    request(model => $_, %{ $none{$_} }) for keys %none;
    $f->acked($seq);
    near(row('/stats/latency', $_)->{tokens_per_second}, [ $case{$_}[1] ],
         "tokens a second: $_") for sort keys %case;
    is(row('/stats/latency', $_)->{tokens_per_second}{count}, 0,
       "no tokens a second: $_") for sort keys %none;
    is(row('/stats/latency', 'nothing')->{tokens_per_second}{p50}, undef,
       '.. which is null');
    $s->stop;
}


sub causes {
    begin();
    my $quota = 'you (anna) have reached your weekly usage limit, upgrade for'
                . ' higher limits';
    my %case = (
        quota => { status => 429, reason => $quota },
        slots => { status => 429, reason => 'too many concurrent requests' },
        '4xx' => { status => 404, reason => "model 'x' not found" },
        '5xx' => { status => 503 },
        network => { status => 502, attempts => [ { key => 'a0000001',
                                                    cause => 1 } ] },
        cut_off => { end => 3 },
        client_gone => { end => 2, status => 499 },
        refused_here => { end => 1, status => 403, key => '0', attempts => [] },
    );
    my $n = 0;

    for my $cause (sort keys %case) {
        my %q = (model => $cause, %{ $case{$cause} });

        $q{attempts} //= [ { key => 'a0000001', status => $q{status} // 200 } ];
        request(%q, total => 10) for 1 .. ++$n;
    }
    # only the second key answered: no error
    request(model => 'retried', attempts => [ { key => 'a0000002', status => 429 },
                                              { key => 'a0000001', status => 200 } ]);
    $f->acked($seq);

    $n = 0;
    for my $cause (sort keys %case) {
        my $row = row('/stats/errors', $cause);
        my %want = map { $_ => 0 } keys %case;

        $want{$cause} = ++$n;
        is_deeply($row->{causes}, \%want, "cause: $cause");
        is($row->{errors}, $cause eq 'client_gone' ? 0 : $n, '.. an error');
    }
    is(row('/stats/errors', 'retried')->{errors}, 0, 'a retry is none');
    is($s->json('/stats/errors')->[0]{model}, 'slots', 'the most errors first');

    my ($all) = @{ $s->json('/stats/errors?by=all') };
    my %causes = %{ $all->{causes} };

    is(sum0(values %causes), 36, 'all of them');
    is($all->{errors}, sum0(map { $_->{errors} } @{ $s->json('/stats') }),
       '.. as the sums count errors');
    is(sum0(map { $_->{errors} } @{ $s->json('/stats/errors?by=key') }),
       $all->{errors}, '.. by key as well');
    my ($nobody) = grep { !defined $_->{key} } @{ $s->json('/stats/errors?by=key') };
    is_deeply($nobody->{causes}, { (map { $_ => 0 } keys %causes),
                                   refused_here => $causes{refused_here} },
              '.. those without a key were refused');
    is(row('/stats/latency', 'refused_here')->{total_ms}{count}, 0,
       'refused: no latency');
    $s->stop;
}


# from, to, step

sub windows {
    begin();
    my $noon = int(($now - 30 * $hour) / $day) * $day + 12 * $hour;

    request(model => 'm', time => $noon + $_ * $minute + 30_000, total => 100)
        for -200 .. 200;
    $f->acked($seq);

    my $count = sub {
        my ($from, $to, $step) = @_;
        my $uri = '/stats/latency?from=' . iso($noon + $from * $minute) . '&to='
                  . iso($noon + $to * $minute) . ($step ? "&step=$step" : '');

        return $s->json($uri);
    };

    for my $window ([ 0, 1 ], [ -7, 9 ], [ -61, 59 ], [ -200, 201 ], [ 3, 133 ]) {
        my ($from, $to) = @$window;
        my $rows = $count->($from, $to);

        is($rows->[0]{requests}, $to - $from, "minutes $from to $to");
        for my $step (1, 7, 10, 30, 60, 1440) {
            $rows = $count->($from, $to, $step)->[0]{series};
            is(sum0(map { $_->{requests} } @$rows), $to - $from,
               ".. in steps of $step");
        }
    }
    is_deeply($count->(5, 5), [], 'nothing in no time');
    is_deeply($count->(300, 400), [], 'nothing where nothing was');
    my $series = $count->(-90, 90, 60)->[0]{series};
    is_deeply([ map { "$_->{time} $_->{requests}" } @$series ],
              [ iso($noon - 2 * $hour) . ' 30', iso($noon - $hour) . ' 60',
                iso($noon) . ' 60', iso($noon + $hour) . ' 30' ],
              'steps are whole, oldest first, cut by the window');
    request(model => 'today', time => $now);
    request(model => 'yesterday', time => $now - 26 * $hour);
    $f->acked($seq);
    is(@{ row('/stats/latency?step=60', 'today')->{series} }, 1,
       'steps: a day, unless more is asked for');
    is(row('/stats/latency?step=60', 'yesterday'), undef, '.. no more');
    is(row('/stats/latency', 'yesterday')->{requests}, 1, 'else all time');
    $s->stop;
}


# what is old is there by longer spans

sub spans {
    begin();
    my %ago = (minutes => 2 * $hour, tens => 3 * $day, hours => 20 * $day,
               days => 401 * $day);

    request(model => $_, time => $now - $ago{$_} - 7 * $minute, total => 1000,
            status => 503) for sort keys %ago;
    $f->acked($seq);
    eventually { rows('minute') == 1 && rows('ten') == 2 && rows('hour') == 3 }
               'minutes, tens of them and hours go by their age';
    is(rows('day'), 4, '.. days stay');
    is_deeply([ sort map { $_->{model} =~ s/^\(other\)$/days/r }
                         @{ $s->json('/stats/latency') } ],
              [ qw/ days hours minutes tens / ],
              'all of them are told; of one the name may be gone');
    is($s->json('/stats/errors?by=all')->[0]{causes}{'5xx'}, 4, '.. in sums');

    # each by the finest that there is

    for (qw/ minutes tens hours /) {
        my $unit = { minutes => 1, tens => 10, hours => 60 }->{$_};
        my $time = int(($now - $ago{$_} - 7 * $minute) / $unit / $minute)
                   * $unit * $minute;
        my $window = sub { '/stats/latency?from=' . iso($time + $_[0] * $minute)
                           . '&to=' . iso($time + $_[1] * $minute) };

        is(row($window->(0, $unit), $_)->{requests}, 1, "$_: where it was");
        is(row($window->(-$unit, 0), $_), undef, '.. not before');
        is(row($window->($unit, 2 * $unit), $_), undef, '.. not behind');
        is(row($window->(0, $unit) . '&step=1', $_)->{series}[0]{time},
           iso($time), '.. in a series, too');
    }

    # a late one: to what is left

    request(model => 'tens', time => $now - $ago{tens} - 9 * $minute, total => 5);
    $f->acked($seq);
    eventually { rows('minute') == 1 } 'one that comes late goes as well';
    is(row('/stats/latency', 'tens')->{requests}, 2, '.. and is counted');

    # hours are kept for as long as it is said

    $s->stop;
    $s->{config} = "hour_age 10d\n";
    $s->launch;
    eventually { rows('hour') == 2 } 'hour_age: older hours go';
    is($s->json('/stats/latency?by=all')->[0]{requests}, 5, '.. not the sums');
    $s->stop;
}


# a number is not given to another name as long as there are rows of it

sub names {
    begin();

    request(model => 'kept', total => 100);
    request(model => "gone-$_", total => 7777, key => "b000000$_",
            attempts => [ { key => "b000000$_", status => 200 } ]) for 1 .. 3;
    $f->acked($seq);
    $s->stop;
    sql("DELETE FROM model WHERE name <> 'kept'; DELETE FROM key WHERE position"
        . ' IS NULL; DELETE FROM series WHERE model NOT IN (SELECT id FROM model);'
        . ' DELETE FROM combo WHERE series NOT IN (SELECT id FROM series);'
        . ' DELETE FROM request WHERE combo NOT IN (SELECT id FROM combo);');
    $s->launch;
    $f->connect;
    request(model => "new-$_", key => "c000000$_", total => 100,
            attempts => [ { key => "c000000$_", status => 200 } ]) for 1 .. 3;
    $f->acked($seq);

    for my $by (qw/ model key /) {
        my $uri = "/stats/latency?by=$by";
        my $name = $by eq 'key' ? 'c000000' : 'new-';

        is(row($uri, $name . $_)->{requests}, 1, "a new $by has its own")
            for 1 .. 3;
        is(row($uri, '(other)')->{requests}, 3, '.. those that are gone, theirs');
    }
    is(sql('PRAGMA integrity_check'), 'ok', '.. in order');
    $s->stop;
}


# what a window had used

sub penalties {
    my $monday = int(($now - 4 * $day) / 7 / $day) * 7 * $day + 4 * $day;
    my $session = int($now / 18_000_000) * 18_000_000;
    my $used = sub {
        my ($reason, %more) = @_;

        $f->penalty(seq => ++$seq, key => 'a0000001', until => $now + $hour,
                    time => $now, status => 'exhausted', reason => $reason, %more);
        $f->acked($seq);
        my $e = $s->json('/stats/events?limit=1')->[0];
        return join ' ', map { $_ // 'null' }
                             @$e{qw/ used_from used_tokens used_requests /};
    };

    begin();
    my @at = (1, 90, 119, 150, 60 * 7, 60 * 30, 60 * 24 * 8, 60 * 24 * 40);
    my $n = 0;

    for my $ago (@at) {
        request(time => $now - $ago * $minute, prompt => 10 ** $n++,
                completion => 0, model => "m$ago");
        request(time => $now - $ago * $minute, prompt => 5, completion => 5,
                key => 'a0000002',
                attempts => [ { key => 'a0000002', status => 200 } ]);
    }
    # in the batch of the requests, or in one of its own

    my $since = sub {
        my ($from) = @_;
        my @in = grep { $now - $at[$_] * $minute >= int($from / $minute) * $minute }
                      0 .. $#at;
        return join ' ', iso($from), sum0(map { 10 ** $_ } @in), scalar @in;
    };

    is($used->('too many concurrent requests', status => 'slots'),
       $since->($now - 2 * $hour), 'a penalty keeps what two hours had used');
    is($used->('session usage limit reached'), $since->($session),
       '.. or the window that it names');
    is($used->('weekly usage limit reached'), $since->($monday),
       '.. a week, from Monday on');
    is($used->('monthly usage limit reached'), $since->($now - 31 * $day),
       '.. a month');
    is($used->('', key => 'a0000002', model => 'x'),
       iso($now - 2 * $hour) . ' 30 3', '.. of its own key');
    is($used->('', key => 'ffffffff'), iso($now - 2 * $hour) . ' 0 0',
       '.. of a key that nobody used');
    is($used->('', until => 0), 'null null null', 'one that ends keeps nothing');
    is(sql("SELECT used_tokens FROM penalty WHERE model = 'x'"), 30,
       'the row that stands has it, too');
    $s->crash;
    is($s->json('/stats/events?limit=7')->[-1]{used_tokens},
       (split ' ', $since->($now - 2 * $hour))[1], '.. as it was');
    $s->stop;
}


# of a ledger from before there is nothing yet

sub upgrade {
    begin();
    request(model => 'before') for 1 .. 5;
    $f->penalty(seq => ++$seq, key => 'a0000001', until => $now + $hour);
    $f->acked($seq);
    $s->stop;
    sql(Schema::back(4));
    $s->launch;
    is_deeply($s->json("/stats/$_"), [], "an older ledger: no $_ yet")
        for qw/ latency errors /;
    is($s->json('/stats/events')->[0]{used_tokens}, undef, '.. nor what was used');
    is(scalar(@{ $s->json('/queries') }), 5, '.. its requests are there');
    $f->connect;
    request(model => 'after');
    $f->acked($seq);
    is($s->json('/stats/latency')->[0]{requests}, 1, '.. from now on there is');
    is($s->json('/stats')->[0]{requests} + $s->json('/stats')->[1]{requests}, 6,
       '.. beside the sums');
    $s->stop;
}


sub iso {
    my ($ms) = @_;
    my @t = gmtime int($ms / 1000);

    return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1,
                   @t[3, 2, 1, 0];
}


# rows of the whole, by span

sub rows {
    my ($span) = @_;
    my %kind = (minute => 0, ten => 4, hour => 8, day => 12);

    return sql("SELECT count(*) FROM usage_spread WHERE kind = $kind{$span}");
}


sub sql {
    my ($code, $said) = Process::run([ Statsd::tool('sql'),
                                       $s->dir . '/usage.db', $_[0] ]);
    die "$_[0]: $said\n" if $code;
    return $said =~ s/\n\z//r;
}
