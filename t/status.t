#!/usr/bin/perl

# Tests for ollama_status: the pool as JSON and for Prometheus, in any location
# of any server, told by nginx itself.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Metrics;
use POSIX ();
use Poll;
use Proxy;
use Test::More;

my $other = Process::port();
my $cloud = Cloud->start;
my @keys = ({ key => key_of(0), name => 'team-a', max_concurrent => 3 },
            { key => key_of(1), name => 'team-b' },
            { key => key_of(2), name => "team c\@home", max_concurrent => 1 },
            { key => key_of(3), name => 'off', enabled => 'false' });
my $pages = <<'EOC';
    location = /pool { ollama_status; }
    location = /pool.json { ollama_status format=json; }
    location = /pool/metrics { ollama_status format=prometheus; }
    location = /denied { ollama_status; deny all; }
    location = /allowed { ollama_status; allow 127.0.0.1; deny all; }
    location = /token { ollama_status format=prometheus; ollama_access on; }
EOC


sub proxy {
    my (%how) = @_;

    return Proxy->new(cloud => $cloud, keys => \@keys, locations => $pages,
                      %how);
}


my $t = proxy(http => "server { listen 127.0.0.1:$other; $pages }");
my ($code, $output) = $t->nginx('-t');

if (!is($code, 0, 'nginx takes "ollama_status"')) {
    diag($output);
    finish();
    exit;
}

$t->run;

my $http = Http->new(port => $other);
my $open = Http->new(port => $t->port);


# the page and /health/keys of the same moment

sub as_health {
    my ($uri, $of) = @_;

    my @pages;

    poll {
        @pages = map { $_->body } $t->get('/health/keys'), $of->get($uri),
                                  $t->get('/health/keys');
        $pages[0] eq $pages[2];
    } 'two pages of one moment';

    return @pages;
}


# what a page for Prometheus says: { 'name{labels}' => value }

sub samples {
    my ($text) = @_;
    return { map { /^([^#].*) (\S+)$/ ? ($1 => $2) : () } split /\n/, $text };
}


sub metrics { samples($_[0]->get($_[1] // '/pool/metrics')->body) }


# who may look

my $r = $http->get('/pool');

is($r->status, 200, 'in another server');
like($r->header('content-type'), qr!^application/json!, 'JSON');
like($r->header('cache-control') // '', qr/no-store|no-cache/, 'of this moment');
is($open->get('/pool')->status, 200, 'without a token');
is($http->get('/denied')->status, 403, 'deny');
is($http->get('/allowed')->status, 200, 'allow');
is($open->get('/token')->status, 401, 'with ollama_access: no token');
is($t->get('/token')->status, 200, 'with it');

# penalised, half busy, running, blocked, used

$cloud->rules({ match => { key => key_of(1), model => 'dear' }, times => 1,
                preset => 'model_402' });
poll { $t->chat(model => 'dear'); @{ $t->health(1)->{blocked_models} } }
     'a blocked model';
$t->post('/health/keys/0/penalize?seconds=700', '');

my @running = map { $t->start_chat(sim => { first_delay_ms => 60000 }) } 1 .. 2;

poll { Http::turn(0, @running); $t->in_flight == 2 } 'two requests run';

for my $page ([ '/pool', $http ], [ '/pool.json', $http ], [ '/pool', $open ]) {
    my ($keys, $status) = as_health(@$page);
    is($status, $keys, "$page->[0] is as /health/keys");
}

$r = $http->get('/pool/metrics');

is($r->status, 200, 'for Prometheus');
like($r->header('content-type'), qr!^text/plain; version=0\.0\.4!, 'as it wants');
like($r->header('cache-control') // '', qr/no-store|no-cache/, 'of this moment');

my $m = samples($r->body);
my $health = $t->health;

is($health->{key_0}{state}, 'penalized', 'a key that is penalised');
is(scalar @{ $health->{key_1}{blocked_models} }, 1, 'one with a blocked model');

for my $n (0 .. 3) {
    my $key = $health->{"key_$n"};
    my $label = $key->{name};
    my %is = map { $_ => $m->{qq(ollama_proxy_key_${_}{key="$label"})} }
             qw/ eligible in_flight slots window_tokens reserved_tokens
                 penalty_seconds /;
    my $left = delete $is{penalty_seconds};

    is_deeply(\%is, { eligible => $key->{eligible} ? 1 : 0,
                      in_flight => $key->{in_flight},
                      slots => $key->{max_concurrent} // 0,
                      window_tokens => $key->{usage_2h},
                      reserved_tokens => $key->{reserved} },
              "$key->{name}: as /health/keys");
    cmp_ok(abs(($left // -99) - $key->{expires_in}), '<=', 2,
           'the penalty, too');
    is((join ' ', grep { /^ollama_proxy_key_info\{/ && /[{,]key="\Q$label\E"/
                         && /fingerprint="$key->{fingerprint}"/
                         && /status="$key->{state}"/ } keys %$m)
       =~ s/^ollama_proxy_key_info\{.*\}$/$m->{$&}/r, 1, 'its state in words');
}

is($m->{ollama_proxy_requests_in_flight}, 2, 'requests in flight');
is($m->{ollama_proxy_requests_waiting}, 0, 'none waits');

# some wait: one key of one slot is left

$t->post('/health/keys/1/penalize?seconds=700', '');

my $free = 1 - $t->health(2)->{in_flight};
my @more = map { $t->start_chat(sim => { first_delay_ms => 60000 }) } 1 .. 4;
my $wait = 4 - $free;

poll { Http::turn(0, @more);
       (metrics($http)->{ollama_proxy_requests_waiting} // 0) >= $wait }
     'requests wait';
is(metrics($http)->{ollama_proxy_requests_waiting}, $wait, 'they are counted');

$_->abort for @running, @more;
poll { !$t->in_flight } 'all have left';
is(metrics($http)->{ollama_proxy_requests_waiting}, 0, 'and gone');

# the rules of the format

for my $page ($r->body, $http->get('/pool/metrics')->body) {
    my $read = Metrics->new($page);

    is_deeply([ $read->faults ], [], 'every line is well formed');
    cmp_ok(scalar(() = $read->families), '>=', 9, 'families');
}

# methods

$r = $http->request('HEAD', '/pool/metrics');
is($r->status . $r->body, '200', 'HEAD');
is($http->request('HEAD', '/pool')->status, 200, 'of JSON');

for my $method (qw/ POST PUT DELETE /) {
    $r = $http->request($method, '/pool', body => '{}');
    is($r->status, 405, $method);
    like($r->header('allow') // '', qr/GET/, 'is to be got');
}

# after a reload with another list

$t->write_config(@keys[0, 2]);
ok($t->reload, 'reload');
is(scalar keys %{ $http->get('/pool')->json }, 2, 'the list of now');
is((grep { /^ollama_proxy_key_eligible/ } keys %{ metrics($http) }), 2,
   'for Prometheus, too');

# the same names as the daemon's /metrics

my $d = proxy(daemon => 1)->run;

$d->post('/health/keys/0/penalize?seconds=700', '');
$d->chat for 1 .. 5;
poll { ($d->get('/metrics')->body
        =~ /^ollama_proxy_key_penalty_seconds\{key="team-a"\} [1-9]/m)
       && !grep { $_->{reserved} } values %{ $d->health } } 'the daemon knows';

my ($mine, $its);

poll {
    ($mine, $its) = (metrics($d), metrics($d, '/metrics'));
    !grep { !/penalty_seconds/ && exists $its->{$_} && $its->{$_} ne $mine->{$_} }
          keys %$mine;
} 'both say the same';

my @common = grep { exists $its->{$_} } sort keys %$mine;

is((grep { /^ollama_proxy_key_/ } @common), 28, 'seven facts of four keys')
    or diag(join "\n", grep { /_key_/ } sort keys %$mine, keys %$its);
is_deeply([ map { "$_ $mine->{$_}" } grep { !/penalty_seconds/ } @common ],
          [ map { "$_ $its->{$_}" } grep { !/penalty_seconds/ } @common ],
          'with the same values');

my %told = map { $_ => { $d->get($_)->body =~ /^# (\w+ \w+) (.*)$/mg } }
           qw! /metrics /pool/metrics !;
my @both = grep { exists $told{'/metrics'}{$_} } keys %{ $told{'/pool/metrics'} };

cmp_ok(scalar @both, '>=', 18, 'nine families with HELP and TYPE');
is_deeply({ map { $_ => $told{'/pool/metrics'}{$_} } @both },
          { map { $_ => $told{'/metrics'}{$_} } @both }, 'which are the same');

# many keys

my $many = Proxy->new(cloud => 0, keys => [ keys_of(600) ], zone => '16m',
                      locations => $pages)->run;

$r = $many->get('/pool');
is(scalar keys %{ $r->json // {} }, 600, '600 keys as JSON');
cmp_ok(scalar(() = $many->get('/pool/metrics')->body
              =~ /^ollama_proxy_key_eligible\{/mg), '>=', 200,
       'as many as /metrics has for Prometheus, at least');

# a list that is replaced while it is told: no series comes twice

my @named = map { { key => key_of($_), name => "named-$_" } } 0 .. 599;
my @ask;

# three at once, so that a worker is always at it

for my $n (1 .. 3) {
    $ask[$n - 1] = fork // die "fork: $!\n";
    next if $ask[$n - 1];

    my ($stop, $pages, $bad) = (0, 0, '');

    local $SIG{TERM} = sub { $stop = 1 };

    until ($stop) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                           PeerPort => $many->port) or next;
        my ($page, %seen) = ('');

        syswrite $socket, "GET /pool/metrics HTTP/1.0\r\n\r\n";
        1 while sysread $socket, $page, 1 << 20, length $page;

        $pages += $page =~ /^ollama_proxy_requests_waiting /m;
        $bad = "twice: $_" for grep { $seen{$_}++ }
                                    $page =~ /^(\w+\{[^}]*\})/mg;
    }

    Process::spill($many->dir . "/asked.$n", "$pages pages: $bad");
    POSIX::_exit(0);
}

my $reloads = 0;

for my $turn (1 .. 12) {
    @named = reverse @named;
    $many->write_config(@named);
    ($code, $output) = $many->nginx('-s', 'reload');
    $reloads += $code == 0;
    poll { ($many->get('/pool')->json // {})->{key_0}{name} eq $named[0]{name} }
         'the list of now';
}

kill TERM => @ask;
waitpid $_, 0 for @ask;
is($reloads, 12, 'twelve lists');
like(Process::slurp($many->dir . "/asked.$_"), qr/^[1-9]\d* pages: $/,
     'no page had a key twice') for 1 .. 3;

# what is refused

for my $line ('ollama_status format=xml;', 'ollama_status json;',
              'ollama_status format=;', 'ollama_status; ollama_status;')
{
    ($code, $output) = Proxy->new(cloud => 0, locations =>
                                  "location = /x { $line }")->nginx('-t');
    is($code, 1, "refused: $line");
    like($output, qr/\[emerg\][ ].*(invalid[ ].*(format|json)|is[ ]duplicate)
                     .*[ ]in[ ].*nginx\.conf:\d+/x,
         'with the reason and the line')
        or diag($output);
}

($code, $output) = Proxy->new(cloud => 0, server => 'ollama_status;')->nginx('-t');
is($code, 1, 'refused: in a server');

finish();
