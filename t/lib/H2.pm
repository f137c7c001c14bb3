package H2;

# A server that speaks HTTP/2 in clear text and sends exactly the frames it is
# told to, also halves of them.  It stands in for a cloud whose answers no nginx
# in front of the simulator could be made to give.
#
#     my $h2 = H2->start(port => Process::port(), answers => {
#         'model-1' => [ [ 'head:401', 'data:{"error":"unauthorized"}', 'end' ],
#                        [ 'head:200', '+data:{"done":true}' ] ] });
#
#     $h2->seen                  "connection:stream model", one for each request
#
# The requests for a model get its answers in turn, then the last one for ever.
# An answer is a list of steps:
#
#     head:STATUS [NAME=VALUE ..]   HEADERS;  +head: with END_STREAM
#     data:BYTES                    DATA;     +data: with END_STREAM
#     padded:BYTES                  DATA with 7 bytes of padding
#     half:BYTES                    a DATA frame's header and the first half of
#                                   it, then a moment, then the other half
#     torn:BYTES                    all of a DATA frame but its last four bytes
#     end                           an empty DATA frame with END_STREAM
#     trailers                      HEADERS with END_STREAM behind the body
#     ping                          PING
#     pause                         a moment, in which the peer has read it all
#     close                         the connection is closed
#
# Nothing of what was sent in the request's headers is looked at.

use warnings;
use strict;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Process;
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;
use Time::HiRes qw/ sleep /;

use constant { DATA => 0, HEADERS => 1, SETTINGS => 4,
               PING => 6, WINDOW_UPDATE => 8,
               END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8 };


sub start {
    my ($class, %self) = @_;

    my $self = bless \%self, $class;

    $self->{process} = Process->start([ $^X, '-I', "$Process::root/t/lib",
        '-MH2', '-e', 'H2::serve(@ARGV)', $self->{port},
        JSON::PP->new->canonical->encode($self->{answers}) ], name => 'h2');

    $self->{process}->says(qr/^listening$/m)
        or Test::More::BAIL_OUT($self->{process}->output);

    return $self;
}


sub seen {
    my ($self) = @_;
    return grep { /^\d+:/ } split /\n/, $self->{process}->output;
}


sub stop { $_[0]{process}->stop }


# what the child does

sub serve {
    my ($port, $answers) = @_;
    my (%connections, %turns);
    my $n = 0;

    local $SIG{PIPE} = 'IGNORE';
    $| = 1;
    $answers = decode_json($answers);

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
                                       LocalPort => $port, ReuseAddr => 1)
        or die "listen: $!\n";
    my $select = IO::Select->new($listen);

    print "listening\n";

    while (1) {
        for my $socket ($select->can_read) {
            if ($socket == $listen) {
                my $new = $listen->accept or next;

                $new->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
                $connections{$new} = { n => ++$n, in => '', preface => 1,
                                       bodies => {} };
                $select->add($new);
                put($new, frame(SETTINGS, 0, 0, ''));
                next;
            }

            my $c = $connections{$socket};

            if (!sysread $socket, $c->{in}, 65536, length $c->{in}) {
                $select->remove($socket);
                close $socket;
                next;
            }

            for my $request (requests($socket, $c)) {
                my ($stream, $body) = @$request;
                my $model = (eval { decode_json($body) } // {})->{model} // '';
                my $list = $answers->{$model} // [ [ 'head:404', 'end' ] ];
                my $turn = $turns{$model}++;

                print "$c->{n}:$stream $model\n";

                answer($socket, $stream, $list->[$turn] // $list->[-1])
                    or next;
                $select->remove($socket);
                close $socket;
                last;
            }
        }
    }
}


# the requests that are complete: [ stream, body ]

sub requests {
    my ($socket, $c) = @_;
    my @done;

    if ($c->{preface}) {
        return if length $c->{in} < 24;
        substr($c->{in}, 0, 24) = '';
        $c->{preface} = 0;
    }

    while (length $c->{in} >= 9) {
        my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $c->{in};
        my $length = $high << 16 | $low;

        last if length $c->{in} < 9 + $length;

        my $payload = substr $c->{in}, 9, $length;
        substr($c->{in}, 0, 9 + $length) = '';

        if ($type == SETTINGS && !($flags & ACK)) {
            put($socket, frame(SETTINGS, ACK, 0, ''));

        } elsif ($type == PING && !($flags & ACK)) {
            put($socket, frame(PING, ACK, 0, $payload));

        } elsif ($type == DATA || $type == HEADERS) {
            $c->{bodies}{$stream} .= $type == DATA ? $payload : '';

            put($socket, frame(WINDOW_UPDATE, 0, $_, pack 'N', $length))
                for $type == DATA && $length ? (0, $stream) : ();

            push @done, [ $stream, delete $c->{bodies}{$stream} ]
                if $flags & END_STREAM;
        }
    }

    return @done;
}


# true: the connection is to be closed

sub answer {
    my ($socket, $stream, $steps) = @_;

    for my $step (@$steps) {
        my ($last, $name, $value) = $step =~ /^(\+?)(\w+):?(.*)$/s;
        my $end = $last ? END_STREAM : 0;

        if ($name eq 'head') {
            my ($status, @fields) = split / /, $value;

            put($socket, frame(HEADERS, $end | END_HEADERS, $stream,
                fields(":status=$status", @fields)));

        } elsif ($name eq 'data') {
            put($socket, frame(DATA, $end, $stream, $value));

        } elsif ($name eq 'padded') {
            put($socket, frame(DATA, $end | PADDED, $stream,
                               "\x07$value" . "\0" x 7));

        } elsif ($name eq 'half' || $name eq 'torn') {
            my $frame = frame(DATA, $end, $stream, $value);
            my $cut = $name eq 'torn' ? length($frame) - 4
                                      : 9 + int(length($value) / 2);

            put($socket, substr $frame, 0, $cut);
            next if $name eq 'torn';
            sleep(0.3);
            put($socket, substr $frame, $cut);

        } elsif ($name eq 'end') {
            put($socket, frame(DATA, END_STREAM, $stream, ''));

        } elsif ($name eq 'trailers') {
            put($socket, frame(HEADERS, END_STREAM | END_HEADERS, $stream,
                               fields('x-trailer=1')));

        } elsif ($name eq 'ping') {
            put($socket, frame(PING, 0, 0, 'whatever'));

        } elsif ($name eq 'pause') {
            sleep(0.3);

        } elsif ($name eq 'close') {
            return 1;

        } else {
            die "no such step: $step\n";
        }
    }

    return 0;
}


# literals without an index, names and values shorter than 127 bytes

sub fields {
    return join '', map {
        my ($name, $value) = split /=/, $_, 2;
        pack 'C C/a* C/a*', 0, $name, $value;
    } @_;
}


sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    my $length = length $payload;

    return pack('CnCCN', $length >> 16, $length & 0xffff, $type, $flags,
                $stream) . $payload;
}


sub put {
    my ($socket, $bytes) = @_;

    while (length $bytes) {
        my $n = syswrite $socket, $bytes;

        return unless defined $n;
        substr($bytes, 0, $n) = '';
    }
}


1;
