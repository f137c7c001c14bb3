#!/usr/bin/perl

# Tests for an update, which is one of parts: the include files of an older
# version, a module older than the daemon, a daemon older than the module.
# Whatever is old, requests are served and nothing is lost.
#
# What is old is played: t/data/0.1 has its include files, t/lib/Wire1.pm its
# frames, t/tools/old-statsd its daemon.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use IO::Socket::UNIX;
use Poll;
use Proxy;
use Statsd;
use Test::More;
use Time::HiRes qw/ time /;
use Wire1;

my $absent = qr/statsd|http\.sock/;
my $cloud = Cloud->start;
my $older = qr/\bolder\b|\bearlier\b|\bversion 1\b/;

my %tests = (includes => \&includes, module => \&module, daemon => \&daemon,
             worker => \&worker, replaced => \&replaced, cold => \&cold);

# UPGRADE=module runs that part alone

$tests{$_}->() for grep { !$ENV{UPGRADE} || $ENV{UPGRADE} eq $_ }
                   qw/ includes module daemon worker replaced cold /;

finish();


# old include files with the module and the daemon of today

sub includes {
    my $t = Proxy->new(daemon => 1, cloud => $cloud, workers => 2,
                       allow => $absent, include => 't/data/0.1')->run;

    $cloud->reset;
    $cloud->rules({ times => 1, preset => 'quota_session' });
    is($t->chat->status, 200, 'old include files: a chat, with the next key');
    is($t->chat(uri => $_, stream => 1, body => { max_tokens => 99 })->status,
       200, "a stream of $_")
        for qw! /api/chat /v1/chat/completions /v1/messages /api/api/chat !;
    is($t->chat(text => 'x' x 2_000_000)->status, 200, 'a body in a file');
    is((grep { $_->status != 200 }
        Http::finish(map { $t->start_chat } 1 .. 30)), 0, 'thirty at once');

    is($t->get('/', only => 1)->body, 'Ollama is running', 'a local Ollama');
    is($t->get($_)->status, 200, $_)
        for qw! /api/version /api/tags /v1/models /health /health/keys
                /ratelimits /stats /queries /metrics /dashboard !;
    is($t->get('/api/tags', only => 1)->status, 401, 'still guarded');
    is($t->chat(only => 1)->status, 401, 'all of it');

    my $total = $cloud->ledger->{total};

    ok(poll(sub { my $sums = $t->get('/health')->json->{totals};
                  $sums->{prompt_tokens} == $total->{prompt}
                  && $sums->{completion_tokens} == $total->{completion} },
            'all tokens'), 'each token is counted')
        or diag($t->get('/health')->body);

    $t->{daemon}->stop;
    is($t->chat->status, 200, 'without the daemon');
    is($t->get('/stats')->status, 503, 'pages say that it is away');
}


# frames of an old module

sub module {
    my $s = Statsd->start;
    my ($in, $now) = ('', int(time() * 1000));
    my $socket;

    my $greet = sub {
        $socket = IO::Socket::UNIX->new(Peer => $s->path('statsd'))
            or die "no connection: $!\n";
        $in = '';
        syswrite $socket, Wire1::hello(instance => 0xabc, keys => 1, pid => $$)
            . Wire1::encode('key', key => 0xa1b2c3d4, name => 'team-a',
                            weight => 1, enabled => 1)
            . Wire1::ready();
        return until_($socket, \$in, sub { $_[0]{type} eq 'ready' });
    };
    my @got = $greet->();

    is_deeply([ map { $_->{wrong} } grep { $_->{wrong} } @got ], [],
              'an old module understands what it is told');
    is("$got[0]{type} $got[0]{last} $got[-1]{type}", 'welcome 0 ready',
       'it is welcome');

    my $data = '{"messages":"' . 'x' x 100_000 . '"}';
    my @frames = (
        (map { Wire1::encode('request', seq => $_, id => $_, time => $now,
                             key => 0xa1b2c3d4, prompt => 10, completion => 5,
                             cached => 2, status => 200, certainty => 3,
                             total => 100, queue => $Wire1::none,
                             connect => 3, first_token => 20, model => 'm1',
                             client => '127.0.0.1', method => 'POST',
                             endpoint => '/api/chat', has_body => $_ == 1,
                             attempts => [ { key => 0xa1b2c3d4, ms => 50,
                                             status => 200 } ]) } 1 .. 50),
        Wire1::body(seq => 51, id => 1, time => $now, size => length $data,
                    data => $data),
        Wire1::encode('penalty', seq => 52, key => 0xa1b2c3d4, time => $now,
                      until => $now + 600_000, extra => 7, http => 429,
                      state => 3, level => 2, status => 'exhausted',
                      reason => 'session usage limit'),
        (map { Wire1::encode('request', seq => 53 + $_, id => 60 + $_,
                             time => $now, key => 0xa1b2c3d4, end => $_,
                             certainty => 2, status => 200, model => 'ends',
                             client => '127.0.0.1') } 0 .. $#Wire1::ends),
        Wire1::encode('outbox', time => $now, size => 1000, last_seq => 57,
                      workers => 2, running => 1),
        Wire1::encode('keystate', key => 0xa1b2c3d4, in_flight => 1, slots => 3,
                      usage => 750, status => 'exhausted',
                      until => $now + 600_000, state => 3),
        Wire1::encode('running', id => 90, time => $now, end => 8,
                      key => 0xa1b2c3d4, model => 'now', method => 'POST',
                      endpoint => '/api/chat', client => '127.0.0.1'),
        Wire1::encode('running_end', time => $now, total => 1));

    syswrite $socket, $_ for @frames;
    @got = until_($socket, \$in, sub { ($_[0]{last} // 0) >= 57 });
    is($got[-1]{last}, 57, 'all that is numbered is acknowledged');
    is_deeply([ map { $_->{wrong} } grep { $_->{wrong} } @got ], [],
              'in words that it knows');

    my $totals = sub { my $h = $s->health->{totals};
                       join ' ', @$h{qw/ requests prompt_tokens
                                         completion_tokens cached_tokens /} };

    is($totals->(), '55 500 250 100', 'and counted');
    is($s->health->{store}{malformed}, 0, 'all is understood');
    is($s->health->{ingest}{$_}, 0, "none is $_") for qw/ damaged foreign /;

    my ($q) = grep { ($_->{body}{size} // 0) } @{ $s->json('/queries?model=m1') },
              @{ $s->json('/queries?model=m1&limit=100') };

    is($q ? $s->get("/queries/$q->{id}/body")->{body} : '', $data,
       'a body, whole');
    is($q->{attempts}[0]{status}, 200, 'an attempt');
    is($q->{queue_ms}, undef, 'times that did not come');
    is(join(' ', sort map { $_->{end} } @{ $s->json('/queries?model=ends') }),
       join(' ', sort @Wire1::ends), 'all ends');
    is(scalar @{ $s->json('/stats/events') }, 1, 'a penalty');
    like($s->get('/metrics')->{body},
         qr/^ollama_proxy_key_slots\{key="team-a"\} 3$/m, 'the state of a key');
    like($s->get('/stats/running')->{body}, qr/"now"/, 'what runs');

    like(join('', grep { /0abc/ } split /^/, $s->output), $older,
         'the log says that the proxy is older');

    # the same again after a crash, and over another connection

    $s->crash;
    @got = $greet->();
    is($got[0]{last}, 57, 'what is committed stays so');
    is_deeply([ map { $_->{wrong} } grep { $_->{wrong} } @got ], [],
              'what it is given back is understood');

    my ($penalty) = grep { $_->{type} eq 'penalty' } @got;
    my ($usage) = grep { $_->{type} eq 'usage' } @got;
    my $sum = 0;

    is(join(' ', map { $_ // '' } @{ $penalty // {} }{qw/ state level extra
                                                          reason until /}),
       '3 2 7 session usage limit ' . ($now + 600_000), 'penalties, as they came');
    $sum += $_ for values %{ $usage->{minutes} // {} };
    is($sum, 750, 'and usage');

    syswrite $socket, $_ for @frames[30 .. 56];
    syswrite $socket, Wire1::encode('request', seq => 58, id => 100,
                                    time => $now, prompt => 1, certainty => 3);
    until_($socket, \$in, sub { ($_[0]{last} // 0) >= 58 });
    is($totals->(), '56 501 250 100', 'what comes again is not counted again');

    # a module of today beside it

    my $f = $s->frames(instance => 'def');

    $f->request(seq => 1, prompt => 1000);
    ok($f->acked(1), 'one of today beside it');
    is($totals->(), '57 1501 250 100', 'each counts');
    is($s->stop, 0, 'a clean end');
}


# reads frames until one of them is what was waited for

sub until_ {
    my ($socket, $in, $found) = @_;
    my $end = time() + 20;
    my @frames;

    while (time() < $end) {
        my $bits = '';

        vec($bits, fileno $socket, 1) = 1;
        next unless select $bits, undef, undef, 0.2;
        sysread $socket, $$in, 65536, length $$in or last;
        push @frames, Wire1::take($$in);
        last if grep { !$_->{wrong} && $found->($_) } @frames;
    }

    return @frames;
}


# a proxy whose daemon is an old one

sub with_old {
    my (%how) = @_;
    my $t = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
                       log => 'info', %how);

    $t->{daemon} = 0;
    $cloud->reset;
    old($t);

    return $t->run;
}


sub old {
    my ($t) = @_;

    $t->{old} = Process->start([ $^X, "$Process::root/t/tools/old-statsd",
                                 $t->dir . '/statsd.sock',
                                 $t->dir . '/ledger' ],
                               name => 'old-statsd', dir => $t->dir);
    $t->{old}->says(qr/listening/) or die $t->{old}->output;
}


sub ledger {
    my ($t, $type) = @_;

    return grep { $_->{type} eq $type }
           map { JSON::PP->new->latin1->decode($_) }
           Process::slurp($t->dir . '/ledger') =~ /^(.*)\n/mg;
}


sub understood {
    my ($t) = @_;
    my %wrong;

    $wrong{$_->{wrong}}++ for ledger($t, 'wrong');

    return join ', ', map { "$_ ($wrong{$_})" } sort keys %wrong;
}


# so many requests are in its ledger, each once, with the cloud's tokens

sub kept_by_old {
    my ($t, $n, $name) = @_;
    my $total = $cloud->ledger->{total};
    my (%id, $prompt, $completion);

    poll { $n <= ledger($t, 'request') } "$n requests";

    for my $q (ledger($t, 'request')) {
        $id{$q->{id}}++;
        next unless $q->{certainty} == 3;
        $prompt += $q->{prompt};
        $completion += $q->{completion};
    }

    is(scalar(ledger($t, 'request')), $n, "$name: each request");
    is((grep { $_ > 1 } values %id), 0, 'once');
    is("$prompt $completion", "$total->{prompt} $total->{completion}",
       'and each token');
}


sub daemon {
    my $t = with_old(workers => 2, keys => [ keys_of(4) ]);
    my $text = 'y' x 200_000;

    $t->chat for 1 .. 10;
    $t->chat(stream => 1, uri => $_, body => { max_tokens => 99 },
             headers => [ 'X-Ollama-Client' => 'ada' ])
        for qw! /api/chat /v1/chat/completions /v1/messages !;

    my $big = $t->chat(model => 'big', text => $text);

    $cloud->rules({ times => 2, match => { model => 'tried' },
                    preset => 'quota_session' },
                  { times => 1, match => { model => 'tried' },
                    preset => 'model_402' });
    $t->chat(model => 'tried');
    $cloud->rules({ times => -1, match => { model => 'said' },
                    preset => 'overloaded_503' });
    $t->chat(model => 'said');

    my $gone = $t->start_chat(model => 'gone', stream => 1,
                              sim => { words => 400, delay_ms => 20 });

    $gone->has(qr/(.*\n){3}/);
    poll { Http::turn(0.05, $gone); ledger($t, 'running') } 'one that runs';
    $gone->abort;

    kept_by_old($t, 17, 'with an old daemon');
    poll { 17 <= ledger($t, 'body') } 'their bodies';
    is(understood($t), '', 'all of it can be read there');

    my %of = map { $_->{model} => $_ } ledger($t, 'request');
    my ($body) = $big->{request} =~ /\r\n\r\n(.*)/s;
    my ($kept) = grep { $_->{id} == $of{big}{id} } ledger($t, 'body');

    is($kept->{sha256}, sha256_hex($body), 'a body, whole');
    is(scalar(ledger($t, 'body')), 17, 'and those of the others');
    is(join(' ', map { $_->{status} } @{ $of{tried}{attempts} }),
       '429 429 402 200', 'attempts');
    like($of{said}{reason}, qr/^Server overloaded/, 'reasons');
    is($Wire1::ends[$of{gone}{end}], 'client_gone', 'ends');
    is((grep { $_->{client_name} eq 'ada' } ledger($t, 'request')), 3, 'names');

    my %held = map { $_->{model} => $_->{reason} } ledger($t, 'penalty');

    like(join(' ', %held), qr/usage limit/, 'what is held against a key');
    ok(exists $held{tried}, 'and a model');
    ok(scalar(ledger($t, $_)), "state: $_")
        for qw/ hello key outbox keystate running running_end /;
    is(scalar(ledger($t, 'again')), 0, 'nothing is sent twice for no reason');

    like(join('', grep { /ollama-statsd/ } split /^/, $t->log),
         qr/\[(warn|notice)\].*($older)/, 'the log says that it is older');
    is((() = join('', grep { /ollama-statsd/ } split /^/, $t->log) =~ /$older/g)
       <= 2, 1, 'once');
    is((grep { $_->status != 200 } map { $t->get("/health/keys") } 1), 0,
       'the keys are told all the same');

    # it crashes; what it had not acknowledged comes again

    $t->{old}->stop('KILL');
    $t->chat for 1 .. 5;
    old($t);
    $t->chat for 1 .. 5;
    kept_by_old($t, 27, 'over a crash of it');
    ok($t->reload, 'reload');
    $t->chat for 1 .. 3;
    kept_by_old($t, 30, 'over a reload');
    is(understood($t), '', 'all of it can be read');
}


# what 0.1.0 has no word for is told in one that it has

sub worker {
    my $t = with_old(workers => 2);
    my @run = map { $t->start_chat(model => "cut-$_", stream => 1, timeout => 40,
                                   sim => { words => 2000, delay_ms => 20 }) }
              1 .. 6;

    $_->has(qr/(.*\n){3}/) for @run;
    $t->{allow} = qr/statsd|exited on signal 9/;
    kill 'KILL', $t->workers;
    Http::finish(@run);
    poll { $t->workers >= 2 } 'new workers';
    poll { 6 <= ledger($t, 'request') } 'six requests';

    my @kept = ledger($t, 'request');

    is(join(' ', sort map { $_->{model} } @kept),
       join(' ', map { "cut-$_" } 1 .. 6), 'kill -9: each request is told');
    is((grep { $_->{certainty} == 3 || !$_->{completion} } @kept), 0,
       'with what had been counted');
    is((grep { $_->{end} == 0 || !length $_->{reason} } @kept), 0,
       'not as a good end, but with a reason');
    is(understood($t), '', 'in words that an old daemon knows');

    @run = map { $t->start_chat(model => "stopped-$_", stream => 1,
                                sim => { words => 2000, delay_ms => 20 }) }
           1 .. 3;
    $_->has(qr/(.*\n){3}/) for @run;
    $t->{nginx}->stop('TERM');
    Http::finish(@run);
    poll { 9 <= ledger($t, 'request') } 'nine requests';
    is(join(' ', sort map { $_->{model} =~ /^(stopped-.)$/ } ledger($t, 'request')),
       'stopped-1 stopped-2 stopped-3', 'SIGTERM: likewise');
    is(understood($t), '', 'in words that it knows');
}


# the daemon is replaced while records wait: by a new one, and back again

sub replaced {
    my $t = with_old();

    $t->chat for 1 .. 10;
    kept_by_old($t, 10, 'an old daemon');

    Process::spill($t->dir . '/ledger.hold', '');
    $cloud->reset;
    $t->chat(model => "waits-$_", text => 'z' x 10_000) for 1 .. 20;
    $t->{old}->stop;
    $t->start_daemon;

    my $list = poll { my $l = $t->get('/queries?limit=100')->json;
                      ref $l && @$l >= 20 && $l } 'twenty requests';

    is(join(' ', sort map { $_->{model} } @{ $list // [] }),
       join(' ', sort map { "waits-$_" } 1 .. 20),
       'a new daemon gets what the old one had not kept');

    my ($q) = grep { $_->{model} eq 'waits-7' } @{ $list // [] };

    like(poll(sub { my $r = $t->get("/queries/$q->{id}/body");
                    $r->status == 200 && $r->body }, 'its body') // '',
         qr/z{9999}/, 'with bodies');
    is($t->get('/health')->json->{ingest}{damaged}, 0, 'none is damaged');

    my $sums = $t->get('/health')->json->{totals};
    my $total = $cloud->ledger->{total};

    is("$sums->{prompt_tokens} $sums->{completion_tokens}",
       "$total->{prompt} $total->{completion}", 'each token once');

    # back again

    $t->{daemon}->stop;
    $cloud->reset;
    unlink $t->dir . '/ledger.hold';
    $t->chat(model => "back-$_", text => 'z' x 10_000) for 1 .. 20;
    old($t);
    poll { 30 <= ledger($t, 'request') && 30 <= ledger($t, 'body') }
         'twenty more';
    is(join(' ', sort grep { /back/ } map { $_->{model} } ledger($t, 'request')),
       join(' ', sort map { "back-$_" } 1 .. 20),
       'the old one again: it gets what waited');
    is(scalar(ledger($t, 'request')), 30, 'and nothing that the new one has');
    is(understood($t), '', 'all of it can be read');
    is(scalar(grep { $_->{size} > 10_000 } ledger($t, 'body')), 20, 'with bodies');
}


# nginx starts anew: an old daemon gives back what it has

sub cold {
    my $t = with_old();

    $cloud->rules({ times => 1, match => { key => key_of(0) },
                    preset => 'quota_weekly' },
                  { times => 1, match => { key => key_of(1) },
                    preset => 'model_402' });
    $t->chat for 1 .. 9;

    my $before = $t->health;

    is($before->{key_0}{state}, 'exhausted', 'a penalty');
    is(scalar @{ $before->{key_1}{blocked_models} }, 1, 'a blocked model');
    poll { 2 <= ledger($t, 'penalty') && 9 <= ledger($t, 'request') }
         'the daemon has it';

    $t->{nginx}->stop;
    $t->{nginx} = $t->start_nginx;
    poll { $t->listening } 'nginx is back';

    my $after;

    poll { $after = $t->health;
           $after->{key_0}{state} eq 'exhausted' && $after->{key_2}{usage_2h} }
         'what it had';
    is($after->{"key_$_"}{state}, $before->{"key_$_"}{state}, "key_$_: its state")
        for 0 .. 2;
    is($after->{"key_$_"}{usage_2h}, $before->{"key_$_"}{usage_2h}, 'its usage')
        for 0 .. 2;
    is($after->{key_1}{blocked_models}[0]{model},
       $before->{key_1}{blocked_models}[0]{model}, 'its blocked model');
    is(understood($t), '', 'all of it can be read');
}
