#!/usr/bin/perl

# Tests for streams that end too early: whoever reads one is told so, once, in
# the words of the API, and over HTTP as well.

use warnings;
use strict;

use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";

use Cut;
use Proxy;
use Records;
use Test::More;

my $cut = Cut->start;
my %how = (cloud => 0, servers => 'server 127.0.0.1:' . $cut->port
                                  . ' max_fails=0;',
           balancer => "ollama_keys;\n$Proxy::no_keepalive");
my $t = Proxy->new(%how, daemon => 1)->run;

my %errors = (
    '/api/chat' => sub { defined $_[1]{error} && $_[1]{status} == 502 },
    '/v1/chat/completions' => sub { ref $_[1]{error}
                                    && defined $_[1]{error}{message}
                                    && $_[1]{error}{type} eq 'api_error' },
    '/v1/messages' => sub { $_[0] eq 'error' && $_[1]{type} eq 'error'
                            && $_[1]{error}{type} eq 'overloaded_error'
                            && defined $_[1]{error}{message} },
    '/v1/responses' => sub { $_[0] eq 'response.failed'
                             && $_[1]{type} eq 'response.failed'
                             && $_[1]{response}{status} eq 'failed'
                             && defined $_[1]{response}{error}{message} },
);
my %marks = (
    '/api/chat' => sub { $_[1]{done} },
    '/v1/chat/completions' => sub { $_[1] eq '[DONE]' },
    '/v1/messages' => sub { $_[0] eq 'message_stop' },
    '/v1/responses' => sub { $_[0] eq 'response.completed' },
);

$_->{'/v1/completions'} = $_->{'/v1/chat/completions'} for \%errors, \%marks;


# what a client's parser makes of it: [ name, document ] of each event or line,
# the document is undef where it is none

sub parse {
    my ($path, $body) = @_;
    my @events;

    my $document = sub {
        my ($text) = @_;
        return $text eq '[DONE]' ? $text : eval { $Http::json->decode($text) };
    };

    return map { [ '', $document->($_) ] } grep { length } split /\n/, $body
        if $path =~ m!^/api/!;

    my ($name, $data) = ('', '');

    for my $line (split /\n/, $body, -1) {
        if ($line =~ /^event: ?(.*)/) {
            $name = $1;

        } elsif ($line =~ /^data: ?(.*)/) {
            $data .= "$1\n";

        } elsif ($line eq '') {
            push @events, [ $name, $document->($data =~ s/\n$//r) ]
                if length $data;
            ($name, $data) = ('', '');
        }
    }

    # one without its blank line is none

    return @events;
}


sub is_error {
    my ($path, $event) = @_;
    return ref $event->[1] eq 'HASH' && $errors{$path}->(@$event);
}


sub is_mark {
    my ($path, $event) = @_;
    return defined $event->[1] && $marks{$path}->(@$event)
           && !is_error($path, $event);
}


# what is wrong with an answer that was cut behind n bytes, or nothing

sub wrong {
    my ($path, $way, $n, $r) = @_;

    # what is whole of it, as it came

    my $came = substr $Cut::streams{$path}, 0, $n;
    my @given = grep { !(ref $_->[1] && ref $_->[1]{choices}
                         && !@{ $_->[1]{choices} }) }
                parse($path, "$came\n\n");
    my $whole = grep { is_mark($path, $_) } @given;

    pop @given while @given && !defined $given[-1][1];
    delete $_->[1]{usage} for grep { $path eq '/v1/completions'
                                     && ref $_->[1] } @given;

    # before its first event has said anything, an answer is none

    if ($r->status == 502 || $r->status == 504) {
        my $error = ($r->json // {})->{error};

        return 'too late for a status'
            if @given > ($path eq '/v1/responses' ? 1 : 0);
        return 'an error of another API'
            if !$error || (ref $error ? 1 : 0) != ($path =~ /v1/ ? 1 : 0);
        return '';
    }

    # one that ended in order is left as it came, also without its blank line

    my @got = parse($path, $r->body . ($whole ? "\n\n" : ''));
    my @told = grep { is_error($path, $_) } @got;
    my ($broken) = grep { !defined $got[$_][1] } 0 .. $#got;

    return 'status ' . $r->status if $r->status != 200;

    if ($whole) {
        return 'an error behind a good end' if @told;
        return 'no good end' if !@got || !is_mark($path, $got[-1]);
        return 'its last chunk is missing' unless $r->complete;

    } else {
        return scalar(@told) . ' errors' if @told != 1;
        return 'the error is not the last' unless is_error($path, $got[-1]);
        return 'an end mark' if grep { is_mark($path, $_) } @got;
        return 'a last chunk' if $r->complete;
        return 'an open line' if $r->body !~ /\n\z/;

        # a document that was begun is what the error comes behind

        return 'something broken in the middle'
            if defined $broken && $broken != $#got - 1;
        pop @got;
    }

    @got = grep { defined $_->[1] } @got;

    # nginx drops what has come with a chunk that cannot be parsed, which is all
    # of it until the first event is known

    return '' if $way eq 'wrong' && !@got;

    return 'other events' if $Http::json->encode(\@got)
                             ne $Http::json->encode(\@given);
    return '';
}


sub start {
    my ($proxy, $path, $model) = @_;

    return $proxy->start_chat(uri => $path, stream => 1, model => $model,
                              body => { max_tokens => 9, input => 'hi',
                                        prompt => 'hi' });
}


# many of [ way, n ], some at a time; gives what is wrong

sub all {
    my ($proxy, $path, @cuts) = @_;
    my @wrong;

    while (my @some = splice @cuts, 0, 8) {
        my @exchanges = map { start($proxy, $path, join '-', @$_) } @some;

        Http::finish(@exchanges);

        for my $i (0 .. $#some) {
            my $wrong = wrong($path, @{ $some[$i] }[0, 1],
                              $exchanges[$i]) or next;

            push @wrong, "@{ $some[$i] }: $wrong";
            diag("$path @{ $some[$i] }: $wrong\n" . $exchanges[$i]->body)
                if @wrong < 3;
        }
    }

    return @wrong;
}


# at every byte, in one of the ways

for my $path (sort keys %Cut::streams) {
    my $length = length $Cut::streams{$path};
    my @cuts = map { [ $Cut::ways[$_ % @Cut::ways], $_ ] }
               1 .. $length;

    is(join(', ', all($t, $path, @cuts)), '', "$path: cut at every byte");

    @cuts = map { my $way = $_;
                  map { [ $way, int $_, 13 ] } 100, $length / 2, $length - 1 }
            @Cut::ways;

    is(join(', ', all($t, $path, @cuts)), '', 'in small pieces');
}

# the words

my $r = start($t, '/v1/responses', 'chunk-400');

Http::finish($r);
my @events = parse('/v1/responses', $r->body);
my $failed = $events[-1][1];

is($failed->{response}{id}, 'resp_77', 'of the response that was begun');
is($failed->{response}{model}, 'm', 'its model');
is($failed->{sequence_number}, scalar(grep { defined $_->[1] } @events) - 1,
   'and the next number');
is($failed->{response}{error}{code}, 'server_error', 'a code that exists');

# the record

Http::finish(start($t, '/v1/messages', 'clean-400'));
like(tokens(record($t, 'chunk-400')), qr/^\d+ \d+ partial upstream_gone$/,
     'a record of a cut');
like(tokens(record($t, 'clean-400')), qr/ partial upstream_gone$/,
     'also of one that ended in order');

# a read timeout, a buffering proxy, one that packs

for (['silent', proxy_read_timeout => '1s'], ['chunk', proxy_buffering => 'on'],
     ['silent', proxy_buffering => 'on', proxy_read_timeout => '1s'],
     ['short', proxy_buffering => 'on'], ['clean', proxy_buffering => 'on'])
{
    my ($way, %params) = @$_;
    my $proxy = Proxy->new(%how, params => \%params)->run;

    for my $path (sort keys %Cut::streams) {
        my $length = length $Cut::streams{$path};

        is(join(', ', all($proxy, $path, map { [ $way, int $_ ] }
                          1, $length / 2, $length - 2, $length)), '',
           "$path, $way, " . join ' ', %params);
    }
}

# behind a whole one the client's connection serves the next request, however
# the cloud's has ended

for my $buffering ('off', 'on') {
    my $t = Proxy->new(%how, params => { proxy_buffering => $buffering })->run;

    for my $path (sort keys %Cut::streams) {
        my @served = grep { next_served($t, $path, "$_-"
                                        . length $Cut::streams{$path}) }
                          @Cut::ways;

        is("@served", "@Cut::ways", "$path, buffering $buffering: the next "
           . 'request on the connection');
    }
}


sub next_served {
    my ($t, $path, $model) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $t->port, Timeout => 10)
        or return 0;
    my $got = '';

    local $SIG{ALRM} = sub { die "waited in vain\n" };
    local $SIG{PIPE} = 'IGNORE';

    return eval {
        alarm 20;
        print $socket $t->http->message('POST', $path, keep => 1, json =>
            { model => $model, stream => JSON::PP::true, max_tokens => 9,
              messages => [ { role => 'user', content => 'hi' } ],
              input => 'hi', prompt => 'hi' });

        until ($got =~ /\r\n0\r\n\r\n$/) {
            sysread $socket, $got, 65536, length $got or die "closed\n";
        }

        print $socket $t->http->message('GET', '/api/version');
        $got = '';
        sysread $socket, $got, 65536, length $got or die "closed\n";
        alarm 0;

        $got =~ m!^HTTP/1.1 200 !;
    } || 0;
}

# HTTP/1.0 and 2, packed

my $message = $t->http->message('POST', '/v1/messages', json =>
    { model => 'short-300', max_tokens => 9, stream => JSON::PP::true,
      messages => [] });

$r = $t->start('POST', '/v1/messages', raw => $message =~ s!HTTP/1.1!HTTP/1.0!r);
Http::finish($r);
ok(is_error('/v1/messages', (parse('/v1/messages', $r->body))[-1]), 'HTTP/1.0');
is($r->header('content-length'), undef, 'without a length');

SKIP: {
    skip('curl knows no HTTP/2 here', 3)
        unless `curl --version 2>/dev/null` =~ /HTTP2/;

    my $port = Process::port();
    my $h2 = Proxy->new(%how, params => { gzip => 'on' }, server =>
        "listen 127.0.0.1:$port http2; gzip_types *; gzip_min_length 1;");

    $h2->run;

    for ('--http2-prior-knowledge', '--compressed') {
        my ($code, $output) = Process::run([ qw/ curl -sS --max-time 20 /, $_,
            "http://127.0.0.1:" . (/http2/ ? $port : $h2->port) . '/api/chat',
            '-H', "Authorization: Bearer $Proxy::token",
            '-d', '{"model":"half-200",'
                  . '"messages":[{"role":"user","content":"hi"}]}' ]);

        isnt($code, 0, "$_: it has ended badly");

        # curl drops what it has not written when RST_STREAM comes with it

        next if /http2/;
        like($output, qr/\n\{"error":"[^"]+","status":502\}\n/, 'and is told');
    }
}

# what is no stream, and what the cloud has told itself, stays as it is

my $sim = Proxy->new->run;

$r = $sim->chat(sim => { close_after_bytes => 40 });
is(length $r->body, 40, 'half a document');
is($r->error, 'closed early', 'is all there is');

for my $path (sort keys %Cut::streams) {
    my %body = (uri => $path, stream => 1,
                body => { max_tokens => 9, input => 'hi', prompt => 'hi' });
    $r = $sim->chat(%body, sim => { error_after => 2 });

    is(scalar(() = $r->body =~ /running the model|broke off/g), 1,
       "$path: one error only") or diag($r->body);

    $r = $sim->chat(%body);
    ok($r->complete, 'a whole one is complete');
    unlike($r->body, qr/broke off/, 'and no error is in it');

    $r = $sim->chat(%body, sim => { gzip => JSON::PP::true,
                                    no_done => JSON::PP::true });
    unlike($r->body, qr/broke off/, 'nothing is said of what cannot be read');
}

finish();
