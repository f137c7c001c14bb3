#!/usr/bin/perl

# Tests for what happens when everything dies: 32 connections ask without a
# pause while the daemon gets a SIGKILL each second and nginx a reload every
# other; then at full speed with a reload after the other, so that one worker
# takes over from the next; then with workers killed.
#
# CHAOS=50000 makes so many requests instead of 5,000.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Poll;
use Process;
use Proxy;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $requests = $ENV{CHAOS} // 5000;
my $connections = 32;

# about so many answers a second, so that enough dies meanwhile
my @pace = $requests > 20_000 ? (-w => 8, -d => 4) : (-w => 8, -d => 25);

my @paths = qw! /api/chat /api/generate /v1/chat/completions /v1/completions
                /v1/responses /v1/messages !;

plan skip_all => 'load is not built'
    unless -x Process::build('load') || make_load();

my $t = Proxy->new(daemon => 1, workers => 2, keys => [ keys_of(4) ],
                   log => 'notice', allow =>
                   qr/statsd|http\.sock|exited on signal 9/)
             ->run;

$t->cloud->knobs({ log_requests => 0 });


sub make_load {
    my $build = Process::build('') =~ s!/$!!r;

    return !system("cd '$Process::root' && make -s -f t/tools/tools.mk"
                   . " BUILD='$build' '$build/load' >/dev/null 2>&1");
}


# the load, and what is done to the product meanwhile: name => [ seconds, sub ]

sub storm {
    my ($n, $pace, %blows) = @_;
    my $load = Process->start([ Process::build('load'), -c => $connections,
        -n => $n, -s => 50, -t => $Proxy::token, -T => 20, @$pace,
        map({ (-u => $_) } @paths), $t->port ], name => 'load');
    my %due = map { $_ => time() + $blows{$_}[0] } keys %blows;
    my %done = map { $_ => 0 } keys %blows;

    while ($load->alive) {
        for my $blow (grep { $due{$_} <= time() } sort keys %due) {
            $blows{$blow}[1]->();
            $done{$blow}++;
            $due{$blow} = time() + $blows{$blow}[0];
        }

        sleep(0.05);
    }

    my $said = eval { $Http::json->decode($load->output) } // {};

    diag(sprintf '%d requests in %.1f s, %s', $said->{requests} // 0,
         $said->{seconds} // 0, join ', ', map { "$_ $done{$_} times" }
                                           sort keys %done);

    return ($said, \%done);
}


sub kill_daemon {
    $t->{daemon}->stop('KILL');
    $t->start_daemon;
}


sub totals {
    my $health = $t->get('/health')->json;
    return ref $health ? $health->{totals} // {} : {};
}


sub outbox {
    my $health = $t->get('/health')->json;
    my ($proxy) = grep { $_->{connected} } @{ $health->{proxies} };

    return ($proxy->{missing}, $proxy->{outbox});
}


# the rows themselves: how many, and the sums of their tokens

sub rows {
    my ($n, $prompt, $completion, $before) = (0, 0, 0);
    my %seen;

    while (1) {
        my $page = $t->get('/queries?limit=500'
                           . ($before ? "&before=$before" : ''))->body;
        my @ids = $page =~ /"id":(\d+),/g;

        $prompt += $_ for $page =~ /"prompt_tokens":(\d+)/g;
        $completion += $_ for $page =~ /"completion_tokens":(\d+)/g;
        $n += @ids;
        return ($n, $prompt, $completion) unless @ids == 500;
        $before = $ids[-1];
    }
}


sub sums_of {
    my ($what, @fields) = @_;
    return join ' ', @$what{@fields};
}

# requests and tokens in the ledger, in its rows and by key, are the cloud's

sub all_equal {
    my ($n) = @_;
    my $ledger = $t->cloud->ledger;
    my $total = $ledger->{total};

    is($total->{ok}, $n, 'answered by the cloud, each once');
    poll { (totals()->{requests} // 0) >= $n } 'all is in the ledger', 30;
    is(sums_of(totals(), qw/ requests prompt_tokens completion_tokens errors /),
       sums_of($total, qw/ requests prompt completion /) . ' 0',
       'requests and tokens equal the cloud\'s');
    is(totals()->{estimated_tokens}, 0, 'to the token');
    is(join(' ', rows()), sums_of($total, qw/ requests prompt completion /),
       'so do the rows');

    my $stats = $t->get('/stats?limit=10000')->json;

    for my $key (sort keys %{ $ledger->{keys} }) {
        my @fields = qw/ requests prompt_tokens completion_tokens /;
        my %sum = map { $_ => 0 } @fields;

        for my $row (grep { ($_->{key_fingerprint} // '')
                            eq substr sha256_hex($key), 0, 8 } @$stats) {
            $sum{$_} += $row->{$_} for @fields;
        }

        is(sums_of(\%sum, @fields), sums_of($ledger->{keys}{$key},
           qw/ requests prompt completion /), 'of a key');
    }

    poll { (outbox())[1] } 'the state of the outbox';

    my ($missing, $outbox) = outbox();

    is("$missing $outbox->{dropped_records}", '0 0', 'nothing was dropped');
}


sub unnoticed {
    my ($said, $n) = @_;
    my @trouble = map { $said->{$_} ? "$_: $said->{$_}" : () }
                  qw/ refused lost late /;

    is($said->{ok}, $n, 'each request was answered') or diag(explain($said));
    is(join(', ', @trouble), '', 'no client has noticed');
}

# the daemon and reloads

my $reload = sub { kill 'HUP', $t->pid };
my ($said, $done) = storm($requests, \@pace, kill => [ 1, \&kill_daemon ],
                                              reload => [ 2, $reload ]);

cmp_ok($done->{kill}, '>=', 5, 'the daemon was killed');
cmp_ok($done->{reload}, '>=', 2, 'nginx was reloaded');
unnoticed($said, $requests);
all_equal($requests);

# one reload after the other, with bodies that keep the outbox busy

my $rushed = 40_000;

($said, $done) = storm($rushed, [ -w => 4, -b => 4000 ],
                       reload => [ 0.2, $reload ]);

cmp_ok($done->{reload}, '>=', 3, 'reloads in a row');
unnoticed($said, $rushed);
all_equal($requests + $rushed);

poll { (outbox())[1] && !(outbox())[1]{used} } 'the outbox is empty';

# the workers: what they had in hand is lost, and nothing else

$t->cloud->reset;

my $known = totals();
my $killed = 0;

$requests /= 2;
($said, $done) = storm($requests, \@pace,
    kill => [ 2.5, \&kill_daemon ],
    worker => [ 1, sub {
        my ($worker) = $t->workers;
        $killed++ if $worker && kill 'KILL', $worker;
    } ]);

my @trouble = map { $said->{$_} ? "$_: $said->{$_}" : () } qw/ refused late /;

cmp_ok($killed, '>=', 3, 'workers were killed');
is(join(', ', @trouble), '', 'nobody was refused, or waits');
cmp_ok($said->{lost}, '<=', $killed * $connections, 'only what was in flight');
is($said->{ok} + $said->{lost}, $requests, 'the rest was answered')
    or diag(explain($said));

my $now;

poll {
    $now = totals();
    (outbox())[1] && !(outbox())[1]{used}
    && $now->{requests} - $known->{requests} >= $said->{ok} - $killed
} 'the outbox is empty again', 10;

my $total = $t->cloud->ledger->{total};
my $recorded = $now->{requests} - $known->{requests};

diag("$killed workers: $said->{lost} requests lost, $total->{requests}"
     . " reached the cloud, $total->{ok} were answered, $recorded recorded");

# answers on the wire of a worker that died have no record, and one that died
# between record and last byte has one
cmp_ok(abs($total->{requests} - $recorded), '<=', $killed * $connections,
       'what was in flight makes the difference');
cmp_ok($recorded, '<=', $total->{requests}, 'nothing is recorded twice');
cmp_ok($now->{prompt_tokens} - $known->{prompt_tokens}, '<=',
       $total->{prompt} / $total->{ok} * $total->{requests} + 1,
       'nor any token');
is(join(' ', rows()),
   sums_of($now, qw/ requests prompt_tokens completion_tokens /),
   'rows and sums agree');

my ($missing, $outbox) = outbox();

is("$missing $outbox->{dropped_records}", '0 0', 'nothing was dropped');

# by their model: records of what died with a worker may still come in

sub after { scalar @{ $t->get('/queries?model=after&limit=100')->json } }

is(scalar(grep { $t->chat(model => 'after')->status == 200 } 1 .. 20), 20,
   'life goes on');
poll { after() >= 20 } 'and is recorded';
is(after(), 20, 'each once');

finish();
