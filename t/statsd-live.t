# GET /events: what moves, told once to all who listen.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Poll;
use Socket qw/ SOL_SOCKET SO_RCVBUF /;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;

my $s = Statsd->start;
my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'team-a' },
                             { key => 'b1b2c3d4', name => 'team-b' } ]);

$f->request(seq => 1, count => 3, key => 'a1b2c3d4');
$f->acked(3);

my $one = listen_to();
my $hello = until_event($one, 'hello');

is($one->{status}, 200, 'a stream');
is($one->{headers}{'content-type'}, 'text/event-stream', '.. of events');
is($one->{headers}{'x-accel-buffering'}, 'no', '.. that no nginx holds back');
is($one->{headers}{'cache-control'}, 'no-store', '.. and nobody keeps');
is($hello->{data}{last_id}, 3, 'it begins with the present');
like($hello->{id}, qr/^3\.\d+$/, '.. which is its id');
is(until_event($one, 'health')->{data}{totals}{requests}, 3,
   'health comes at once');
is_deeply([ map { $_->{key} } @{ until_event($one, 'keys')->{data} } ],
          [ 'team-a', 'team-b' ], '.. and keys');

# a request is told within a second

my $began = time();
$f->request(seq => 4, key => 'a1b2c3d4', model => '<b>', prompt => 9);
my $event = until_event($one, 'queries');

cmp_ok(time() - $began, '<', 1, 'a request is told within a second');
is($event->{data}{count}, 1, '.. one');
is($event->{data}{queries}[0]{model}, '<b>', '.. with its model');
unlike($event->{text}, qr/<b>/, '.. not as markup');
is_deeply($event->{data}{queries}[0], $s->json('/queries/4'),
          '.. as /queries has it');
is(until_event($one, 'health')->{data}{totals}{requests}, 4,
   '.. and the totals follow');

# many are told as few, and never more than a few times a second

$began = time();
my $chunks = $one->{chunks};

$f->request(seq => 5, count => 5000, key => 'a1b2c3d4');
$f->acked(5004);

my ($count, $most, $last) = (0, 0, 0);

while ($last < 5004) {
    $event = until_event($one, 'queries') or last;

    my $list = $event->{data}{queries};

    $count += $event->{data}{count};
    $last = $list->[0]{id};
    $most = @$list if @$list > $most;
}

is($count, 5000, '5,000 requests are counted');
is($most, 25, '.. and the newest of them shown');
read_some($one, 0.1) while time() - $began < 3;
cmp_ok($one->{chunks} - $chunks, '<=', 4 * (time() - $began) + 1,
       '.. four times a second at the most');

# keys and lines

$f->do('keystate', key => 'a1b2c3d4', in_flight => 2, usage => 77,
       status => 'ok');
$event = until_event($one, 'keys');
is(scalar @{ $event->{data} }, 1, 'one key has moved');
is($event->{data}[0]{in_flight}, 2, '.. in flight');
is($event->{data}[0]{usage_2h}, 77, '.. usage');
is_deeply($event->{data}[0], $s->json('/stats/keys')->[0],
          '.. as /stats/keys has it');

# what runs: each list in the place of the one before

sub running {
    my ($total, @rows) = @_;

    $f->do('running', %$_) for @rows;
    $f->do('running_end', total => $total, waiting => 1);
    return until_event($one, 'running',
                       sub { $_[0]{data}{total} == $total })->{data};
}

my $now = int(time() * 1000);
my $list = running(9, { id => 2, time => $now, end => 6, model => '<i>',
                        queue => 70, status => 0 },
                      { id => 1, time => $now - 5000, key => 'a1b2c3d4',
                        client_name => 'anna', completion => 12,
                        attempts => [ { key => 'b1b2c3d4', status => 429 } ] });

is($list->{waiting}, 1, 'requests that run: how many wait');
is(scalar @{ $list->{requests} }, 2, '.. those that were told');
is($list->{requests}[0]{client_name}, 'anna', '.. the longest first');
is($list->{requests}[0]{phase}, 'answering', '.. where it is');
is($list->{requests}[0]{key}, 'team-a', '.. its key');
is($list->{requests}[0]{attempts}[0]{key}, 'team-b', '.. the one before');
is($list->{requests}[0]{attempts}[0]{status}, 429, '.. what that had said');
is($list->{requests}[1]{phase}, 'waiting', '.. one waits');
is($list->{requests}[1]{key}, undef, '.. without a key');
is($list->{requests}[1]{queue_ms}, 70, '.. and how long');
is($list->{requests}[1]{model}, '<i>', '.. any model');
is_deeply($list, $s->json('/stats/running'), '.. as /stats/running has it');

$began = time();
$list = running($_, { id => $_ }) for 10 .. 14;
is(scalar @{ $list->{requests} }, 1, 'another list takes the place of it');
cmp_ok(time() - $began, '>', 1.5, '.. told twice a second at the most');

$f->do('running', id => 99);
$f->connect;
$list = running(15, { id => 3 });
is(scalar @{ $list->{requests} }, 1, 'half a list of a lost connection is none');

is(scalar @{ running(9000, map { { id => $_, user_agent => 'x' x 250 } }
                               1 .. 3000)->{requests} }, 50, 'any number');
is(scalar @{ $s->json('/stats/running?limit=1000')->{requests} }, 1000,
   '.. of which the most is kept');
is($s->json('/stats/running')->{total}, 9000, '.. and all are counted');

# a page that comes between two tellings hears what the others never did

running(0);
$f->do('running', id => 4);
$f->do('running_end', total => 1, waiting => 1);
poll { $s->json('/stats/running')->{total} == 1 } 'the list is there';

my $late = listen_to();

is(until_event($late, 'running')->{data}{total}, 1, 'a page hears of one more');
$f->do('running_end', total => 0, waiting => 1);
$began = time();
ok(until_event($late, 'running', sub { $_[0]{data}{total} == 0 }),
   '.. and that it has ended');
cmp_ok(time() - $began, '<', 2, '.. soon');
close $late->{socket};

# another connection of the same proxy, as an exiting worker opens one

my $other = $s->frames;

$f->do('running', id => 7, time => $now);
$other->do('running', id => 8, time => $now);
$list = running(2, { id => 9, time => $now });
is(scalar @{ $list->{requests} }, 2, 'a list belongs to its connection');

$_->close for $f, $other;
is(scalar @{ $s->json('/stats/running')->{requests} }, 2,
   'a proxy that connects anew goes on');
is(until_event($one, 'running', sub { $_[0]{data}{total} == 0 })->{data}
   ->{requests}[0], undef, 'one that has gone runs nothing');
$f->connect;

my $syslog = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
                                   Peer => $s->path('log')) or die;

sub logged {
    $syslog->send("<187>Nov 22 20:43:00 nginx: 2026/11/22 20:43:00 [error] @_");
}

logged('ouch');
$event = until_event($one, 'logs');
is($event->{data}[-1]{message}, 'ouch', 'a line of the log');
is($event->{data}[-1]{level}, 'error', '.. its level');

# going away and coming back

my $id = $event->{id};
close $one->{socket};
$f->request(seq => 5005, count => 7, model => 'missed');
$f->acked(5011);
logged('missed');

my $two = listen_to(headers => { 'Last-Event-ID' => $id });
$event = until_event($two, 'queries');
is($event->{data}{count}, 7, 'what was missed comes again');
is($event->{data}{queries}[-1]{model}, 'missed', '.. the requests');
$event = until_event($two, 'logs');
is($event->{data}[-1]{message}, 'missed', '.. and the lines');

my $three = listen_to();
until_event($three, 'keys');
read_some($three, 0.3);
is(scalar(grep { $_->{event} eq 'queries' } @{ $three->{events} }), 0,
   'whoever is new hears nothing old');

my $script = listen_to(uri => "/events?last=$id");
is(until_event($script, 'queries')->{data}{count}, 7,
   'a script may say where it was, too');
close $script->{socket};

# all hear the same

$f->request(seq => 5012, model => 'both');
$f->acked(5012);

for ($two, $three) {
    is(until_event($_, 'queries')->{data}{queries}[0]{model}, 'both',
       'both hear it');
}

for my $wrong (qw/ x 1 1. .1 1.x -1.0 1.2.3 /, '9' x 30 . '.1') {
    is($s->get('/events', headers => { 'Last-Event-ID' => $wrong })->{status},
       400, "Last-Event-ID: $wrong");
    is($s->get("/events?last=$wrong")->{status}, 400, '.. nor last');
}

my $head = $s->get('/events', method => 'HEAD');
is($head->{status}, 200, 'HEAD ends');
is($head->{body}, '', '.. without a body');

# a heartbeat

$began = time();
my $beat;
while (!$beat && time() - $began < 15) {
    read_some($three, 0.5);
    $beat = grep { $_->{text} =~ /^: heartbeat$/m } @{ $three->{seen} };
}
ok($beat, 'a heartbeat when nothing happens');

# whoever does not read is dropped, the others are not

close $two->{socket};

my $deaf = listen_to(rcvbuf => 1);
my $seq = 5012;

for my $round (1 .. 120) {
    $f->request(seq => $seq + 1, count => 60, user_agent => 'x' x 250,
                reason => 'y' x 250);
    $seq += 60;
    logged('z' x 1900) for 1 .. 40;
    read_some($three, 0.2);
    last if $s->output =~ /does not read is dropped/;
}
like($s->output, qr/does not read is dropped/, 'whoever does not read is dropped');
ok($f->acked($seq), '.. and holds nobody up');
$f->request(seq => ++$seq, model => 'on');
ok(until_event($three, 'queries', sub { $_[0]{data}{queries}[0]{model} eq 'on' }),
   '.. others hear on');

# not more than there may be

my @many = map { listen_to() } 1 .. 70;

for my $l (@many) {
    read_some($l, 2) until $l->{status} || $l->{ended};
}

is(scalar(grep { $_->{status} == 200 } @many), 63, 'there may be many');
is(scalar(grep { $_->{status} == 503 } @many), 7, '.. but not any number');
close $_->{socket} for @many;
ok(poll { my $l = listen_to(); read_some($l, 2); $l->{status} == 200 }
   'who goes makes room', 10);

# the daemon goes while they listen

is($s->stop, 0, 'a clean end under listeners');
ok(poll { read_some($three, 0.05); $three->{ended} } 'they see the end', 5);
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

# .. and when it comes back, the stream goes on where it was

my $resume = $three->{last_id};
$s->launch;
$f->connect;
$f->request(seq => $seq + 1, model => 'after');
$f->acked($seq + 1);

my $four = listen_to(headers => { 'Last-Event-ID' => $resume });
$event = until_event($four, 'queries');
is($event->{data}{queries}[0]{model}, 'after', 'after a restart it goes on');
is($event->{data}{count}, 1, '.. with nothing twice');

done_testing();


sub listen_to {
    my (%how) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $s->path('http')) or die;
    my %headers = (Host => 'localhost', %{ $how{headers} // {} });
    my $uri = $how{uri} // '/events';

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, pack 'i', 4096 if $how{rcvbuf};
    print $socket "GET $uri HTTP/1.1\r\n",
                  map({ "$_: $headers{$_}\r\n" } sort keys %headers), "\r\n";
    $socket->flush;
    $socket->blocking(0);

    return { socket => $socket, raw => '', text => '', events => [],
             seen => [], headers => {}, chunks => 0 };
}


sub read_some {
    my ($l, $seconds) = @_;
    my $in = '';

    return if $l->{ended};
    vec($in, fileno $l->{socket}, 1) = 1;
    return unless select $in, undef, undef, $seconds;

    my $n = sysread $l->{socket}, $l->{raw}, 262144, length $l->{raw};
    $l->{ended} = 1 if defined $n && $n == 0;

    if (!$l->{status}) {
        $l->{raw} =~ s/^HTTP\/1\.1 (\d+)[^\r]*\r\n(.*?)\r\n\r\n//s or return;
        $l->{status} = $1;
        /^([^:]+):\s*(.*)/ and $l->{headers}{lc $1} = $2 for split /\r\n/, $2;
    }

    # chunks
    while ($l->{raw} =~ /^([0-9a-f]+)\r\n/i) {
        my ($size, $at) = (hex $1, $+[0]);

        last if length $l->{raw} < $at + $size + 2;
        $l->{text} .= substr $l->{raw}, $at, $size;
        substr($l->{raw}, 0, $at + $size + 2) = '';
        $l->{chunks}++;
        $l->{ended} = 1 if $size == 0;
    }

    while ($l->{text} =~ s/^(.*?)\n\n//s) {
        my %event = (text => $1);

        /^(\w+): (.*)/ and $event{$1} = $2 for split /\n/, $event{text};
        next unless $event{event};
        $event{data} = $Statsd::json->decode($event{data});
        $l->{last_id} = $event{id};
        push @{ $l->{events} }, \%event;
        push @{ $l->{seen} }, \%event;
    }
}


# the next event of a kind (for which a condition holds)

sub until_event {
    my ($l, $name, $condition) = @_;
    my $end = time() + 12;

    while (time() < $end) {
        while (my $event = shift @{ $l->{events} }) {
            next if $event->{event} ne $name;
            return $event if !$condition || $condition->($event);
        }
        last if $l->{ended};
        read_some($l, 0.1);
    }

    return;
}
