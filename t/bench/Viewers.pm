package Viewers;

# Pages of the dashboard, as the daemon sees them: what they ask, and how often.
# The intervals are those of dashboard/*.js while records come in all the time.
#
#     my $viewers = Viewers->new($socket, 20);
#     my $said = $viewers->run(20);      seconds
#
# gives { asked, failed, p50, p95, max, worst, events }: how many questions were
# asked, how many not answered with 200, milliseconds to the last byte, the kind
# whose p95 is the highest, and how many events came over all streams.
#
# Each page has settings of its own: a window and a kind of the chart, a kind of
# the sums.  Three of five have a stream of events, the others ask every five
# seconds, as those of a browser do that has more than three open.  They are
# opened one after another within the first seconds, and what a page asks for
# when it is opened counts as well.

use warnings;
use strict;

use IO::Select;
use IO::Socket::UNIX;
use POSIX qw/ strftime /;
use Time::HiRes qw/ time /;

our %window = (10 => 1, 60 => 1, 120 => 2, 240 => 5, 360 => 5, 720 => 10,
               1440 => 20);

our $top = 40;       # of a chart's names: MOST of usage.js

my @windows = sort { $a <=> $b } keys %window;
my $opening = 3;     # seconds


# the n-th best of a hundred

sub percentile {
    my ($percent, @sorted) = @_;
    my $at = int(@sorted * $percent / 100);

    return $sorted[$at > $#sorted ? -1 : $at] // 0;
}


# the sums of a day, as the page asks for them: from, to

sub iso { strftime '%Y-%m-%dT%H:%M:%SZ', gmtime $_[0] }

sub days {
    my $now = time();
    my $begin = int($now / 3600) * 3600 - 23 * 3600;
    my $today = int($now / 86400) * 86400;

    return ([ $today, $today + 86400 ], [ $begin, $today ]);
}


sub sums {
    my ($by, $day) = @_;

    return "/stats?by=$by&limit=10000&from=" . iso($day->[0]) . '&to='
           . iso($day->[1]);
}


sub new {
    my ($class, $socket, $n) = @_;
    my $self = bless { socket => $socket, select => IO::Select->new,
                       open => {}, times => {}, asked => 0, failed => 0,
                       events => 0 }, $class;

    $self->{pages} = [ map { $self->page($_, $n) } 0 .. $n - 1 ];

    return $self;
}


# what it asks for: once; then every so many seconds; that is, when a request
# has come, and not sooner

sub page {
    my ($self, $i, $n) = @_;
    my $by = (qw/ model key client /)[$i % 3];
    my $sums = (qw/ model hour client key all /)[$i % 5];
    my $span = $windows[$i % @windows];
    my $streams = $i % 5 < 3;
    my $last = 0;

    my @often = (
        [ 2, sub { '/stats/24h?hours=48' } ],
        [ 3, sub { "/stats/minute?window=$span&step=$window{$span}&by=$by"
                   . "&top=$top" } ],
        [ 5, sub { sums($sums, (days())[0]) } ],
        [ 10, sub { '/stats/minute?window=5&by=all' } ],
        [ 15, sub { '/stats/minute?window=120&step=5&by=key' } ],
    );

    if (!$streams) {
        $_->[0] = 5 for grep { $_->[0] < 5 } @often;
        push @often, map { my $uri = $_; [ 5, sub { $uri } ] }
                     '/stats/health', '/stats/keys',
                     '/stats/running?limit=50', '/queries?limit=50&after=1',
                     '/logs?limit=200&after=1';
    }

    my $at = $opening * $i / $n;

    return { at => $at, streams => $streams,
             once => [ '/queries?limit=50', '/stats/running?limit=50',
                       '/stats/events?limit=30', '/logs?limit=300',
                       sums($sums, (days())[1]) ],
             often => [ map { { every => $_->[0], uri => $_->[1],
                                due => $at } } @often ] };
}


sub run {
    my ($self, $seconds) = @_;
    my $began = time();

    while ((my $now = time() - $began) < $seconds) {
        $self->due($_, $now) for @{ $self->{pages} };
        $self->take($_) for $self->{select}->can_read(0.005);
    }

    # those that are late are late
    my $end = time() + 10;

    while (time() < $end && grep { !$_->{stream} } values %{ $self->{open} }) {
        $self->take($_) for $self->{select}->can_read(0.005);
    }

    $self->{failed} += grep { !$_->{stream} } values %{ $self->{open} };
    close $_->{socket} for values %{ $self->{open} };

    return $self->said;
}


sub due {
    my ($self, $page, $now) = @_;

    return if $now < $page->{at};

    if (!$page->{opened}++) {
        $self->ask('/events', stream => 1) if $page->{streams};
        $self->ask($_) for @{ $page->{once} };
    }

    for my $often (@{ $page->{often} }) {
        next if $now < $often->{due};

        $often->{due} = $now + $often->{every};
        $self->ask($often->{uri}->());
    }
}


sub ask {
    my ($self, $uri, %how) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $self->{socket});

    $self->{asked}++ unless $how{stream};

    if (!$socket) {
        $self->{failed}++;
        return;
    }

    my $ask = { %how, uri => $uri, socket => $socket, began => time(),
                got => '' };

    syswrite $socket, "GET $uri HTTP/1.1\r\nHost: localhost\r\n"
                      . "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n";
    $socket->blocking(0);
    $self->{select}->add($socket);
    $self->{open}{fileno $socket} = $ask;
}


sub take {
    my ($self, $socket) = @_;
    my $ask = $self->{open}{fileno $socket} or return;
    my $n = sysread $socket, my $part, 262144;

    return if !defined $n && $!{EAGAIN};

    if ($n) {
        $ask->{got} .= $part if length $ask->{got} < 100;
        $self->{events} += () = $part =~ /^event:/mg if $ask->{stream};
        return;
    }

    my $now = time();

    $self->{select}->remove($socket);
    delete $self->{open}{fileno $socket};
    close $socket;

    # a stream does not end
    $self->{failed}++ if $ask->{stream} || $ask->{got} !~ m!^HTTP/1.1 200 !;
    return if $ask->{stream};

    my ($kind, $by) = $ask->{uri} =~ /^([^?]*)(?:.*\b(by=\w+))?/;

    push @{ $self->{times}{join ' ', grep { defined } $kind, $by} },
         ($now - $ask->{began}) * 1000;
}


sub said {
    my ($self) = @_;
    my %p95 = map { $_ => percentile(95, sort { $a <=> $b }
                                         @{ $self->{times}{$_} }) }
              keys %{ $self->{times} };
    my @all = sort { $a <=> $b } map { @$_ } values %{ $self->{times} };
    my ($worst) = sort { $p95{$b} <=> $p95{$a} } keys %p95;

    return { asked => $self->{asked}, failed => $self->{failed},
             events => $self->{events}, p50 => percentile(50, @all),
             p95 => percentile(95, @all), max => $all[-1] // 0,
             worst => sprintf '%s %.0f', $worst // '', $p95{$worst // ''} // 0 };
}


1;
