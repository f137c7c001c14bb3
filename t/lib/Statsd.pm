package Statsd;

# ollama-statsd by itself: started on a folder of its own, asked over its HTTP
# socket, fed by build/frames, which plays the module.
#
#     my $s = Statsd->start;
#     my $f = $s->frames(keys => [ { key => 'a1b2c3d4', name => 'team-a' } ]);
#
#     $f->request(seq => 1, prompt => 10, completion => 5);
#     ok($f->acked(1), 'committed');
#     is($s->json('/stats')->[0]{prompt_tokens}, 10, 'and counted');

use warnings;
use strict;

use Exporter qw/ import /;
use File::Temp qw/ tempdir /;
use IO::Socket::UNIX;
use IPC::Open2;
use JSON::PP;
use Poll;
use Process;
use Test::More ();
use Time::HiRes qw/ time /;

our @EXPORT = qw/ eventually /;
our $json = JSON::PP->new->canonical->utf8;

my @daemons;


# a test that something becomes true in some seconds

sub eventually(&$;$) {
    my ($condition, $name, $seconds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::ok(poll(\&$condition, undef, $seconds), $name);
}


# a tool of the build, made if it is not there yet

sub tool {
    my ($name) = @_;
    my $file = Process::build($name);

    return $file if -x $file;

    my $build = Process::build('');
    $build =~ s!/$!!;
    my $made = `cd '$Process::root' && make -s -f stats-daemon/statsd.mk \\
                BUILD='$build' '$build/$name' 2>&1`;
    Test::More::BAIL_OUT("$name cannot be built: $made") unless -x $file;

    return $file;
}


# the environment of a daemon that loads one of t/tools first; the libraries of a
# sanitizer, if there are any, come behind it

sub preload {
    my ($name, %env) = @_;

    return { %env, LD_PRELOAD => tool($name),
             ASAN_OPTIONS => join(':', 'verify_asan_link_order=0',
                                  $ENV{ASAN_OPTIONS} // ()) };
}


# dir       data folder; a fresh one if not given
# config    lines of --config
# page      folder of --page
# args      further arguments
# env       environment
# under     a command that executes it: [ 'prlimit', '--nofile=64' ]
# wait      0: do not wait until it answers

sub start {
    my ($class, %self) = @_;

    # a socket's path is short
    $self{dir} //= tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    $self{log} = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    my $self = bless \%self, $class;

    $self->launch;
    push @daemons, $self;

    return $self;
}


sub launch {
    my ($self) = @_;
    my @args = @{ $self->{args} // [] };

    if (defined $self->{config}) {
        Process::spill("$self->{log}/keep.conf", $self->{config});
        push @args, '--config', "$self->{log}/keep.conf";
    }

    push @args, '--page', $self->{page} // Process::build('dashboard');

    $self->{process} = Process->start([ @{ $self->{under} // [] },
                                        tool('ollama-statsd'),
                                        '--data', $self->{dir}, @args ],
                                      name => 'ollama-statsd',
                                      dir => $self->{log},
                                      env => $self->{env});

    return if defined $self->{wait} && !$self->{wait};

    poll { $self->up || !$self->{process}->alive } 'ollama-statsd answers';

    if (!$self->{process}->alive) {
        Test::More::diag($self->output);
        die "ollama-statsd does not start\n";
    }
}


sub up {
    my ($self) = @_;
    my $answer = eval { $self->get('/health') };

    return $answer && $answer->{status} == 200;
}


sub dir { $_[0]{dir} }
sub pid { $_[0]{process}->pid }
sub output { $_[0]{process}->output }
sub path { "$_[0]{dir}/run/$_[1].sock" }


# kill -9 and a new start, or SIGTERM; gives the wait status

sub crash {
    my ($self) = @_;

    $self->{process}->stop('KILL');
    $self->launch;
}


sub stop {
    my ($self, $signal) = @_;
    return $self->{process}->stop($signal);
}


# one GET; gives { status, headers => { name => value }, body, seconds }

sub get {
    my ($self, $uri, %how) = @_;
    my $began = time();
    my $answer = $self->answer($self->ask($uri, %how), %how);

    $answer->{seconds} = time() - $began;
    return $answer;
}


# its two halves

sub ask {
    my ($self, $uri, %how) = @_;
    my $method = $how{method} // 'GET';

    my $socket = IO::Socket::UNIX->new(Peer => $self->path('http'))
        or die "no connection to the daemon: $!\n";

    my %headers = (Host => 'localhost', Connection => 'close',
                   %{ $how{headers} // {} });
    my $head = join '', map { "$_: $headers{$_}\r\n" } sort keys %headers;

    print $socket $how{raw} // "$method $uri HTTP/1.1\r\n$head\r\n";
    $socket->flush;

    return $socket;
}


sub answer {
    my ($self, $socket, %how) = @_;
    my $began = time();
    my $raw = '';

    while (1) {
        my ($in, $left) = ('', $began + ($how{timeout} // 20) - time());

        vec($in, fileno $socket, 1) = 1;
        last if $left <= 0 || !select $in, undef, undef, $left;
        last unless sysread $socket, $raw, 65536, length $raw;
    }

    my ($first, $rest) = split /\r\n\r\n/, $raw, 2;
    my ($line, @fields) = split /\r\n/, $first // '';
    my ($status) = ($line // '') =~ m!^HTTP/1\.[01] (\d+)!;

    return { status => $status // 0, body => $rest // '', raw => $raw,
             headers => { map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () }
                              @fields } };
}


sub json {
    my ($self, $uri) = @_;
    my $answer = $self->get($uri);

    die "$uri: $answer->{status} $answer->{body}\n"
        if $answer->{status} != 200;

    return $json->decode($answer->{body});
}


sub health { $_[0]->json('/health') }


# a connection of the module; hello is said unless hello => 0; tool => is the
# command that plays it; balance => seconds and private => a socket are of HELLO

sub frames {
    my ($self, %how) = @_;
    my $frames = bless { seen => [] }, 'Statsd::Frames';

    $frames->{pid} = open2($frames->{out}, $frames->{in},
                           @{ $how{tool} // [ tool('frames') ] },
                           $self->path('statsd'));
    $frames->{hello} = { instance => $how{instance} // '1',
                         keys => $how{keys} // [],
                         proxy => $how{proxy} // '',
                         map { exists $how{$_} ? ($_ => $how{$_}) : () }
                             qw/ balance private / };
    $frames->{greets} = $how{hello} // 1;
    $frames->connect;

    return $frames;
}


END {
    local ($?, $!);
    $_->{process}->stop for grep { $_->{process} } @daemons;
}


package Statsd::Frames;

use warnings;
use strict;


# says something to the tool; gives true if it went well

sub do {
    my ($self, $what, %more) = @_;

    print { $self->{in} } $json->encode({ do => $what, %more }), "\n";
    $self->{in}->flush;

    my $out = $self->{out};

    while (defined(my $line = <$out>)) {
        my $said = $json->decode($line);
        return $said->{ok} if defined $said->{did};
        push @{ $self->{seen} }, $said;
    }

    die "frames has ended\n";
}


sub connect {
    my ($self) = @_;

    $self->{seen} = [];
    $self->do('connect') or return 0;

    return 1 unless $self->{greets};
    return $self->do('hello', %{ $self->{hello} })
           && $self->do('wait', for => 'ready');
}


sub request { my $self = shift; return $self->do('request', @_) }
sub body { my $self = shift; return $self->do('body', @_) }
sub penalty { my $self = shift; return $self->do('penalty', @_) }
sub damage { return $_[0]->do('damage', what => $_[1]) }
sub close { return $_[0]->do('close') }


# waits until a number is acknowledged

sub acked {
    my ($self, $seq, $ms) = @_;
    return $self->do('wait', for => 'ack', seq => $seq, ms => $ms // 10000);
}


sub closed {
    my ($self, $ms) = @_;
    return $self->do('wait', for => 'closed', ms => $ms // 5000);
}


# the frames of a kind that have come since the last connect

sub seen {
    my ($self, $kind) = @_;
    return grep { $_->{frame} eq $kind } @{ $self->{seen} };
}


sub welcome { return ($_[0]->seen('welcome'))[-1]{seq} }


sub DESTROY {
    my ($self) = @_;
    local ($?, $!);

    CORE::close $self->{in};
    waitpid $self->{pid}, 0;
}


1;
