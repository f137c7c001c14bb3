package Http;

# An HTTP/1.1 client on bare sockets.  It sends exactly the bytes it is told
# to, keeps every byte that comes back together with the moment it came, and
# drives any number of exchanges at once, each of which can be dropped at any
# point.
#
#     my $http = Http->new(port => 11434, headers => [ 'X-Api-Key' => 't' ]);
#
#     $http->get('/uri', %how)                 one exchange, finished
#     $http->post('/uri', { json }, %how)
#     $http->request('PUT', '/uri', %how)
#     $http->start('GET', '/uri', %how)        one exchange, under way
#     Http::finish(@exchanges)                 many at once, all finished
#
# %how:  headers => [ name => value, ... ]     added to the client's own
#        only    => 1                          without the client's own
#        body => bytes | json => value | chunked => [ bytes, ... ]
#        raw  => bytes                         the whole request as it is
#        on   => exchange                      on its kept-alive connection
#        timeout => seconds                    default 20
#
# An exchange (Http::Exchange) tells status, header(name), headers(name),
# body, json, raw (all bytes), pieces ([ time, bytes ] of the decoded body),
# sent (time), complete, error.

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Socket qw/ SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY /;
use Time::HiRes qw/ time /;

our $json = JSON::PP->new->utf8->canonical->allow_nonref;

# called with each exchange's bytes when it ends; see Proxy.pm
our $inspect;


sub new {
    my ($class, %self) = @_;

    $self{host} //= '127.0.0.1';
    $self{headers} //= [];

    return bless \%self, $class;
}


sub get {
    my ($self, $uri, %how) = @_;
    return $self->request('GET', $uri, %how);
}


sub post {
    my ($self, $uri, $value, %how) = @_;

    $how{json} = $value if ref $value;
    $how{body} = $value if defined $value && !ref $value;

    return $self->request('POST', $uri, %how);
}


sub request {
    my ($self, $method, $uri, %how) = @_;

    my $exchange = $self->start($method, $uri, %how);
    finish($exchange);

    return $exchange;
}


sub start {
    my ($self, $method, $uri, %how) = @_;

    my $out = $how{raw} // $self->message($method, $uri, %how);
    my ($socket, $unread) = (undef, '');

    if ($how{on}) {
        $socket = $how{on}{socket};
        $unread = $how{on}{unread};

    } else {
        $socket = IO::Socket::INET->new(Proto => 'tcp',
                                        PeerAddr => $self->{host},
                                        PeerPort => $self->{port})
            or die "cannot connect to $self->{host}:$self->{port}: $!\n";

        $socket->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
        $socket->blocking(0);
    }

    my $exchange = bless { socket => $socket, method => $method, uri => $uri,
                           out => $out, raw => $unread, unread => $unread,
                           body => '', pieces => [], fields => [],
                           request => $out, keep => $how{keep},
                           trusted => $self->{trusted},
                           sent => time(),
                           deadline => time() + ($how{timeout} // 20) },
                         'Http::Exchange';

    # an answer pipelined behind the last one may be here already
    $exchange->parse(time()) if length $unread;
    $exchange->end() if $exchange->{complete};

    return $exchange;
}


sub message {
    my ($self, $method, $uri, %how) = @_;

    my $body = $how{body};
    my @headers = @{ $how{headers} // [] };

    unshift @headers, @{ $self->{headers} } unless $how{only};

    if (exists $how{json}) {
        $body = $json->encode($how{json});
        unshift @headers, 'Content-Type' => 'application/json';
    }

    if ($how{chunked}) {
        push @headers, 'Transfer-Encoding' => 'chunked';
        $body = join '', map { sprintf("%x\r\n%s\r\n", length, $_) }
                             @{ $how{chunked} }, '';

    } elsif (defined $body) {
        push @headers, 'Content-Length' => length $body;

    } else {
        push @headers, 'Content-Length' => 0 if $method eq 'POST';
        $body = '';
    }

    my %given = map { lc $_ => 1 } grep { defined } @headers;

    unshift @headers, 'Connection' => $how{keep} ? 'keep-alive' : 'close'
        unless $given{connection};
    unshift @headers, 'Host' => "localhost:$self->{port}"
        unless $given{host};

    my $head = "$method $uri HTTP/1.1\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return "$head\r\n$body";
}


# one look at all sockets: writes what can be written, reads what came

sub turn {
    my ($seconds, @exchanges) = @_;

    my (%by_fd, $in, $out);

    ($in, $out) = ('', '');

    for my $exchange (grep { !$_->{ended} } @exchanges) {
        my $fd = fileno $exchange->{socket};

        $by_fd{$fd} = $exchange;
        vec($in, $fd, 1) = 1;
        vec($out, $fd, 1) = 1 if length $exchange->{out};
    }

    return 0 unless %by_fd;

    select($in, $out, undef, $seconds);

    for my $fd (keys %by_fd) {
        $by_fd{$fd}->write if vec($out, $fd, 1);
        $by_fd{$fd}->read if vec($in, $fd, 1);
    }

    return 1;
}


# turns until the condition holds, every exchange has ended, or time is up

sub until {
    my ($condition, @exchanges) = @_;

    while (!$condition->()) {
        my $now = time();

        for my $exchange (grep { !$_->{ended} } @exchanges) {
            $exchange->end("timed out") if $now > $exchange->{deadline};
        }

        turn(0.1, @exchanges) or return $condition->();
    }

    return 1;
}


sub finish {
    my (@exchanges) = @_;

    Http::until(sub { !grep { !$_->{ended} } @exchanges }, @exchanges);

    return @exchanges;
}


package Http::Exchange;

use warnings;
use strict;

use Time::HiRes qw/ time /;


sub status { $_[0]{status} // 0 }
sub body { $_[0]{body} }
sub raw { $_[0]{raw} }
sub pieces { @{ $_[0]{pieces} } }
sub sent { $_[0]{sent} }
sub complete { $_[0]{complete} }
sub error { $_[0]{error} }


# all values of a header, in the order in which they came

sub headers {
    my ($self, $name) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{fields} };
}


sub header {
    my ($self, $name) = @_;
    my @values = $self->headers($name);
    return @values ? join(', ', @values) : undef;
}


# the body as JSON, or nothing when it is none

sub json {
    my ($self) = @_;
    return eval { $Http::json->decode($self->{body}) };
}


# the body's lines, each as JSON

sub lines {
    my ($self) = @_;
    return map { eval { $Http::json->decode($_) } }
           grep { /\S/ } split /\n/, $self->{body};
}


# waits for the response's header, for so many bytes, or for a pattern

sub started {
    my ($self) = @_;
    return Http::until(sub { defined $self->{status} }, $self);
}


sub has {
    my ($self, $pattern) = @_;
    return Http::until(sub { $self->{body} =~ $pattern }, $self);
}


sub first {
    my ($self) = @_;
    return Http::until(sub { length $self->{body} }, $self);
}


# the client leaves: with a FIN, or with an RST

sub abort {
    my ($self, %how) = @_;

    $self->{socket}->setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER,
                                pack('II', 1, 0)) if $how{reset};

    $self->{keep} = 0;
    $self->end('aborted');

    return;
}


sub write {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $n = syswrite $self->{socket}, $self->{out}, 65536;

    if (defined $n) {
        substr($self->{out}, 0, $n) = '';

    } elsif (!$!{EAGAIN} && !$!{EINTR}) {
        # what the server has said already is still to be read
        $self->{out} = '';
    }
}


sub read {
    my ($self) = @_;

    my $n = sysread $self->{socket}, my $bytes, 65536;

    if (!defined $n) {
        return if $!{EAGAIN} || $!{EINTR};
        return $self->end("read: $!");
    }

    if ($n == 0) {
        $self->{complete} = 1 if $self->{until_close};
        return $self->end($self->{complete} ? undef : 'closed early');
    }

    $self->{raw} .= $bytes;
    $self->{unread} .= $bytes;

    $self->parse(time());
    $self->end() if $self->{complete};
}


sub end {
    my ($self, $error) = @_;

    return if $self->{ended};

    $self->{ended} = time();
    $self->{error} = $error;

    # an open socket would hold up nginx's lingering close
    close $self->{socket} unless $self->{keep};

    $Http::inspect->($self) if $Http::inspect && !$self->{trusted};
}


sub parse {
    my ($self, $now) = @_;

    while (!defined $self->{status}) {
        $self->{unread} =~ s/^(.*?)\r\n\r\n//s or return;

        my ($line, @fields) = split /\r\n/, $1;
        my ($status) = $line =~ m!^HTTP/1\.[01] (\d{3})!
            or return $self->end("not HTTP: $line");

        if ($status =~ /^1/) {
            push @{ $self->{interim} }, $status;
            next;
        }

        $self->{status} = $status;
        $self->{headed} = $now;
        $self->{fields} = [ map { [ /^([^:]*):\s*(.*?)\s*$/ ] } @fields ];

        my $coding = $self->header('transfer-encoding') // '';
        my $length = $self->header('content-length');

        if ($self->{method} eq 'HEAD' || $status =~ /^(204|304)$/) {
            $self->{left} = 0;

        } elsif ($coding =~ /chunked/i) {
            $self->{chunked} = 1;

        } elsif (defined $length) {
            $self->{left} = $length;

        } else {
            $self->{until_close} = 1;
        }
    }

    return $self->parse_chunked($now) if $self->{chunked};

    my $take = $self->{until_close} ? length $self->{unread} : $self->{left};

    $self->take($take, $now);
    $self->{complete} = 1 if !$self->{until_close} && $self->{left} == 0;
}


sub parse_chunked {
    my ($self, $now) = @_;

    while (1) {
        if ($self->{left}) {
            $self->take($self->{left}, $now);
            return if $self->{left};

            $self->{tail} = 1;
        }

        if ($self->{tail}) {
            $self->{unread} =~ s/^\r\n// or return;
            $self->{tail} = 0;
        }

        if ($self->{last}) {
            $self->{unread} =~ s/^.*?\r\n// or return;
            $self->{complete} = 1;
            return;
        }

        $self->{unread} =~ s/^([0-9a-f]+)[^\r\n]*\r\n//i or return;

        $self->{left} = hex $1;
        $self->{last} = $self->{left} == 0;
    }
}


sub take {
    my ($self, $n, $now) = @_;

    my $bytes = substr $self->{unread}, 0, $n, '';

    return unless length $bytes;

    $self->{left} -= length $bytes if $self->{left};
    $self->{body} .= $bytes;

    push @{ $self->{pieces} }, [ $now, $bytes ];
}


1;
