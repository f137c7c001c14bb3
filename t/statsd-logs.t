# nginx's error log and the daemon's own lines: /logs and proxy.log.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Poll;
use Statsd;
use Test::More;

my $s = Statsd->start(config => "log_size 20k\nlog_keep 3\n");
my $syslog = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
                                   Peer => $s->path('log')) or die;

# as nginx 1.22 and later send it, with a host and without

nginx(187, 'Nov 22 20:43:00 myhost nginx: ',
      '[error] 12#12: *7 upstream timed out (110: Connection timed out) while'
      . ' reading response header from upstream, client: 127.0.0.1');
nginx(188, 'Nov 22 20:43:01 nginx: ', '[warn] 12#12: a warning: of sorts');
nginx(189, 'Nov  2 20:43:01 nginx: ', '[notice] 1#1: signal process started');
nginx(184, 'Nov 22 20:43:01 nginx: ', '[emerg] 1#1: the worst');

eventually { @{ lines() } >= 4 } 'lines arrive', 5;

my @l = @{ lines() };

is($l[0]{level}, 'error', 'the level');
is($l[0]{source}, 'nginx', 'where it is from');
is($l[0]{message}, '12#12: *7 upstream timed out (110: Connection timed out)'
                   . ' while reading response header from upstream, client:'
                   . ' 127.0.0.1', 'the message without date and level');
like($l[0]{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
     'the time');
is($l[1]{message}, '12#12: a warning: of sorts', 'a line with colons');
is($l[1]{level}, 'warn', 'warn');
is($l[2]{level}, 'notice', 'notice');
is($l[3]{level}, 'emerg', 'emerg');

is_deeply([ map { $_->{level} } @{ lines('level=warn') } ],
          [ qw/ error warn emerg / ], 'a level and worse');
is_deeply([ map { $_->{level} } @{ lines('level=error&limit=1') } ],
          [ 'emerg' ], 'the newest of them');
is(scalar @{ lines("after=$l[1]{id}") }, 2, 'after an id');
ok((grep { $_->{source} eq 'ollama-statsd' && $_->{message} =~ /is ready/ }
         @{ $s->json('/logs') }), 'the daemon\'s own lines are there, too');

# anything may come

my $at = $l[3]{id};

$syslog->send('');
$syslog->send("no syslog at all \x1b[31m\n and more\n\0");
$syslog->send('<');
$syslog->send('<99999>');
$syslog->send('<187>');
$syslog->send('<187>Nov 22 20:43:00 nginx: 2026/11/22 20:43:00 [');
$syslog->send("<187>Nov 22 20:43:00 nginx: \xff\xfe<script>");
$syslog->send('<187>x: ' . 'y' x 7000);

eventually { @{ lines("after=$at") } >= 7 } 'odd lines arrive', 5;

my $page = $s->get("/logs?after=$at");
my $odd = $Statsd::json->decode($page->{body});

is($odd->[0]{message}, 'no syslog at all  [31m  and more',
   'no control characters');
unlike($page->{body}, qr/<script/, 'no markup');
is($odd->[5]{message}, "\x{fffd}\x{fffd}<script>", 'no broken UTF-8');
cmp_ok(length $odd->[6]{message}, '<=', 2048, 'no endless line');

# the file

like(Process::slurp($s->dir . '/proxy.log'),
     qr/^\S+Z \[error\] nginx: 12#12: \*7 upstream timed out/m, 'proxy.log');

for my $n (1 .. 1500) {
    nginx(187, 'Nov 22 20:43:00 nginx: ', "[error] line $n " . 'x' x 60);
    select undef, undef, undef, 0.001 if $n % 50 == 0;
}

eventually { lines('limit=1')->[0]{message} =~ /^line 1500 / }
           'many lines', 5;
is(scalar @{ lines('limit=1000') }, 1000, 'the last 1,000 are kept');
is((lines('limit=1000'))->[0]{message} =~ s/ x+//r, 'line 501',
   '.. the older ones are not');

my @files = sort map { s!.*/!!r } glob $s->dir . '/proxy.log*';
is_deeply(\@files, [ qw/ proxy.log proxy.log.1 proxy.log.2 proxy.log.3 / ],
          'the file is turned over, three are kept');
cmp_ok(-s $s->dir . "/$_", '<', 22_000, "$_ is small") for @files;
like(Process::slurp($s->dir . '/proxy.log'), qr/line 1500 /,
     'the newest line is in the newest file');

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();


sub nginx {
    my ($priority, $head, $line) = @_;
    $syslog->send("<$priority>${head}2026/11/22 20:43:00 $line");
}


sub lines {
    my $lines = $s->json('/logs?' . ($_[0] // 'limit=1000'));
    return [ grep { $_->{source} eq 'nginx' } @$lines ];
}
