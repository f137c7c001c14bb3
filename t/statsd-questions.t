# Questions to the ledger: records do not wait for them, who asks the same gets
# one answer, and a question that nobody waits for is taken back.

use warnings;
use strict;

use Compress::Zlib;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::UNIX;
use Poll;
use Statsd;
use Test::More;
use Time::HiRes qw/ time sleep /;

my $day = 86400_000;
my $rows = $ENV{SANITIZE} ? 60_000 : 200_000;

my $s = Statsd->start;
my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'team-a' } ]);
my ($seq, $slow) = (0, 0);

fresh();
packed();
filled();
records_first();
once();
taken_back();
half_closed();
too_many();

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
done_testing();


# who has heard of a record sees it, however soon it asks

sub fresh {
    my @late;

    for my $n (1 .. 50) {
        $f->request(seq => ++$seq, key => 'a1b2c3d4', model => "m$n");
        $f->acked($seq);
        push @late, "$n queries"
            if $s->json('/queries?limit=1')->[0]{model} ne "m$n";

        my $sum = 0;
        $sum += $_->{requests} for @{ $s->json('/stats/minute?by=all') };
        push @late, "$n minutes" if $sum < $n;
    }
    is("@late", '', 'what is acknowledged is in the next answer');
}


# with gzip, if the asker takes it and it pays

sub packed {
    my $plain = $s->get('/queries?limit=50');
    my $packed = $s->get('/queries?limit=49',
                         headers => { 'Accept-Encoding' => 'deflate, gzip' });

    is($plain->{headers}{'content-encoding'}, undef, 'as it is');
    is($packed->{headers}{'content-encoding'}, 'gzip', 'with gzip');
    is($packed->{headers}{vary}, 'Accept-Encoding', '.. as it says');
    cmp_ok(length $packed->{body}, '<', length($plain->{body}) / 3, '.. shorter');
    is(scalar @{ $Statsd::json->decode(Compress::Zlib::memGunzip($packed->{body})) },
       49, '.. and whole');
    is($s->get('/queries?limit=1', headers => { 'Accept-Encoding' => 'gzip' })
         ->{headers}{'content-encoding'}, undef, 'a short one is not packed');

    my $head = $s->get('/queries?limit=48', method => 'HEAD',
                       headers => { 'Accept-Encoding' => 'gzip' });

    is($head->{status} . $head->{body}, '200', 'HEAD has no body');
}


# so many combinations that a question takes its time

sub filled {
    $f->request(seq => $seq + 1, count => $rows, clients => 10_000,
                models => 20, prompt => 1, ms => 120_000);
    ok($f->acked($seq + $rows, 120_000), 'a large ledger');
    $seq += $rows;

    my $began = time;
    $s->json('/stats?limit=10000&to=2100-01-01');
    $slow = time - $began;
    note("one question takes $slow s");
}


# each of them is another one

sub slow_uri { '/stats?by=client&limit=9999&from=2001-01-01&to=' . (4e9 + 3600 * $_[0]) }


sub client {
    my ($uri, %headers) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $s->path('http')) or die;

    print $socket join("\r\n", "GET $uri HTTP/1.1", 'Host: localhost',
                       'Connection: close',
                       map({ "$_: $headers{$_}" } keys %headers), '', '');
    $socket->flush;
    return $socket;
}


# the whole answers

sub answers {
    my @open = @_;
    my $wait = IO::Select->new(@open);
    my (%raw, $end);

    $end = time + 60;
    while ($wait->count && time < $end) {
        for my $socket ($wait->can_read(1)) {
            next if sysread $socket, $raw{$socket}, 1 << 20,
                            length($raw{$socket} // '');
            $wait->remove($socket);
        }
    }
    return map { $raw{$_} // '' } @open;
}


sub reads {
    my ($n) = $s->get('/metrics')->{body}
        =~ /^ollama_statsd_read_seconds_count (\d+)/m;
    return $n;
}


# more questions than there are readers: records are written meanwhile

sub records_first {
    my @open = map { client(slow_uri($_)) } 1 .. 12;
    my $waiting = IO::Select->new(@open);
    my $began = time;

    sleep 0.02;
    $f->request(seq => ++$seq, model => 'meanwhile');
    ok($f->acked($seq), 'a record in the midst of questions');
    my $took = time - $began;
    my $quick = $s->get('/stats/running')->{status};
    my $unanswered = 12 - scalar(() = $waiting->can_read(0));

    is($quick, 200, '.. and what need not be read');
    cmp_ok($unanswered, '>', 0, ".. is acknowledged before all have an answer"
           . " ($unanswered of 12 wait, $took s)");

    # of which a slow machine says that it took too long
    my @said = answers(@open);
    is(scalar(grep { m!^HTTP/1.1 (?:200|503)! } @said), 12,
       '.. and each gets one');
    cmp_ok(scalar(grep { m!^HTTP/1.1 200! } @said), '>', 2,
           '.. most of what was asked');
}


# one question of many pages

sub once {
    my $before = reads();
    my @answers = answers(map { client(slow_uri(100)) } 1 .. 100);

    is(scalar(grep { m!^HTTP/1.1 200! } @answers), 100, 'a hundred ask the same');
    cmp_ok(reads() - $before, '<=', 4, '.. which is read once, or nearly');
    my %bodies = map { (split /\r\n\r\n/, $_, 2)[1] => 1 } @answers;
    cmp_ok(scalar keys %bodies, '<=', 4, '.. and is one answer');

    # .. while records come in, too

    my $end = time + 2;
    my ($asked, $read) = (0, reads());

    while (time < $end) {
        $f->request(seq => ++$seq, model => 'more');
        my @open = map { client(slow_uri(101)) } 1 .. 10;
        $f->acked($seq);
        answers(@open);
        $asked += 10;
    }
    cmp_ok(reads() - $read, '<', $asked / 2,
           "all the time: $asked answers, read " . (reads() - $read) . ' times');
}


# who leaves takes its question along

sub taken_back {
    my $before = reads();
    my $began = time;
    my @open = map { client(slow_uri(200 + $_)) } 1 .. 100;

    eventually { reads() > $before } 'a hundred questions';
    close $_ for @open;
    is($s->get('/queries?limit=2&model=meanwhile')->{status}, 200,
       '.. left: the next one is answered');
    sleep 0.3;
    my $read = reads() - $before;
    cmp_ok($read, '<', 60, ".. they are not read for nobody ($read were)");
    eventually { $s->health->{readers}{connections} <= 2 }
               '.. and no connection is left';
}


# one that only says that it has said all

sub half_closed {
    my $socket = client(slow_uri(400));

    shutdown $socket, 1;
    my ($answer) = answers($socket);
    like($answer, qr!^HTTP/1.1 200!, 'who is still there gets its answer');
}


# as many as there is no time for

sub too_many {
    my @answers = answers(map { client(slow_uri(1000 + $_)) } 1 .. 400);
    my @refused = grep { m!^HTTP/1.1 503! } @answers;

    cmp_ok(scalar @refused, '>', 0, 'very many questions: some are refused');
    is(scalar(grep { !/^Retry-After: \d/mi } @refused), 0, '.. for a while');
    is(scalar(grep { !m!^HTTP/1.1 (?:200|503)! } @answers), 0,
       '.. each has an answer');
    is($s->json('/queries?limit=1')->[0]{model}, 'more', 'and it goes on');
    $f->request(seq => ++$seq, model => 'last');
    ok($f->acked($seq), '.. with records, too');
}
