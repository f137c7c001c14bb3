#!/usr/bin/perl

# Tests for the ledger: whatever the API and the shape of the answer, /stats
# says what the cloud says, and the client gets the cloud's bytes.
#
# Each case has a model of its own, so that one look at /stats, at /queries and
# at the simulator's ledger tells all of them apart.  What the bytes should be
# is learned by asking the simulator the same without the proxy.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use IO::Uncompress::Gunzip qw/ gunzip /;
use Poll;
use Proxy;
use Test::More;

my $yes = JSON::PP::true;
my $no = JSON::PP::false;

# what each endpoint needs beside the model; where its streams carry usage
# only for those who ask; whether it streams at all

my @messages = (messages => [ { role => 'user', content => 'why? ' x 30 } ]);
my @prompt = (prompt => 'because ' x 20);
my @input = (input => 'in this manner ' x 9);

my @endpoints = (
    { uri => '/api/chat', body => { @messages } },
    { uri => '/api/generate', body => { @prompt } },
    { uri => '/api/embed', body => { @input }, embeds => 1 },
    { uri => '/v1/chat/completions', body => { @messages }, asks => 1 },
    { uri => '/v1/completions', body => { @prompt }, asks => 1 },
    { uri => '/v1/embeddings', body => { @input }, embeds => 1 },
    { uri => '/v1/responses', body => { @input } },
    { uri => '/v1/messages', body => { @messages, max_tokens => 4096 } },
);

# Certainty is exact where nothing else is said: a word for all endpoints, or
# by the beginning of their names, for streams.
#
# zeros: numbers in each chunk of a stream that asks for usage, which stay;
# shown: so does the chunk with usage, since it cannot be read.

my @shapes = (
    { name => 'whole' },
    { name => 'bytes', sim => { chunk_bytes => 1 } },
    { name => 'threes', sim => { chunk_bytes => 3, cached => 1 } },
    { name => 'crlf', sim => { crlf => 1 } },
    { name => 'crlf-bytes', sim => { crlf => 1, chunk_bytes => 1 } },
    { name => 'cached', sim => { cached => 1 } },
    { name => 'cached-none', sim => { cached_fields => 1 } },
    { name => 'spoofed', sim => { spoof => 1 }, echo => 1 },
    { name => 'spoofed-bytes', sim => { spoof => 1, chunk_bytes => 1 } },
    { name => 'thinking', sim => { thinking => 5, tool_call => 1 } },
    { name => 'long', sim => { pad_bytes => 307200, echo_bytes => 307200 },
      inputs => 600 },
    { name => 'long-pieces', sim => { pad_bytes => 307200, chunk_bytes => 1009,
                                      echo_bytes => 307200, cached => 1 },
      inputs => 600 },
    { name => 'many', sim => { words => 3000 }, inputs => 3000 },
    { name => 'many-pieces', sim => { words => 3000, chunk_bytes => 777 },
      inputs => 3000 },
    { name => 'metrics', sim => { metrics_on_all => 1 }, zeros => 1 },
    { name => 'incomplete', sim => { incomplete => 1 } },
    { name => 'newline', sim => { no_final_newline => 1 } },
    { name => 'length', sim => { content_length => 1 } },
    { name => 'closed', sim => { http10_close => 1 } },
    { name => 'done', sim => { no_done => 1 }, cut => 1,
      stream => { '/api' => 'partial', '/v1/responses' => 'partial' } },
    { name => 'start', sim => { usage_only_in_start => 1 } },
    { name => 'failed', sim => { failed => 1 },
      end => { '/v1/responses' => 'stream_error' } },
    { name => 'gzip', sim => { gzip => 1 }, always => 'estimated', shown => 1 },
    { name => 'gzip-bytes', sim => { gzip => 1, chunk_bytes => 1 },
      always => 'estimated', shown => 1 },
    { name => 'silent', sim => { no_usage => 1 }, always => 'estimated' },
    { name => 'zero', sim => { zero_usage => 1 }, always => 'estimated' },
    { name => 'asked', options => { include_usage => $yes } },
    { name => 'asked-bytes', options => { include_usage => $yes },
      sim => { chunk_bytes => 1 } },
    { name => 'declined', options => { include_usage => $no } },
    { name => 'declined-bytes', options => { include_usage => $no },
      sim => { chunk_bytes => 1 } },
);

my $t = Proxy->new(daemon => 1, keys => [ keys_of(4) ])->run;
my $direct = Http->new(port => $t->cloud->port, trusted => 1, headers =>
                       [ Authorization => 'Bearer direct' ]);
my @cases;


# what differs between two answers to the same request

sub normal {
    my ($text) = @_;

    my $packed = substr($text, 0, 2) eq "\x1f\x8b";
    my $plain = $text;

    gunzip(\$text, \$plain) if $packed;

    $plain =~ s/"created_at":"[^"]*"/"created_at":"T"/g;
    $plain =~ s/"(created|created_at|completed_at)":\d+/"$1":0/g;
    $plain =~ s/"((?:chatcmpl|cmpl)-|(?:resp|msg|rs|fc|call|ws)_)
                \w+"/"$1N"/gx;

    return $packed ? "gzip: $plain" : $plain;
}


# the stream without the event that has no choices but usage, as it would have
# been; CRLF or not

sub without_usage_chunk {
    my ($text) = @_;

    $text =~ s/data: [^\r\n]*"choices":\[\][^\r\n]*"usage":[^\r\n]*(\r?\n){2}//;

    return $text;
}


sub body_of {
    my ($endpoint, $shape, $model, $stream) = @_;
    my %sim = %{ $shape->{sim} // {} };

    # whose answers have no field for cached tokens
    @sim{qw/ embeddings cached /} = (1, 0) if $endpoint->{embeds};

    my %body = (%{ $endpoint->{body} }, model => $model, _sim => \%sim,
                stream => $stream ? $yes : $no);

    $body{stream_options} = $shape->{options}
        if $shape->{options} && $endpoint->{asks};
    $body{input} = [ map { "number $_" } 1 .. $shape->{inputs} ]
        if $shape->{inputs} && $endpoint->{embeds};

    # what is echoed by /v1/responses
    $body{metadata} = { usage => { input_tokens => 999999 } } if $shape->{echo};

    return \%body;
}


sub certainty_of {
    my ($case) = @_;
    my ($endpoint, $shape) = @$case{qw/ endpoint shape /};

    return $shape->{always} if $shape->{always};

    my $words = $case->{stream} && !$endpoint->{embeds} && $shape->{stream};

    for my $path (keys %{ $words || {} }) {
        return $words->{$path} if index($endpoint->{uri}, $path) == 0;
    }

    return 'exact';
}


for my $endpoint (@endpoints) {
    for my $shape (@shapes) {
        for my $stream (0, 1) {
            my $model = join '.', substr($endpoint->{uri}, 1) =~ tr!/!.!r,
                                  $shape->{name}, $stream ? 'stream' : 'plain';
            push @cases, { endpoint => $endpoint, shape => $shape,
                           stream => $stream, model => $model,
                           body => body_of($endpoint, $shape, $model,
                                           $stream) };
        }
    }
}

sub asks { $_[0]{stream} && $_[0]{endpoint}{asks} }
sub zeros { $_[0]{shape}{zeros} }

# a stream without its end mark: the client is told so behind it
sub is_cut { $_[0]{stream} && $_[0]{shape}{cut} && !$_[0]{endpoint}{embeds} }


# all of them, sixteen at a time

for (my $i = 0; $i < @cases; $i += 16) {
    my @now = grep { defined } @cases[$i .. $i + 15];

    $_->{proxied} = $t->start('POST', $_->{endpoint}{uri}, json => $_->{body},
                              timeout => 60) for @now;
    Http::finish(map { $_->{proxied} } @now);

    for my $case (@now) {
        my %body = %{ $case->{body} };

        # then the proxy asks, so the comparison asks as well
        $body{stream_options} = { include_usage => $yes }
            if asks($case) && (zeros($case) || $case->{shape}{shown});

        $case->{direct} = $direct->start('POST', $case->{endpoint}{uri},
                                         json => \%body, timeout => 60);
    }

    Http::finish(map { $_->{direct} } @now);
}


# what the cloud has counted for each model, and what the ledger has

sub counted {
    my ($ledger) = @_;
    my %counted;

    for my $key (grep { $_ ne 'direct' } keys %{ $ledger->{keys} }) {
        my $models = $ledger->{keys}{$key}{models};

        $counted{$_} = $models->{$_} for keys %$models;
    }

    return \%counted;
}


sub all_queries {
    my @all;

    while (1) {
        my $page = $t->get('/queries?limit=500&offset=' . @all)->json;
        push @all, @$page;
        return @all if @$page < 500;
    }
}


poll { all_queries() >= @cases } 'all requests are in the ledger', 20;

my $cloud = counted($t->cloud->ledger);
my %stats = map { $_->{model} => $_ } @{ $t->get('/stats?limit=10000')->json };
my %query = map { $_->{model} => $_ } all_queries();

for my $case (@cases) {
    subtest $case->{model} => sub { look_at($case) };
}


sub look_at {
    my ($case) = @_;
    my ($model, $r) = @$case{qw/ model proxied /};
    my $stats = $stats{$model} // {};
    my $query = $query{$model} // {};
    my $wanted = $cloud->{$model};
    my $certainty = certainty_of($case);

    ok(!$r->complete == !!is_cut($case) && $r->status == 200, 'answered')
        or diag($r->status, $r->error // '');
    is($query->{certainty}, $certainty, $certainty);
    is($query->{end}, is_cut($case) ? 'upstream_gone'
                      : $case->{shape}{end}{$case->{endpoint}{uri}} // 'done',
       'as it ended');
    is($query->{endpoint}, $case->{endpoint}{uri}, 'its endpoint');
    is($stats->{requests}, 1, 'one request');
    is($wanted->{requests}, 1, 'for the cloud, too');

    my @fields = map { "${_}_tokens" } qw/ prompt completion cached /;

    if ($certainty eq 'exact') {
        is("@$stats{@fields}", "@$wanted{qw/ prompt completion cached /}",
           'tokens');
        is($stats->{estimated_tokens}, 0, 'none of them estimated');

    } else {
        cmp_ok($stats->{prompt_tokens}, '>', 0, 'something for the prompt');
        is($stats->{estimated_tokens},
           $stats->{prompt_tokens} + $stats->{completion_tokens},
           'and it is marked');
    }

    is("@$query{@fields}", "@$stats{@fields}", 'the same in /queries');

    my ($got, $sent) = map { normal($_->body) } $r, $case->{direct};

    $sent = without_usage_chunk($sent)
        if asks($case) && zeros($case) && !$case->{shape}{shown}
           && !($case->{shape}{options} // {})->{include_usage};

    ok($got =~ s/\A\Q$sent\E.+broke off.+\z/$sent/s, 'the end is told')
        if is_cut($case);
    ok($got eq $sent, 'the bytes of the cloud')
        or diag(difference($got, $sent));
    is($query->{bytes_out}, length $r->body, 'as many as were counted')
}


sub difference {
    my ($got, $sent) = @_;
    my $common = 0;

    $common++ while $common < length $got && $common < length $sent
                    && substr($got, $common, 1) eq substr($sent, $common, 1);
    my $from = $common > 60 ? $common - 60 : 0;

    return sprintf "%d bytes, not %d, differ at %d:\n  %s\n  %s", length $got,
                   length $sent, $common, substr($got, $from, 200),
                   substr($sent, $from, 200);
}

# by key

my %by_key;

for my $row (values %stats) {
    next unless $query{$row->{model}}{certainty} eq 'exact';
    $by_key{$row->{key_fingerprint}} += $row->{prompt_tokens}
                                        + $row->{completion_tokens};
}

for my $key (keys_of(4)) {
    my $models = $t->cloud->ledger->{keys}{$key}{models};
    my $sum = 0;

    $sum += $models->{$_}{prompt} + $models->{$_}{completion}
        for grep { $query{$_}{certainty} eq 'exact' } keys %$models;

    is($by_key{substr sha256_hex($key), 0, 8}, $sum, "of key $sum tokens");
}

# what breaks off: the client leaves, the cloud dies, an error inside a 200

my @broken = grep { !$_->{embeds} } @endpoints;
my %ends = (gone => 'client_gone', reset => 'upstream_gone',
            closed => 'upstream_gone', error => 'stream_error');
my %how = (gone => { words => 500, delay_ms => 20 },
           reset => { words => 60, reset_after_bytes => 3000 },
           closed => { words => 60, close_after_bytes => 3000 },
           error => { words => 60, error_after => 7 });
my @left;

for my $endpoint (@broken) {
    for my $end (sort keys %how) {
        my $model = substr($endpoint->{uri}, 1) =~ tr!/!.!r . ".$end";

        push @left, { endpoint => $endpoint, end => $end, model => $model,
                      r => $t->start('POST', $endpoint->{uri}, json =>
                           { %{ $endpoint->{body} }, model => $model,
                             stream => $yes, _sim => $how{$end} }) };
    }
}

my @gone = map { $_->{r} } grep { $_->{end} eq 'gone' } @left;

Http::until(sub { !grep { $_->pieces < 8 } @gone }, map { $_->{r} } @left);
$_->abort for @gone;
Http::finish(map { $_->{r} } @left);

poll { all_queries() >= @cases + @left } 'these are there, too', 20;
%stats = map { $_->{model} => $_ } @{ $t->get('/stats?limit=10000')->json };
%query = map { $_->{model} => $_ } all_queries();

for my $case (@left) {
    my ($model, $end) = @$case{qw/ model end /};
    my $query = $query{$model} // {};
    my $stats = $stats{$model} // {};

    subtest $model => sub {
        is($query->{certainty}, 'partial', 'partial');
        is($query->{end}, $ends{$end}, $ends{$end});
        is($query->{status}, 200, 'after a 200');
        is($query->{streamed}, $yes, 'streamed');
        cmp_ok($query->{prompt_tokens}, '>', 0, 'an estimate of the prompt');
        cmp_ok($query->{completion_tokens}, '>', 0, 'and of what came');
        cmp_ok($query->{completion_tokens}, '<', 200, 'but of no more');
        is($stats->{estimated_tokens},
           $query->{prompt_tokens} + $query->{completion_tokens}, 'marked');
        like($query->{reason} // '', qr/\w/, 'the error in words')
            if $end eq 'error';
    };
}

# what costs nothing: an error, an empty prompt, a page without a model

my $costs = sub {
    my ($model, $r) = @_;
    my ($row) = poll { my @all = grep { ($_->{model} // '') eq $model }
                                 all_queries(); @all ? \@all : undef }
                $model;
    return $row->[0];
};

for my $endpoint (grep { !$_->{embeds} } @endpoints) {
    my $model = substr($endpoint->{uri}, 1) =~ tr!/!.!r . '.refused';

    $t->cloud->rules({ match => { model => $model }, times => -1,
                       preset => 'bad_request_400' });

    my $r = $t->post($endpoint->{uri}, { %{ $endpoint->{body} },
                                         model => $model });
    my $row = $costs->($model, $r);

    is($r->status, 400, "$endpoint->{uri}: a refusal");
    is(join(' ', @$row{qw/ status certainty prompt_tokens
                           completion_tokens /}), '400 none 0 0',
       'costs nothing');
}

finish();
