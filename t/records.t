#!/usr/bin/perl

# Tests for records: what is kept of a request, and that it is kept, whatever
# the daemon does meanwhile.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Poll;
use Process;
use Proxy;
use Test::More;
use Time::HiRes qw/ time /;

my $absent = qr/statsd|http\.sock/;
my $began = time();
my @k = keys_of(3);
my $t = Proxy->new(daemon => 1, allow => $absent,
                   keys => [ { key => $k[0], name => 'team-a', account => 'a' },
                             @k[1, 2] ])->run;
my $cloud = $t->cloud;
my $n = 0;


# the record of the request with this model, when it is there

sub record {
    my ($of, $model) = @_;

    return poll {
        my $list = $of->get("/queries?model=$model")->json;
        ref $list && $list->[0];
    } "the record of $model";
}


# a chat under a new name, and what is recorded of it

sub recorded {
    my ($of, %how) = @_;
    my $model = 'record-' . ++$n;
    my $r = $of->chat(model => $model, %how);

    return (record($of, $model), $r);
}


sub fingerprint { substr sha256_hex($_[0]), 0, 8 }


sub kept {
    my ($of, $record) = @_;

    # it follows its record

    return poll {
        my $r = $of->get("/queries/$record->{id}/body");
        $r->status == 200 && $r;
    } 'a body';
}

# the fields

my ($q, $r) = recorded($t, stream => 1, text => 'x' x 400, headers =>
    [ 'X-Forwarded-For' => '203.0.113.7', 'X-Real-IP' => '203.0.113.8',
      'User-Agent' => 'a-test/1.0', 'X-Ollama-Client' => 'ada' ],
    sim => { first_delay_ms => 200, words => 5, delay_ms => 20, cached => 1 });
my $sent = $cloud->last;
my $key = fingerprint($sent->{key});

is($q->{client_ip}, '127.0.0.1', 'the address, not what was forwarded');
is($q->{client_name}, 'ada', 'the name that the client gives itself');
is($q->{user_agent}, 'a-test/1.0', 'its program');
is("$q->{method} $q->{endpoint}", 'POST /api/chat', 'method and endpoint');
is($q->{model_answered}, $q->{model}, 'the model that answered');
is($q->{key_fingerprint}, $key, 'the key');
is($q->{key}, $r->header('x-ollama-key'), 'by its name');
is($q->{status}, 200, 'the status');
is("$q->{prompt_tokens} $q->{completion_tokens} $q->{cached_tokens}",
   '103 5 51', 'tokens');
is($q->{certainty}, 'exact', 'which are exact');
is($q->{end}, 'done', 'to the end');
is($q->{streamed}, JSON::PP::true, 'streamed');
is($q->{bytes_in}, length(($r->{request} =~ /\r\n\r\n(.*)/s)[0]), 'bytes in');
is($q->{bytes_out}, length $r->body, 'bytes out');
is($q->{upstream_id}, $r->header('x-request-id'), 'the id of the cloud');
like($q->{upstream_id}, qr/^[0-9a-f]{32}$/, 'is one');
is($q->{queue_ms}, 0, 'did not wait');
cmp_ok($q->{connect_ms}, '<', 100, 'connected at once');

# not shorter than the cloud took, nor longer than the client had to wait
my ($first, $end) = map { ($_->[0] - $r->sent) * 1000 } ($r->pieces)[0, -1];

cmp_ok($q->{first_token_ms}, '>', 190, 'the first token');
cmp_ok($q->{first_token_ms}, '<', $first + 20, 'as the client saw it');
cmp_ok($q->{total_ms}, '>', 270, 'the whole');
cmp_ok($q->{total_ms}, '<', $end + 20, 'likewise');
like($q->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'when');
is(scalar @{ $q->{attempts} }, 1, 'one attempt');
is("$q->{attempts}[0]{key_fingerprint} $q->{attempts}[0]{status}",
   "$key 200", 'with this key');

($q) = recorded($t);
is($q->{streamed}, JSON::PP::false, 'not streamed');
is($q->{client_name}, undef, 'nobody in particular');

($q) = recorded($t, only => 1, headers =>
    [ Authorization => 'Basic ' . do { require MIME::Base64;
          MIME::Base64::encode_base64("grace:$Proxy::token", '') } ]);
is($q->{client_name}, 'grace', 'the name in Basic');

$t->chat(model => 'suffixed:20b-cloud', uri => '/api/api/chat');
$q = record($t, 'suffixed:20b');
is($q->{endpoint}, '/api/chat', 'a path that was put right');
is($q->{model}, 'suffixed:20b', 'a model without "-cloud"');

$t->get('/api/tags');
$q = poll { (grep { $_->{endpoint} eq '/api/tags' }
             @{ $t->get('/queries')->json })[0] } 'the record of /api/tags';
is("$q->{method} $q->{status} $q->{certainty}", 'GET 200 none',
   'a page without tokens');

# attempts

$cloud->rules({ times => 1, match => { model => 'tried' },
                preset => 'quota_session' },
              { times => 1, match => { model => 'tried' },
                preset => 'unauthorized' });
$t->chat(model => 'tried');
$q = record($t, 'tried');

my @attempts = @{ $q->{attempts} };
my %tried = map { $_->{key_fingerprint} => 1 } @attempts;

is(join(' ', map { $_->{status} } @attempts), '429 401 200', 'three attempts');
is(scalar keys %tried, 3, 'with three keys');
is($q->{key_fingerprint}, $attempts[2]{key_fingerprint}, 'the last one counts');
is($q->{status}, 200, 'and its status');
$t->post("/health/keys/$_/reset", '') for 0 .. 2;

# answered by the proxy

$cloud->rules({ times => -1, match => { model => 'none-left' },
                preset => 'quota_weekly' });
$t->chat(model => 'none-left') for 1 .. 2;
$t->post("/health/keys/$_/reset", '') for 0 .. 2;

my @left;

poll { @left = @{ $t->get('/queries?model=none-left')->json }; @left == 2 }
     'two refusals';

is("$left[1]{status} $left[1]{end}", '429 done', 'the cloud\'s refusal');
is($left[0]{end}, 'local', 'then the proxy\'s own');
is(scalar @{ $left[0]{attempts} }, 0, 'without an attempt');
like($left[0]{reason}, qr/\w/, 'with its reason');
is($left[0]{key_fingerprint}, undef, 'and without a key');

# what the cloud said of its errors

sub said {
    my ($name, %rule) = @_;

    $cloud->rules({ times => -1, match => { model => $name }, %rule });
    $t->chat(model => $name);

    return record($t, $name);
}

$q = said('said-503', preset => 'overloaded_503');
is("$q->{status} $q->{end}", '503 done', 'an error of the cloud');
like($q->{reason}, qr/^Server overloaded, please retry shortly \(ref: /,
     'has the cloud\'s own words');
$q = said('said-html', preset => 'bad_gateway_html_502');
is($q->{reason}, 'a page of HTML came instead of JSON', 'but no HTML');
$q = said('said-object', status => 400,
          body => '{"error":{"message":"caf\u00e9 ' . 'x' x 400 . '"}}');
like($q->{reason}, qr/^caf\x{e9} x{200,255}$/, 'cut, and decoded');
{
    # the client gets what the cloud said, as it came; no file does
    local $Http::inspect;
    $q = said('said-key', status => 400,
              body => qq({"error":"no key $k[0] $k[1] $k[2]"}));
}
is($q->{reason}, undef, 'nothing that repeats the key');

$cloud->rules({ times => 1, match => { model => 'said-once' },
                preset => 'overloaded_503' });
$t->chat(model => 'said-once');
$q = record($t, 'said-once');
is("$q->{status} " . @{ $q->{attempts} }, '200 2', 'served after an error');
is($q->{reason}, undef, 'there is no reason');

# bodies

($q, $r) = recorded($t, text => "k\x{e4}se " x 100);
my ($body) = $r->{request} =~ /\r\n\r\n(.*)/s;
is_deeply($q->{body}, { size => length $body, truncated => JSON::PP::false },
          'a body is kept');
is(kept($t, $q)->body, $body, 'as it came');

($q, $r) = recorded($t, text => 'y' x 1_500_000);
($body) = $r->{request} =~ /\r\n\r\n(.*)/s;
is_deeply($q->{body}, { size => length $body, truncated => JSON::PP::true },
          'of one that is too long');
is(kept($t, $q)->body, substr($body, 0, 1048576), 'the first MiB');
is(kept($t, $q)->header('x-ollama-body-truncated'), 1, 'is marked');

($q) = recorded($t, headers => [ 'X-Ollama-No-Log' => 1 ]);
isnt($q->{body}, undef, 'X-Ollama-No-Log has to be allowed');

$t->post('/v1/chat/completions', '{"messages":[],"stream":true,'
         . '"model":"edited:cloud","_sim":{"words":3}}');
$q = record($t, 'edited');
like(kept($t, $q)->body, qr/^\{"messages":.*edited:cloud.*\}\}$/,
     'the body is the client\'s, not the one that the cloud gets');
unlike(kept($t, $q)->body, qr/include_usage/, 'without what was added');

# other settings: real_ip, short bodies, a slot

my $u = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
    keys => [ { key => key_of(5), max_concurrent => 1 } ],
    params => { client_body_buffer_size => '16k' },
    server => 'set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; '
              . 'ollama_bodies 4m; ollama_no_log on;')->run;

($q) = recorded($u, headers => [ 'X-Forwarded-For' => '203.0.113.7' ]);
is($q->{client_ip}, '203.0.113.7', 'with real_ip: what the proxy before says');
($q) = recorded($u, headers => [ 'X-Forwarded-For' => '2001:db8::1' ]);
is($q->{client_ip}, '2001:db8::1', 'an IPv6 address');
($q) = recorded($u, headers => [ 'X-Forwarded-For' => '<b>"../..' ]);
is($q->{client_ip}, '127.0.0.1', 'nothing that is no address');

($q, $r) = recorded($u, text => join '', map { "$_ " } 1 .. 300_000);
($body) = $r->{request} =~ /\r\n\r\n(.*)/s;
ok(kept($u, $q)->body eq $body, 'a body from a file, whole');
is($q->{bytes_in}, length $body, 'and its size');

$body = '{"model":"in-chunks","messages":[{"role":"user","content":"'
        . 'z' x 200_000 . '"}],"stream":false}';
$u->request('POST', '/api/chat', chunked => [ unpack '(a7001)*', $body ]);
$q = record($u, 'in-chunks');
ok(kept($u, $q)->body eq $body, 'a body in chunks, from a file');

($q) = recorded($u, headers => [ 'X-Ollama-No-Log' => 1 ]);
is($q->{body}, undef, 'X-Ollama-No-Log: no body');
is($q->{certainty}, 'exact', 'but a record');
is($u->get("/queries/$q->{id}/body")->status, 404, 'none to be had');

my $slow = $u->start_chat(model => 'slow', sim => { first_delay_ms => 300 });
poll { Http::turn(0, $slow); $u->in_flight } 'the slot is taken';
($q) = recorded($u);
Http::finish($slow);
cmp_ok(abs($q->{queue_ms} - 300), '<', 100, 'time in the queue')
    or diag($q->{queue_ms});
cmp_ok($q->{total_ms}, '>=', $q->{queue_ms}, 'is a part of all');

# what becomes of attempts without an answer

my $nobody = Process::port();
my $v = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
    servers => "server 127.0.0.1:$nobody max_fails=0; "
               . 'server 127.0.0.1:%CLOUD% max_fails=0;')->run;

for my $try (1 .. 2) {
    $v->chat(model => "nobody-$try");
    @attempts = @{ record($v, "nobody-$try")->{attempts} };
    last if @attempts > 1;
}

is($attempts[0]{cause}, 'connect', 'nobody listens');
is($attempts[0]{status}, undef, 'no status');
is("$attempts[1]{cause} $attempts[1]{status}", 'answered 200',
   'somebody answers');

# a connection that had been kept might be closed by chance: here is none

my $w = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
                   balancer => 'ollama_keys;')->run;

$cloud->rules({ times => 1, match => { model => 'cut' },
                close => 'before_headers' },
              { times => 1, match => { model => 'cut' }, delay_ms => 300,
                preset => 'overloaded_503' });
$w->chat(model => 'cut');
$q = record($w, 'cut');
@attempts = @{ $q->{attempts} };

is($attempts[0]{cause}, 'closed', 'a closed connection');
is($attempts[0]{status}, undef, 'no status, either');
is($attempts[1]{status}, 503, 'then an error');
cmp_ok(abs($attempts[1]{ms} - 300), '<', 60, 'after 300 ms');
is("$q->{status} $q->{certainty} $q->{total_tokens}", '503 none 0',
   'which is what the client got');

$cloud->rules({ times => 2, status => 503, close => 'after_headers' });
($q, my $broken) = recorded($w);
is("$q->{status} " . $broken->status, '503 503', 'so it is of one cut off');

# an attempt ends with its answer, however long that is kept

my $one = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
    keys => [ keys_of(1) ],
    balancer => "ollama_keys; ollama_queue 8 timeout=20s;")->run;

$cloud->rules({ times => 1, preset => 'concurrent',
                headers => { 'retry-after' => 2 } });
($q) = recorded($one);
@attempts = @{ $q->{attempts} // [] };

is(join(' ', map { $_->{status} } @attempts), '429 200', 'no slot, then one');
cmp_ok($q->{queue_ms}, '>', 500, 'waited for');
cmp_ok($q->{queue_ms} + ($attempts[0]{ms} // 0), '<=', $q->{total_ms} + 10,
       'between the attempts, and not in one');

# the daemon comes late

my $late = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
                      server => 'ollama_bodies off;');

$late->{daemon} = 0;
$late->run;
$cloud->reset;

is(scalar(grep { $late->chat->status == 200 } 1 .. 50), 50,
   'fifty chats without the daemon');
like($late->log, qr/\[warn\].*ollama-statsd.*cannot be reached/,
     'which the log says');
is(() = $late->log =~ /\[warn\].*ollama-statsd/g, 1, 'once');

$late->start_daemon;
poll { @{ $late->get('/queries')->json // [] } >= 50 } 'fifty records';
same($late, 'fifty records of what was before');
is($late->get('/queries')->json->[0]{body}, undef, 'ollama_bodies off');

# it goes, and comes again; nothing twice

$late->{daemon}->stop('KILL');
$late->chat for 1 .. 20;
$late->start_daemon;
$late->chat for 1 .. 20;
poll { sums($late)->{requests} >= 90 } 'forty more';
same($late, 'over a kill of the daemon');
ok($late->reload, 'reload');
$late->chat for 1 .. 20;
poll { sums($late)->{requests} >= 110 } 'and twenty';
same($late, 'over a reload');


sub sums {
    my ($of) = @_;
    return $of->get('/health')->json->{totals} // { requests => 0 };
}


sub same {
    my ($of, $name) = @_;
    my $total = $cloud->ledger->{total};
    my $sums = sums($of);

    is(join(' ', @$sums{qw/ requests prompt_tokens completion_tokens /}),
       join(' ', @$total{qw/ requests prompt completion /}), $name);
}

# a restart of nginx, all of its memory lost

$cloud->rules({ times => 1, match => { key => $k[0] },
                preset => 'quota_weekly' },
              { times => -1, match => { key => $k[1] }, preset => 'model_402' },
              { times => 1, match => { key => $k[2] }, preset => 'unknown_429',
                headers => { 'retry-after' => 700 } });
$late->chat for 1 .. 12;
$late->post('/health/keys/1/penalize?seconds=700', '');

my $before = $late->health;

is(join(' ', map { $before->{"key_$_"}{state} } 0 .. 2),
   'exhausted penalized paused', 'three penalties');
is(scalar @{ $before->{key_1}{blocked_models} }, 1, 'and a blocked model');

poll { @{ $late->get('/stats/events')->json } >= 4 } 'the daemon knows them';
poll { sums($late)->{requests} >= $cloud->ledger->{total}{requests} - 3 }
     'and the usage';

$late->{nginx}->stop;
$late->{nginx} = $late->start_nginx;
poll { $late->listening } 'nginx is back';

my $after;

poll { $after = $late->health; $after->{key_0}{state} ne 'healthy' }
     'penalties are back';
poll { $after = $late->health; $after->{key_1}{usage_2h} } 'so is usage';

for my $name (map { "key_$_" } 0 .. 2) {
    my ($old, $new) = ($before->{$name}, $after->{$name});

    is("$new->{state} $new->{status} $new->{backoff_level} $new->{eligible}",
       "$old->{state} $old->{status} $old->{backoff_level} $old->{eligible}",
       "$name is as it was");
    cmp_ok(abs($new->{expires_in} - $old->{expires_in}), '<=', 5,
           'to the same deadline');
    is($new->{usage_2h}, $old->{usage_2h}, 'with the same usage');
    is(scalar @{ $new->{blocked_models} }, scalar @{ $old->{blocked_models} },
       'and blocked models');
}

$late->post('/health/keys/2/reset', '');
is(join(' ', $late->answered_by(3)), 'key_2 key_2 key_2',
   'what is held against a key holds');

# a new start learns what was taken back, too

poll { my $e = $late->get('/stats/events')->json->[0];
       ($e->{key} // '') eq 'key_2' } 'the daemon knows of the reset';
$late->{nginx}->stop;
$late->{nginx} = $late->start_nginx;
poll { $late->listening } 'nginx is back again';
poll { $late->health(0)->{state} eq 'exhausted' } 'one penalty is back';
is($late->health(2)->{state}, 'healthy', 'the other was taken back');

# a full outbox

my $full = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud);
my $conf = "$full->{dir}/nginx.conf";

Process::spill($conf, Process::slurp($conf)
                      =~ s/(ollama_statsd [^;]*);/$1 outbox=256k;/r);
$full->{daemon} = 0;
$full->run;
$cloud->reset;

my $text = 'w' x 2000;

for (1 .. 75) {
    Http::finish(map { $full->start_chat(text => $text) } 1 .. 20);
}

is(sum_ok($cloud), 1500, '1,500 chats with a full outbox');
$full->start_daemon;

my %metrics;

poll {
    %metrics = $full->get('/metrics')->body =~ /^(ollama_\w+) ([\d.e+]+)$/mg;
    $metrics{ollama_proxy_outbox_dropped_records_total}
} 'drops are told';

my $dropped = $metrics{ollama_proxy_outbox_dropped_records_total};

poll { sums($full)->{requests} + $dropped >= 1500 } 'the rest has come';

cmp_ok($dropped, '>', 100, "the oldest are dropped: $dropped");
is(sums($full)->{requests} + $dropped, 1500, 'each counted, none lost');
cmp_ok($metrics{ollama_proxy_outbox_dropped_bodies_total}, '>', 0,
       'bodies went first');
cmp_ok($metrics{ollama_proxy_outbox_used_bytes}, '<=',
       $metrics{ollama_proxy_outbox_size_bytes}, 'within its size');

my $health = $full->get('/health')->json;

is($health->{proxies}[0]{outbox}{dropped_records}, $dropped, '/health says so');
is($full->chat->status, 200, 'chats go on');
is(scalar(grep { !defined $_->{model} } @{ $full->get('/queries')->json }), 0,
   'records are whole');


sub sum_ok { $_[0]->ledger->{total}{ok} }


cmp_ok(time() - $began, '<', 60, 'all of it within a minute');

finish();
