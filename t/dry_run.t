#!/usr/bin/perl

# Tests for ollama_dry_run: keys are chosen and judged as ever, but no request
# is refused, or made to wait, for their sake.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my $cloud = Cloud->start;


sub proxy {
    my ($dry, %how) = @_;

    return Proxy->new(cloud => $cloud, balancer => "ollama_keys;\n"
                      . "ollama_dry_run $dry;\n"
                      . ($how{queue} // 'ollama_queue 8 timeout=30s;')
                      . "\nkeepalive 32;", %how);
}


sub health_of { my ($t, $what) = @_; my $h = $t->health;
                return join ' ', map { $h->{$_}{$what} } sort keys %$h }
sub dry_lines { return grep { /dry.run/i } split /\n/, $_[0]->log }


my $t = proxy('on');
my ($code, $output) = $t->nginx('-t');

if (!is($code, 0, 'nginx takes "ollama_dry_run"')) {
    diag($output);
    finish();
    exit;
}

$t->run;

# as long as nothing is wrong, nothing is said

is(join(' ', map { $t->chat->status } 1 .. 6), '200 ' x 5 . '200', 'chats');
is(join(' ', map { $_ > 0 ? 1 : 0 } $cloud->spread(keys_of(3))), '1 1 1',
   'over all keys');
is(scalar dry_lines($t), 0, 'nothing would have been refused');

# all keys exhausted

$cloud->reset;
$cloud->rules({ times => -1, preset => 'quota_session' });

my $r = poll { my $c = $t->chat;
               health_of($t, 'state') eq 'exhausted exhausted exhausted' && $c }
        'all keys are judged';

ok($r, 'keys are judged as ever');
is($r ? $r->status : 0, 429, 'the cloud\'s answer');
is(health_of($t, 'eligible'), '0 0 0', 'none would serve');

my $asked = $cloud->requests;

$r = $t->chat;
is($r->status, 429, 'the next one');
like($r->json->{error}, qr/session usage limit.*\(ref: /,
     'is sent all the same: the client gets what the cloud said');
like($r->header('x-ollama-key') // '', qr/^key_\d$/, 'to some key');
cmp_ok(scalar($cloud->requests), '>', $asked, 'the cloud was asked');

my @said = dry_lines($t);

cmp_ok(scalar @said, '>=', 1, 'what would have been refused is told');
is((grep { /\[(crit|alert|emerg)\]/ } @said), 0, 'calmly');

$cloud->reset;
is(join(' ', map { $t->chat->status } 1 .. 5), '200 ' x 4 . '200',
   'served by keys that would not have served');
cmp_ok(scalar dry_lines($t), '>', scalar @said, 'which is told');
is($t->chat(uri => '/v1/chat/completions', stream => 1)->status, 200,
   'a stream, too');

# what is held against a key for other reasons

$cloud->reset;
$t->post("/health/keys/$_/reset", '') for 0 .. 2;
$cloud->rules({ times => -1, match => { key => key_of(0) },
                preset => 'unauthorized' });
is((grep { $_ != 200 } map { $t->chat->status } 1 .. 6), 0,
   'a request still goes from a bad key to a good one');

# slots: at once, no queue

$cloud->reset;

my $key = { key => key_of(7), max_concurrent => 1 };
my $u = proxy('on', keys => [ $key ])->run;
my @slow = map { $u->start_chat(sim => { first_delay_ms => 60000 },
                                timeout => 90) } 1 .. 4;

ok(poll(sub { Http::turn(0, @slow);
              ($cloud->ledger->{keys}{$key->{key}}{requests} // 0) == 4 },
        'four requests'), 'four requests for one slot are sent');
$r = $u->chat;
is($r->status, 200, 'one more is served');
is((grep { $_->{ended} } @slow), 0, 'before those that hold the slot');
is($u->health(0)->{in_flight}, 4, 'they are counted');
cmp_ok($cloud->ledger->{peak_running}{$key->{key}}, '>=', 5, 'side by side');
is($u->health(0)->{max_concurrent}, 1, 'the limit stands');
cmp_ok(scalar dry_lines($u), '>=', 4, 'each beyond it is told');
$_->abort for @slow;
ok(poll(sub { !$u->in_flight }, 'all slots'), 'and given back');

# without a queue, too, and over a reload

my $v = proxy('on', keys => [ $key ], queue => 'ollama_queue 0;')->run;

ok($v->reload, 'reload');
@slow = $v->start_chat(sim => { first_delay_ms => 60000 }, timeout => 90);
poll { Http::turn(0, @slow); $v->in_flight } 'the slot is taken';
is($v->chat->status, 200, 'no queue: served');
$_->abort for @slow;

# concurrent requests, as the cloud sees it

my $a = Cloud->start(accounts => [ { name => 'a', keys => [ $key->{key} ],
                                     max_concurrent => 1, queue_limit => 0 } ]);
my $w = proxy('on', cloud => $a, keys => [ $key->{key} ])->run;

@slow = $w->start_chat(sim => { first_delay_ms => 60000 }, timeout => 90);
poll { Http::turn(0, @slow); $a->ledger->{peak_running}{$key->{key}} }
     'the slot is taken';
$r = $w->chat;
is($r->status, 429, 'the cloud refuses');
like($r->json->{error} // '', qr/concurrent/, 'in its own words');
$r = $w->chat;
is($r->status, 429, 'again');
is((grep { $_->{ended} } @slow), 0, 'at once');
is($w->health(0)->{max_concurrent}, 1, 'what it tells is learned');
$_->abort for @slow;

# off, by default as well

for my $off (proxy('off', keys => [ $key ], queue => 'ollama_queue 0;'),
             Proxy->new(cloud => $cloud, keys => [ $key ],
                        balancer => "ollama_keys;\nollama_queue 0;"))
{
    $off->run;
    @slow = $off->start_chat(sim => { first_delay_ms => 60000 },
                             timeout => 90);
    poll { Http::turn(0, @slow); $off->in_flight } 'the slot is taken';
    is($off->chat->status, 429, 'off: refused');
    is(scalar dry_lines($off), 0, 'in earnest');
    $_->abort for @slow;
}

# refused

for my $line ('ollama_keys; ollama_dry_run perhaps;',
              'ollama_keys; ollama_dry_run on; ollama_dry_run on;')
{
    ($code, $output) = Proxy->new(cloud => 0, balancer => $line)->nginx('-t');
    is($code, 1, "refused: $line");
    like($output, qr/perhaps|duplicate/, 'with a reason');
}

($code, $output) = Proxy->new(cloud => 0, server => 'ollama_dry_run on;')
                   ->nginx('-t');
is($code, 1, 'refused: in a server');
like($output, qr/not allowed here/, 'which is no place for it');

finish();
