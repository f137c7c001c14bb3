#!/usr/bin/perl

# Tests for conversations: their turns go to the account of the turn before,
# while that costs nobody anything; new ones spread as ever.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Http;
use Proxy;
use Test::More;

my @k = keys_of(3);


# one of three accounts each, whoever says what about conversations

sub proxy {
    my ($affinity, %more) = @_;

    return Proxy->new(keys => [ @k ], balancer =>
        "ollama_keys; $affinity $Proxy::no_keepalive",
        server => 'add_header X-Seen $ollama_affinity always;', %more);
}


# a turn of a chat: what was said until then, again

sub turn {
    my ($t, $name, $n, %how) = @_;

    my @messages = ({ role => 'system', content => 'Be short.' },
                    { role => 'user', content => "Hello, this is $name." });

    push @messages, { role => 'assistant', content => "answer $_" },
                    { role => 'user', content => "and $_?" } for 2 .. $n;

    return $t->chat(body => { messages => \@messages }, %how);
}


sub how { return $_[0]->header('x-ollama-affinity') // 'none' }
sub by { return $_[0]->header('x-ollama-key') // 'none' }


my $t = proxy('')->run;
my (%at, %new, %later, %failed);

# a turn of each, then the next turn of each

for my $n (1 .. 10) {
    for my $c (1 .. 30) {
        my $answer = turn($t, "conversation $c", $n);

        $failed{$c}++ if $answer->status != 200;

        if ($n == 1) {
            $new{by($answer)}++;
            $at{$c} = by($answer);
            $later{how($answer) . ', first'}++;
        }
        else {
            $later{how($answer)}++;
            $later{elsewhere}++ if by($answer) ne $at{$c};
        }
    }
}

is_deeply(\%failed, {}, '30 conversations of 10 turns');
is_deeply(\%later, { 'new, first' => 30, kept => 270 },
          'are kept, all of them, from the second turn on');
is(scalar(grep { abs($_ - 10) <= 1 } values %new), 3, 'new ones spread evenly')
    or diag(explain(\%new));

# over a reload

ok($t->reload, 'a reload');
is_deeply([ map { how(turn($t, "conversation $_", 11)) } 1 .. 30 ],
          [ ('kept') x 30 ], 'keeps them');

# an account that has nothing left

my ($key) = $at{1} =~ /(\d)$/;
my @its = grep { $at{$_} eq $at{1} } 1 .. 30;

$t->cloud->rules({ match => { key => $k[$key] }, times => -1,
                   preset => 'quota_weekly' });

my @moved = map { turn($t, "conversation $_", 12) } @its;

is_deeply([ map { $_->status . how($_) } @moved ], [ ('200moved') x @its ],
          'those of an exhausted account go on at once, with another');
is_deeply([ map { how(turn($t, "conversation $its[$_]", 13)) . ' '
                  . by(turn($t, "conversation $its[$_]", 14)) } 0 .. $#its ],
          [ map { 'kept ' . by($_) } @moved ], 'and stay there');
$t->cloud->reset;

# one that is refused for once

my $fresh = proxy('', cloud => $t->cloud)->run;
my $first = turn($fresh, 'one', 1);
($key) = by($first) =~ /(\d)$/;

$fresh->cloud->rules({ match => { key => $k[$key] }, times => 1,
                       preset => 'concurrent' });
my $second = turn($fresh, 'one', 2);

is($second->status . ' ' . how($second) . ' '
   . $second->header('x-ollama-attempts'), '200 moved 2',
   'a turn that another account has answered has moved');
is(by(turn($fresh, 'one', 3)), by($second), 'to that one');

# who it is

for my $name ('X-Ollama-Session', 'X-Claude-Code-Session-Id', 'Session-Id',
              'X-Session-Id', 'x-opencode-session')
{
    my @headers = (headers => [ $name => "abc of $name" ]);

    is(join(' ', map { how($fresh->chat(text => "say $_", @headers)) } 1 .. 3),
       'new kept kept', $name);
}

my @both = map { [ 'Session-Id' => $_->[0], 'X-Ollama-Session' => $_->[1] ] }
           [ 1, 2 ], [ 3, 2 ], [ 1, 4 ];

is(join(' ', map { how($fresh->chat(headers => $_)) } @both), 'new kept new',
   'the first of two holds');

is(join(' ', map { how($fresh->chat(uri => '/v1/chat/completions',
                                    text => "say $_", body =>
                                    { prompt_cache_key => 'k' })) } 1 .. 3),
   'new kept kept', 'prompt_cache_key');

my %message = (uri => '/v1/messages', body => { max_tokens => 9,
               metadata => { user_id => 'u' } });

is(join(' ', map { how($fresh->chat(%message, text => "say $_")) } 1 .. 3),
   'new kept kept', 'user_id');

# a client's own

my @session = ('X-Ollama-Session' => 'same');
my @clients = map { [ @session, 'X-Ollama-Client' => $_ ] } qw/ ann bob /;
my @answers = map { $fresh->chat(headers => $_) } @clients, @clients;

is(join(' ', map { how($_) } @answers), 'new new kept kept',
   'two clients with the same session are apart');
isnt(by($answers[0]), by($answers[1]), 'with two accounts');

# the same question again is no turn

my $even = proxy('', cloud => $t->cloud)->run;

is(join(' ', sort $even->answered_by(3, text => 'the same')),
   'key_0 key_1 key_2', 'equal beginnings spread');

# none

is(how($fresh->request('POST', '/api/generate', json => { model => 'm',
       prompt => 'a', context => [ 1 ], stream => JSON::PP::false })),
   'none', 'a prompt has no turns');
is(how($fresh->get('/api/tags')), 'none', 'nor has what is no inference');
is($answers[2]->header('x-seen'), 'kept', '$ollama_affinity');

my $off = proxy('ollama_affinity off;', cloud => $t->cloud)->run;

is(how($off->chat(headers => \@session)) . how($off->chat(headers =>
   \@session)), 'nonenone', 'off');

# a slack of nothing

my $tight = proxy('ollama_affinity on slack=0%,0 ttl=1m sessions=100;',
                  cloud => $t->cloud)->run;
my %by;

$by{by($tight->chat(headers => \@session))}++ for 1 .. 9;
is_deeply(\%by, { key_0 => 3, key_1 => 3, key_2 => 3 },
          'without slack it goes wherever the least load is');

# what nginx -t says

sub told {
    my ($affinity, %more) = @_;
    my ($code, $output) = proxy($affinity, cloud => 0, %more)->nginx('-t');

    return $code ? $output : 'ok';
}

like(told('ollama_affinity maybe;'), qr/"maybe", expected "on" or "off"/,
     'neither on nor off');
like(told('ollama_affinity off ttl=1h;'), qr/"ttl=1h": "off" takes none/,
     'off with a parameter');
like(told('ollama_affinity on ttl=soon;'), qr/"ttl=soon", expected a time/,
     'a wrong time');
like(told("ollama_affinity on slack=$_;"), qr/"slack=\Q$_\E", expected a share/,
     "a slack of $_") for '25', '2m', '25%', '25%,x', '9999%,1', '1%,9999m';
like(told("ollama_affinity on sessions=$_;"),
     qr/"sessions=$_", expected a number between 100 and 10m/,
     "$_ conversations") for 0, 99, '11m', 'many';
like(told('ollama_affinity on size=1;'), qr/"size=1", expected "ttl=time"/,
     'another parameter');
like(told('ollama_affinity on; ollama_affinity on;'), qr/is duplicate/,
     'twice');
like(told('ollama_affinity on sessions=1m;'),
     qr/too small for 3 keys and 1000000 conversations, \d+m is needed/,
     'more conversations than fit into the zone');
is(told('ollama_affinity on sessions=100k;'), 'ok', '100,000 fit into 8m');
like(told('ollama_affinity on sessions=1k;', http =>
          'upstream b { server 127.0.0.1:1; ollama_keys; '
          . 'ollama_affinity on sessions=2k; }'),
     qr/"sessions=2k" is said in \S+:\d+, but "sessions=1k"/,
     'two upstreams that disagree');

finish();
