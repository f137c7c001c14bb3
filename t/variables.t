#!/usr/bin/perl

# Tests for the variables at the log phase: a line of JSON a request, which
# says what the record says, and what the cloud did.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my @names = qw/ key attempts keys_tried statuses model client prompt_tokens
                completion_tokens cached_tokens certainty queue_time
                first_token_time state reason /;
my $absent = qr/statsd|http\.sock/;
my $format = join ',', qw/ "test":"$http_x_test" "status":"$status"
                           "upstream_status":"$upstream_status" /,
                       map { qq("$_":"\$ollama_$_") } @names;
my $t = Proxy->new(daemon => 1, allow => $absent,
    keys => [ map { { key => key_of($_), name => "team-$_" } } 0 .. 2 ],
    http => <<"EOC", locations => 'location = /outside { return 200 ok; }');
    log_format records escape=json '{$format}';
    log_format plain '\$http_x_test \$ollama_key \$ollama_attempts '
                     '\$ollama_certainty \$ollama_queue_time '
                     '\$ollama_first_token_time \$ollama_state';

    map \$ollama_attempts \$again { "" 0; "-" 0; 0 0; 1 0; default 1; }
    map \$ollama_state \$broken { default 0; ~_gone\$ 1; stream_error 1; }

    access_log %DIR%/records.log records;
    access_log %DIR%/plain.log plain;
    access_log %DIR%/again.log plain if=\$again;
    access_log %DIR%/broken.log plain if=\$broken;
EOC

my ($code, $output) = $t->nginx('-t');

if (!is($code, 0, 'nginx knows the variables')) {
    diag($output);
    finish();
    exit;
}

$t->run;

my $cloud = $t->cloud;
my $n = 0;
my @lines;


# how a request is told apart in the logs and in the records

sub marked {
    my (%how) = @_;
    my $mark = 'r' . ++$n;

    $how{headers} = [ 'X-Test' => $mark, @{ $how{headers} // [] } ];
    $how{model} //= "model-$mark";

    return ($mark, %how);
}


# the line of a log that begins so; undef means the same as nginx's "-"

sub line {
    my ($mark) = @_;

    my $line = poll {
        my ($found) = grep { /^\{"test":"$mark",/ }
                      split /\n/, Process::slurp($t->dir . '/records.log');
        $found && eval { JSON::PP->new->utf8->decode($found) };
    } "the line of $mark" or return {};

    for (values %$line) {
        $_ = undef if $_ eq '' || $_ eq '-';
    }

    push @lines, $line;

    return $line;
}


sub record {
    my ($model) = @_;

    return poll {
        my $list = $t->get("/queries?model=$model")->json;
        ref $list && $list->[0];
    } "the record of $model";
}


sub seconds { defined $_[0] ? sprintf '%.3f', $_[0] / 1000 : undef }


# a line and its record say the same; gives both

sub same {
    my ($name, $mark, $model) = @_;
    my $line = line($mark);
    my $q = record($model) // {};
    my @attempts = @{ $q->{attempts} // [] };

    is_deeply({ map { $_ => $line->{$_} }
                qw/ key attempts model prompt_tokens completion_tokens
                    cached_tokens certainty state reason status / },
              { key => $q->{key}, attempts => scalar @attempts || undef,
                model => $q->{model}, certainty => $q->{certainty},
                state => $q->{end}, reason => $q->{reason},
                status => $q->{status},
                # a request without tokens may say 0, or nothing
                map { $_ => defined $line->{$_} || $q->{$_} ? $q->{$_}
                                                            : undef }
                qw/ prompt_tokens completion_tokens cached_tokens / },
              "$name: as the record");
    is($line->{first_token_time}, seconds($q->{first_token_ms}),
       "$name: the first token's time");
    is($line->{queue_time} // '0.000', seconds($q->{queue_ms} // 0),
       "$name: the time in the queue");
    is($line->{statuses},
       @attempts ? join(', ', map { $_->{status} // '-' } @attempts) : undef,
       "$name: the statuses");
    is($line->{keys_tried},
       @attempts ? join(', ', map { $_->{key} } @attempts) : undef,
       "$name: the keys")
        unless grep { !exists $_->{key} } @attempts;

    return ($line, $q);
}


sub fresh {
    $cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0 .. 2;
}


# a plain answer

my ($mark, %how) = marked(headers => [ 'X-Ollama-Client' => 'ada' ],
                          text => 'x' x 400, sim => { cached => 1 });
my $r = $t->chat(%how);
my ($line, $q) = same('a plain answer', $mark, $how{model});
my $total = $cloud->ledger->{total};

is("$line->{prompt_tokens} $line->{completion_tokens} $line->{cached_tokens}",
   "$total->{prompt} $total->{completion} $total->{cached}",
   'as the cloud counted');
cmp_ok($line->{cached_tokens}, '>', 0, 'with cached ones');
is("$line->{certainty} $line->{state} $line->{statuses} $line->{attempts}",
   'exact done 200 1', 'exact, done, at the first try');
is($line->{key}, $r->header('x-ollama-key'), 'the key');
is($line->{keys_tried}, $line->{key}, 'just that one');
is($line->{client}, 'ada', 'the client');
is($line->{reason}, undef, 'no reason');

# streams

fresh();
($mark, %how) = marked(stream => 1, sim => { first_delay_ms => 150,
                                             words => 5, delay_ms => 10 });
$t->chat(%how);
($line) = same('a native stream', $mark, $how{model});
$total = $cloud->ledger->{total};
is("$line->{prompt_tokens} $line->{completion_tokens} $line->{state}",
   "$total->{prompt} $total->{completion} done", 'as the cloud counted');
like($line->{first_token_time}, qr/^\d+\.\d{3}$/, 'seconds as nginx writes them');
cmp_ok($line->{first_token_time}, '>=', 0.14, 'not before the cloud spoke');

fresh();
($mark, %how) = marked(stream => 1, uri => '/v1/chat/completions',
                       sim => { words => 7 });
$t->chat(%how);
($line) = same('an OpenAI stream', $mark, $how{model});
$total = $cloud->ledger->{total};
is("$line->{prompt_tokens} $line->{completion_tokens} $line->{certainty}",
   "$total->{prompt} $total->{completion} exact", 'as the cloud counted');

# two keys

fresh();
($mark, %how) = marked();
$cloud->rules({ times => 1, match => { model => $how{model} },
                preset => 'quota_session' });
$r = $t->chat(%how);
($line) = same('another key', $mark, $how{model});

my %name = map { key_of($_) => "team-$_" } 0 .. 2;
my @tried = map { $name{$_->{key}} } $cloud->requests(2);

is("$line->{attempts} $line->{statuses}", '2 429, 200', 'two attempts');
is($line->{statuses}, $line->{upstream_status}, 'written as nginx does');
is($line->{keys_tried}, "$tried[0], $tried[1]", 'the keys, as the cloud saw them');
isnt($tried[0], $tried[1], 'which are two');
is($line->{key}, $tried[1], 'the last one answered');
is("$line->{state} $line->{certainty}", 'done exact', 'as if nothing had been');

# an error that is no key's fault

fresh();
($mark, %how) = marked();
$cloud->rules({ times => -1, match => { model => $how{model} },
                preset => 'overloaded_503' });
$t->chat(%how);
($line) = same('an overloaded cloud', $mark, $how{model});
@tried = map { $name{$_->{key}} } $cloud->requests(2);
is("$line->{attempts} $line->{statuses} $line->{status}", '2 503, 503 503',
   'two attempts');
is($line->{keys_tried}, "$tried[0], $tried[1]", 'with two keys');
is("$line->{certainty} $line->{state}", 'none done', 'no tokens');
like($line->{reason}, qr/^Server overloaded/, 'in the words of the cloud');

# refused: no key is left

fresh();
$t->post("/health/keys/$_/penalize?seconds=600", '') for 0 .. 2;
($mark, %how) = marked();
$r = $t->chat(%how);
($line) = same('a refusal', $mark, $how{model});
is("$line->{status} $line->{state}", $r->status . ' local', 'by the proxy');
is_deeply([ @$line{qw/ key attempts keys_tried statuses first_token_time /} ],
          [ (undef) x 5 ], 'nothing of keys');
is($line->{reason}, $r->json->{error}, 'with the words that the client got');
fresh();

# one that waits

my $u = Proxy->new(cloud => $cloud, daemon => 1, allow => $absent,
    keys => [ { key => key_of(5), max_concurrent => 1 } ],
    http => "log_format records escape=json '{$format}'; "
            . 'access_log %DIR%/records.log records;')->run;
my $slow = $u->start_chat(sim => { first_delay_ms => 60000 });

poll { Http::turn(0, $slow); $u->in_flight } 'the slot is taken';

my $queued = $u->start_chat(headers => [ 'X-Test' => 'waits' ]);

poll { Http::turn(0, $queued);
       $u->get('/stats/running')->body =~ /"waiting".*"queue_ms":[1-9]/s }
     'it waits, for a time that can be told';
$slow->abort;
Http::finish($queued);

my ($waits) = poll { Process::slurp($u->dir . '/records.log')
                     =~ /^\{"test":"waits".*"queue_time":"(\d+\.\d{3})"/m
                     && $1 } 'its line';

cmp_ok($waits // 0, '>', 0, 'time in the queue');
cmp_ok($waits // 99, '<', 20, 'in seconds');

# a client that hangs up

($mark, %how) = marked(stream => 1, sim => { words => 400, delay_ms => 20 });
$r = $t->start_chat(%how);
$r->has(qr/(.*\n){3}/);
$r->abort;
($line) = same('a client that hung up', $mark, $how{model});
is("$line->{state} $line->{statuses}", 'client_gone 200', 'said so');
isnt($line->{certainty}, 'exact', 'the tokens are not exact');
cmp_ok($line->{completion_tokens} // 0, '>', 0, 'but there are some');

# answers that break

($mark, %how) = marked(stream => 1, sim => { reset_after_bytes => 200 });
$t->chat(%how);
($line) = same('a cloud that hung up', $mark, $how{model});
is($line->{state}, 'upstream_gone', 'said so');

($mark, %how) = marked(stream => 1, sim => { words => 9, error_after => 3 });
$t->chat(%how);
($line) = same('an error inside a 200', $mark, $how{model});
is("$line->{state} $line->{status}", 'stream_error 200', 'said so');
like($line->{reason} // '', qr/\w/, 'with a reason');

# what is answered here, and what is none of ours

$t->get('/api/version', headers => [ 'X-Test' => 'version' ]);
$line = line('version');
is($line->{state}, 'local', 'answered here');
is_deeply([ @$line{qw/ key attempts keys_tried statuses model certainty /} ],
          [ (undef) x 5, $line->{certainty} && 'none' ], 'without the cloud');

$t->get('/outside', headers => [ 'X-Test' => 'outside' ], only => 1);
$line = line('outside');
is($line->{status}, 200, 'a page that is not Ollama\'s');
is_deeply([ grep { defined $line->{$_} } @names ], [], 'has none of it');
poll { Process::slurp($t->dir . '/plain.log') =~ /^outside/m } 'a line of it';
like(Process::slurp($t->dir . '/plain.log'), qr/^outside - - - - - -$/m,
     'which a log says with dashes');

# variables in map

my $again = Process::slurp($t->dir . '/again.log');
my $broken = Process::slurp($t->dir . '/broken.log');

is(join(' ', sort $again =~ /^(\S+) /mg),
   join(' ', sort map { $_->{test} } grep { ($_->{attempts} // 0) > 1 } @lines),
   'a log of those that were tried again');
cmp_ok(scalar(() = $again =~ /\n/g), '>=', 2, 'which are some');
is(join(' ', sort $broken =~ /^(\S+) /mg),
   join(' ', sort map { $_->{test} }
                  grep { ($_->{state} // '') =~ /_gone$|^stream_error$/ }
                  @lines), 'a log of those that broke');
is(scalar(() = $broken =~ /\n/g), 3, 'which are three');

# the format of the sample: JSON, whatever there is

my ($sample) = Process::slurp("$Process::root/conf/nginx.conf")
               =~ /^ +(log_format ollama .*?;)$/ms;

ok($sample, 'conf/nginx.conf has a format');

my $j = Proxy->new(cloud => $cloud, locations => 'location = /outside '
                   . '{ return 200 ok; }',
    http => ($sample // '') . ' access_log %DIR%/sample.log ollama;')->run;
my $odd = qq(odd "quoted" \\ caf\xc3\xa9 \t);

$j->chat(headers => [ 'X-Ollama-Client' => $odd ], model => 'mo"del');
$cloud->rules({ times => -1, match => { model => 'said' }, status => 503,
                body => '{"error":"\"quoted\" \\u00e9\\n\\u0001"}' });
$j->chat(model => 'said');
$j->get('/outside', only => 1);
$j->get('/api/version');
$j->start('GET', '/', raw => "GET / HTTP/1.1\r\nHost: x y\r\n\r\n")->started;

my $written = sub { split /\n/, Process::slurp($j->dir . '/sample.log') };

poll { 5 <= (() = $written->()) } 'five lines';

my @json = map { eval { JSON::PP->new->utf8->decode($_) } || $_ } $written->();

is_deeply([ grep { !ref } @json ], [], 'each line is JSON');
is(scalar @json, 5, 'five lines');
is($json[0]{model}, 'mo"del', 'a model, escaped') if ref $json[0];

# a map that is asked early tells what is known then, and spoils nothing

my $v = Proxy->new(cloud => $cloud,
    http => 'map $ollama_state $early { default "state:$ollama_state"; } '
            . "log_format records escape=json '{$format}'; "
            . 'access_log %DIR%/records.log records;',
    server => 'add_header X-Early "$early $ollama_attempts" always; '
              . 'set $asked "$ollama_state$ollama_key$ollama_statuses";')->run;

is($v->chat(headers => [ 'X-Test' => 'early' ])->status, 200, 'asked early');
like(poll(sub { Process::slurp($v->dir . '/records.log') =~ /^(.*"early".*)$/m
                && $1 }, 'its line') // '',
     qr/"attempts":"1".*"statuses":"200".*"certainty":"exact".*"state":"done"/,
     'the log is right all the same');

finish();
