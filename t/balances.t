#!/usr/bin/perl

# Tests for what the daemon tells of accounts: the test plays it. A balance is
# shown, a suspended account rests, one that has money again serves at once.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw/ tempdir /;
use IO::Select;
use IO::Socket::UNIX;
use Poll;
use Process;
use Proxy;
use Test::More;
use Wire1;

my $dir = tempdir(CLEANUP => 1);
my $listen = IO::Socket::UNIX->new(Local => "$dir/statsd.sock", Listen => 5)
             or die "statsd.sock: $!\n";
my @k = keys_of(3);
my $t = Proxy->new(keys => [ { key => $k[0], account => 'a', tier => 0 },
                             { key => $k[1], account => 'a' },
                             { key => $k[2], tier => 3 } ],
                   http => "ollama_statsd unix:$dir/statsd.sock;\n"
                   . "ollama_prices $Process::root/conf/prices.yaml;")->run;

my $daemon = $listen->accept;
my ($in, %seen, %state) = ('');


sub eventually(&$) {
    my ($condition, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(poll(\&$condition, undef), $name);
}


# what nginx has sent meanwhile: the last payload of each type, and of each key

sub heard {
    my ($type) = @_;

    while (IO::Select->new($daemon)->can_read(0)) {
        sysread($daemon, $in, 65536, length $in) or die "nginx hangs up\n";
    }

    while (length $in >= 28) {
        my ($type, $length) = unpack 'x5Cx2V', $in;

        last if length $in < 28 + $length;

        my $payload = substr $in, 28, $length;

        substr $in, 0, 28 + $length, '';
        $seen{$Wire1::types[$type]} = $payload;
        $state{unpack 'V', $payload} = $payload
            if $Wire1::types[$type] eq 'keystate';
    }

    return $seen{$type};
}


sub fingerprint { return hex $t->health($_[0])->{fingerprint} }


# an account's balance, by one of its keys: kind 1 is money, 3 suspended

sub news {
    my ($key, $kind, %is) = @_;

    my $payload = pack 'VCQ<Q<Q<Q<Q<Q<vvQ<Q<', fingerprint($key), $kind,
                       1000 * ($is{time} // time), $is{included} // 0,
                       $is{allowance} // 0, $is{purchased} // 0, 0,
                       1000 * ($is{until} // 0), $is{session} // 0xffff,
                       $is{week} // 0xffff, 1000 * ($is{resets} // 0), 0;
    my $frame = Wire1::frame('hello', 0, $payload);

    substr $frame, 5, 1, chr 14;
    substr $frame, 24, 4,
           pack 'V', Compress::Raw::Zlib::crc32(substr $frame, 0, 24);

    syswrite $daemon, $frame;
}


eventually { defined heard('ready') } 'nginx says what it has';
syswrite $daemon, Wire1::encode('welcome', instance => unpack('Q<', $seen{hello}),
                                version => 'test') . Wire1::ready();

my $until = time + 86400;

news(1, 1, included => 7_250_000_001, allowance => 60_000_000_000,
     purchased => 25_000_000_000, until => $until);

eventually { $t->health(0)->{balance} } 'a balance of the account';

my $body = $t->get('/health/keys')->body;

like($body, qr/"balance":\{"included_usd":7\.250000001,"allowance_usd":60,
               "purchased_usd":25,"renews_at":"\d{4}-\d\d-\d\dT[\d:]{8}Z",
               "seen_at":"\d{4}-\d\d-\d\dT[\d:]{8}Z"\}/x,
     'is shown to the last digit');
is_deeply($t->health(1)->{balance}, $t->health(0)->{balance},
          'for each of its keys');
is($t->health(2)->{balance}, undef, 'and for no other');

# what is spent since then

my $used = $t->chat(model => 'gpt-oss:120b', sim => { words => 1000 });

is($used->header('x-ollama-key'), 'key_0', 'a chat');

my $cost = $t->health(0)->{cost_2h};

cmp_ok($cost, '>=', 0.0006, 'that costs something');
is(sprintf('%.9f', $t->health(1)->{balance}{included_usd}),
   sprintf('%.9f', 7.250000001 - $cost), 'is taken off the balance');

# the same goes to the page

eventually {
    heard('keystate');
    my $state = $state{fingerprint(0)} // '';
    length $state && sprintf('%.9f', unpack('Q<', substr $state, -9, 8) / 1e9)
                     eq sprintf('%.9f', $cost);
} 'KEYSTATE says what it has cost';
is(unpack('C', substr $state{fingerprint(2)}, -1), 3, 'and its tier');

# suspended

news(0, 3);
eventually { $t->health(1)->{state} eq 'suspended' }
           'a suspended account: a state of its own';
is($t->health(0)->{status}, 'its account is suspended', 'in words');
is(join(' ', $t->answered_by(3)), 'key_2 key_2 key_2', 'the others serve');

news(0, 1, included => 1_000_000_000);
eventually { $t->health(0)->{state} eq 'healthy' }
           'until its balance says otherwise';
isnt($t->chat->header('x-ollama-key'), 'key_2', 'it serves again');

# out of money, and paid

$t->cloud->rules({ match => { key => $_ }, times => 1, status => 402,
                   body => '{"error":"extra usage balance is empty"}' }) for @k[0, 1];

is($t->chat->header('x-ollama-key'), 'key_2', 'an account without money');
is($t->health(0)->{state}, 'exhausted', 'rests');

news(1, 1);
news(1, 1, purchased => 5_000_000_000);
eventually { $t->health(0)->{state} eq 'healthy' } 'until somebody has paid';

# legacy plans

news(2, 2, session => 755, week => 400, resets => $until);
eventually { $t->health(2)->{balance} } 'a legacy plan';
is_deeply([ @{ $t->health(2)->{balance} }{qw/ session_left weekly_left
                                             weekly_resets_at /} ],
          [ 0.755, 0.4, undef ], 'shares of its windows');

close $daemon;
finish();
