package Cut;

# A server whose streams end too early: it stands in for a cloud that breaks off
# anywhere, in any way.
#
#     my $cut = Cut->start;                       $cut->port
#
# The path names the stream, one of %Cut::streams; the model of the request says
# how and behind how many bytes it ends, "WAY-N":
#
#     clean    in order, with the last chunk
#     exact    in order, by its Content-Length
#     short    FIN before as many bytes as its Content-Length says
#     chunk    FIN behind a whole chunk
#     half     FIN within a chunk
#     wrong    the next chunk has no size that could be read
#     close    FIN, no length was told
#     reset    RST
#     silent   nothing more comes, and the connection stays
#
# A size may follow, "WAY-N-SIZE": the bytes are written in pieces of it.

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use Process;
use Socket qw/ IPPROTO_TCP SO_LINGER SOL_SOCKET TCP_NODELAY sockaddr_in /;
use Time::HiRes qw/ sleep /;

our @ways = qw/ clean exact short chunk half wrong close reset /;


sub chunks {
    my ($head, @rest) = @_;
    return map { "data: {\"id\":\"c1\",\"object\":\"$head\","
                 . "\"created\":1,\"model\":\"m\",$_}\n\n" } @rest;
}


sub events {
    return map { my ($type) = /"type":"([a-z_.]+)"\}$|^\{"type":"([a-z_.]+)"/
                              ? $1 // $2 : die;
                 "event: $type\ndata: $_\n\n" } @_;
}


our %streams = (
    '/api/chat' => join('', map { "$_\n" }
        '{"model":"m","created_at":"2026-11-01T00:00:00Z","message":'
        . '{"role":"assistant","content":"Hello, "},"done":false}',
        '{"model":"m","created_at":"2026-11-01T00:00:00Z","message":'
        . '{"role":"assistant","content":"W\u00f6rld {"},"done":false}',
        '{"model":"m","created_at":"2026-11-01T00:00:01Z","message":'
        . '{"role":"assistant","content":""},"done":true,'
        . '"done_reason":"stop","prompt_eval_count":7,"eval_count":2}'),

    '/v1/chat/completions' => join('',
        chunks('chat.completion.chunk',
               '"choices":[{"index":0,"delta":{"role":"assistant",'
               . '"content":"Hello"},"finish_reason":null}]',
               '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]',
               '"choices":[],"usage":{"prompt_tokens":7,'
               . '"completion_tokens":2,"total_tokens":9}'),
        "data: [DONE]\n\n"),

    '/v1/completions' => join('',
        chunks('text_completion',
               '"choices":[{"text":"Hello","index":0,"finish_reason":null}],'
               . '"usage":{"prompt_tokens":0,"completion_tokens":0,'
               . '"total_tokens":0}',
               '"choices":[{"text":"","index":0,"finish_reason":"stop"}],'
               . '"usage":{"prompt_tokens":0,"completion_tokens":0,'
               . '"total_tokens":0}',
               '"choices":[],"usage":{"prompt_tokens":7,'
               . '"completion_tokens":2,"total_tokens":9}'),
        "data: [DONE]\n\n"),

    '/v1/messages' => join('', events(
        '{"type":"message_start","message":{"id":"msg_1","type":"message",'
        . '"role":"assistant","model":"m","content":[],'
        . '"usage":{"input_tokens":7,"output_tokens":0}}}',
        '{"type":"content_block_start","index":0,'
        . '"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":0,'
        . '"delta":{"type":"text_delta","text":"Hello"}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        . '"usage":{"input_tokens":7,"output_tokens":2}}',
        '{"type":"message_stop"}')),

    '/v1/responses' => join('', events(
        '{"response":{"created_at":1,"error":null,"id":"resp_77","model":"m",'
        . '"object":"response","output":[],"status":"in_progress"},'
        . '"sequence_number":0,"type":"response.created"}',
        '{"item":{"content":[],"id":"msg_1","role":"assistant",'
        . '"status":"in_progress","type":"message"},"output_index":0,'
        . '"sequence_number":1,"type":"response.output_item.added"}',
        '{"content_index":0,"item_id":"msg_1","output_index":0,"part":'
        . '{"annotations":[],"text":"","type":"output_text"},'
        . '"sequence_number":2,"type":"response.content_part.added"}',
        '{"content_index":0,"delta":"Hello","item_id":"msg_1",'
        . '"output_index":0,"sequence_number":3,'
        . '"type":"response.output_text.delta"}',
        '{"response":{"created_at":1,"error":null,"id":"resp_77","model":"m",'
        . '"object":"response","output":[{"content":[{"annotations":[],'
        . '"text":"Hello","type":"output_text"}],"id":"msg_1",'
        . '"role":"assistant","status":"completed","type":"message"}],'
        . '"status":"completed","usage":{"input_tokens":7,"output_tokens":2}},'
        . '"sequence_number":4,"type":"response.completed"}')),
);


sub start {
    my ($class, %self) = @_;

    my $self = bless \%self, $class;

    $self->{port} //= Process::port();
    $self->{process} = Process->start([ $^X, '-I', "$Process::root/t/lib",
        '-MCut', '-e', 'Cut::serve(@ARGV)', $self->{port} ], name => 'cut');

    $self->{process}->says(qr/^listening$/m)
        or Test::More::BAIL_OUT($self->{process}->output);

    return $self;
}


sub port { $_[0]{port} }
sub stop { $_[0]{process}->stop }


# what the child does: some of its own serve one connection at a time

sub serve {
    my ($port) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 256,
                                       LocalPort => $port, ReuseAddr => 1)
        or die "listen: $!\n";

    $| = 1;
    $SIG{PIPE} = 'IGNORE';
    print "listening\n";

    my ($parent, $child) = $$;
    my $select = IO::Select->new($listen);

    $listen->blocking(0);

    for (2 .. 16) {
        $child = !(fork() // die "fork: $!\n");
        last if $child;
    }

    until ($child && getppid() != $parent) {
        my $socket = $select->can_read(1) && $listen->accept or next;

        $socket->blocking(1);
        $socket->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
        answer($socket);
    }
}


sub answer {
    my ($socket) = @_;
    my $in = '';

    until ($in =~ /^(?:.*?)\r\n\r\n/s
           && length $in >= $+[0] + ($in =~ /^content-length: (\d+)/mi)[0])
    {
        sysread $socket, $in, 65536, length $in or return;
    }

    my ($path) = $in =~ m!^\S+ ([^?\s]+)!;
    my ($way, $n, $size) = $in =~ /"model":\s*"([a-z]+)-(\d+)(?:-(\d+))?"/
        or return;
    my $stream = $streams{$path};
    my $body = substr $stream, 0, $n;
    my $chunked = $way !~ /^(exact|short|close)$/;
    my @pieces = $size ? $body =~ /.{1,$size}/gs : length $body ? $body : ();

    put($socket, "HTTP/1.1 200 OK\r\nContent-Type: "
        . ($path =~ m!^/api! ? 'application/x-ndjson' : 'text/event-stream')
        . "\r\n"
        . ($way eq 'exact' ? "Content-Length: $n\r\n"
           : $way eq 'short' ? 'Content-Length: ' . (9 + length $stream) . "\r\n"
           : $chunked ? "Transfer-Encoding: chunked\r\n" : '')
        . ($way eq 'close' ? "Connection: close\r\n" : '') . "\r\n");

    for my $i (0 .. $#pieces) {
        my $more = $way eq 'half' && $i == $#pieces ? 5 : 0;
        my $piece = $pieces[$i];

        $piece = sprintf("%x\r\n", length($piece) + $more) . $piece
                 . ($more ? '' : "\r\n") if $chunked;
        put($socket, $piece);
    }

    put($socket, "0\r\n\r\n") if $way eq 'clean';

    # what came before is read by itself: with a chunk that cannot be parsed
    # nginx drops all that came with it

    if ($way eq 'wrong') {
        until_read($socket);
        put($socket, "wrong\r\n");
    }

    if ($way eq 'silent') {
        sysread $socket, $in, 1;
    }

    if ($way eq 'reset') {
        until_read($socket);
        $socket->setsockopt(SOL_SOCKET, SO_LINGER, pack('II', 1, 0));
    }

    close $socket;
}


# waits until the other side, on this machine too, has taken all that was sent:
# its queue is a column of /proc/net/tcp

sub until_read {
    my ($socket) = @_;
    my $peer = join ' ', map { sprintf '%08X:%04X', unpack('L', $_->[1]),
                                       $_->[0] }
               [ sockaddr_in(getpeername $socket) ],
               [ sockaddr_in(getsockname $socket) ];

    for (1 .. 2000) {
        open my $file, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!\n";

        my ($line) = grep { index($_, " $peer ") > 0 } <$file>;

        return if !$line || $line =~ / \Q$peer\E \w+ \w+:0+ /;
        sleep(0.005);
    }
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
