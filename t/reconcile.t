#!/usr/bin/perl

# Tests for what the daemon makes of an account's week: the cloud's figures
# beside the ledger's, somebody else who uses the account, the day on which it
# will be empty.  nginx's private location is played by this test.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clocks;
use File::Temp qw/ tempdir /;
use IO::Socket::UNIX;
use POSIX qw/ strftime /;
use Poll;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $dir = tempdir('reconcile-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $day = 86400;

# it is noon for the daemon, whenever this runs

my $clocks = Clocks->new->day($day / 2 - time() % $day);
my $today = int((time() + $clocks->{day}) / $day) * $day;


sub iso { strftime '%Y-%m-%dT%H:%M:%SZ', gmtime $_[0] }
sub date { strftime '%Y-%m-%d', gmtime $today + $_[0] * $day }


# the private location: answers of $dir/usage and $dir/balance, and who asked

sub answer_with { Process::spill("$dir/$_[0]", $_[1]) }

sub serve {
    my $server = IO::Socket::UNIX->new(Local => "$dir/private.sock", Listen => 8)
        or die "listen: $!\n";
    my $pid = fork // die "fork: $!\n";

    return $pid if $pid;

    while (my $c = $server->accept) {
        my $request = '';

        $request .= $_ while $request !~ /\r\n\r\n/ && defined($_ = <$c>);

        my ($page) = $request =~ m!^GET /api/(\w+)!;
        my ($key) = $request =~ /^X-Ollama-Key: (\w+)\r$/m;
        my $body = Process::slurp("$dir/$page");

        open my $log, '>>', "$dir/asked";
        print $log "$page $key\n";
        close $log;
        print $c 'HTTP/1.1 ', Process::slurp("$dir/head"), "\r\n\r\n$body";
        close $c;
    }
    POSIX::_exit(0);
}


sub usage {
    my (@of) = @_;      # day => requests, dollars

    my @buckets = map { sprintf '{"from":"%s","until":"%s","request_count":%d,'
                                . '"usage_usd":%s}', iso($today + $_->[0] * $day),
                        iso($today + ($_->[0] + 1) * $day), @$_[1, 2] } @of;

    return '{"range":"7d","granularity":"day","buckets":['
           . join(',', @buckets, sprintf '{"from":"%s","until":"%s",'
                  . '"partial":true,"request_count":5000}', iso($today),
                  iso($today + $day / 2)) . ']}';
}


answer_with(balance => sprintf '{"included":{"balance_usd":46,"allowance_usd":60,
    "period":{"from":"%s","until":"%s"}},"purchased":{"balance_usd":2}}',
    iso($today - 10 * $day), iso($today + 20 * $day));
answer_with(usage => usage([ -4, 100, 1 ], [ -3, 20, 0.2 ], [ -2, 24, 0.25 ],
                           [ -1, 60, 3 ]));

answer_with(head => "200 OK\r\nX-Ollama-Private: asked");

my $server = serve();
my $s = Statsd->start(env => $clocks->env);
my $f = $s->frames(balance => 300, private => "$dir/private.sock", keys => [
    { key => 'a1a1a1a1', name => 'a', account => 'anna' },
    { key => 'b2b2b2b2', name => 'b', account => 'anna' } ]);
my $seq = 0;


# requests of a day, at noon of it; dollars each

sub requests {
    my ($day, $n, $usd, %more) = @_;

    $f->request(seq => $seq + 1, id => $seq + 1, count => $n, prompt => 10,
                key => 'a1a1a1a1', model => 'm', priced => 1,
                cost => int($usd * 1e9 + 0.5), status => 200,
                time => int(($today + $day * 86400 + 43200) * 1000), %more);
    $seq += $n;
    return $f->acked($seq);
}


# -4: nothing, the ledger began then; the others as the cloud says, but the last

ok(requests(-3, 20, 0.01), 'requests of three days');
ok(requests(-2, 14, 0.01), '..');
ok(requests(-2, 10, 0.01, key => 'b2b2b2b2'), '.. with both keys');
ok(requests(-1, 30, 0.02), '..');
ok(requests(0, 12, 2), 'and of the last minutes');

sub pass_until(&$) {
    my ($condition, $name) = @_;

    return &eventually(sub {
        $clocks->pass(5);
        $s->get('/stats/running');

        # answers come in real time

        poll { $s->health->{balances}{asking} == 0 };
        $condition->();
    }, $name, 30);
}

my @days;
pass_until { @days = @{ $s->json('/stats/reconcile') }; @days >= 4 }
           'a week is compared';

my %of = map { $_->{day} => $_ } @days;

is_deeply([ map { $_->{day} } @days ], [ map { date($_) } -1, -2, -3, -4 ],
          'whole days, the newest first');
is_deeply($of{date(-3)}, { account => 'anna', day => date(-3),
          theirs => { requests => 20, usd => 0.2 },
          ours => { requests => 20, usd => 0.2 }, somebody_else => JSON::PP::false,
          difference => { requests => 0, usd => 0 } }, 'a day that is right');
is_deeply($of{date(-2)}, { account => 'anna', day => date(-2),
          theirs => { requests => 24, usd => 0.25 },
          ours => { requests => 24, usd => 0.24 }, somebody_else => JSON::PP::false,
          difference => { requests => 0, usd => 0.01 } },
          'of both keys of the account; a cent more');
is_deeply($of{date(-1)}, { account => 'anna', day => date(-1),
          theirs => { requests => 60, usd => 3 },
          ours => { requests => 30, usd => 0.6 }, somebody_else => JSON::PP::true,
          difference => { requests => 30, usd => 2.4 } },
          'a day with twice as many as came through here');
ok(!$of{date(-4)}{somebody_else}, 'before the ledger began it was nobody');
is_deeply($of{date(-4)}{difference}, { requests => 100, usd => 1 },
          '.. and all of it is more than nothing');

my ($problem) = grep { $_->{name} eq 'account_shared' }
                @{ $s->health->{to_acknowledge} };

like($problem->{text}, qr/somebody else uses the account "anna": of \Q@{[ date(-1) ]}\E/,
     'somebody has to see it');
like($problem->{text}, qr/the cloud counts 60 requests, this ledger 30/,
     'with the numbers');

# once a day, and the questions of all kinds a minute apart

my @asked = split /\n/, Process::slurp("$dir/asked");

is((grep { /^usage/ } @asked), 1, 'the week is asked for once');
is_deeply([ grep { !/ a1a1a1a1$/ } @asked ], [], 'with one key of the account');

$s->get('/stats/problems/account_shared/acknowledge', method => 'POST');
answer_with(usage => usage([ -1, 61, 3 ]));
pass_until { (() = Process::slurp("$dir/asked") =~ /^usage/mg) == 2 }
           'the next day again' if $clocks->pass($day);
pass_until { $s->json('/stats/reconcile')->[0]{theirs}{requests} == 61 }
           'figures that came late are taken';
is_deeply([ grep { $_->{name} eq 'account_shared' }
            @{ $s->health->{to_acknowledge} } ], [],
          'what was acknowledged is not said again');

# what it has left, to every proxy, also one that comes later

my ($key) = grep { $_->{key} eq 'b' } @{ $s->json('/stats/keys') };

is($key->{balance}{included_usd}, 46, 'both keys have the account\'s balance');

requests(1, 12, 2);
pass_until { ($key) = @{ $s->json('/stats/keys') };
             ($key->{balance}{empty_at} // '') gt iso($today + 2.9 * $day) }
           'when it will be empty';
like($key->{balance}{empty_at}, qr/^\Q@{[ date(3) ]}\E/,
     '$48 at $24 a day: in two days');

my $g = $s->frames(instance => '2', keys => [ { key => 'b2b2b2b2', name => 'b' } ]);

$g->request(seq => 1, id => 1, prompt => 1);
$g->acked(1);
is_deeply([ sort map { "$_->{key} $_->{kind} $_->{included} $_->{purchased}" }
            $g->seen('balance') ],
          [ map { "$_ 1 46000000000 2000000000" } qw/ a1a1a1a1 b2b2b2b2 / ],
          'a proxy that comes later is told');

# nginx's own word is not the cloud's

answer_with(head => '403 Forbidden');
pass_until { "@{ $s->health->{problems} }" =~ /nginx does not let this daemon ask/ }
           'a daemon that may not ask says so';
is($s->json('/stats/keys')->[0]{balance}{kind}, 'money',
   'and takes it for no suspended account');

$s->stop;
kill 'TERM', $server;
waitpid $server, 0;

done_testing();
