#!/usr/bin/perl

# Made the folders beside it: a data folder as an earlier daemon left it, and what
# that daemon answered about it; 0.2 by 0.2.0, schema5 by the last one that knew no
# prices (1ddb529).  To be run in a tree of that version, with its build:
#
#     perl -I t/lib make.pl FOLDER
#
# FOLDER/data.tar.gz is the folder, FOLDER/said.json.gz the answers.

use warnings;
use strict;
use utf8;

use IO::Compress::Gzip qw/ gzip /;
use MIME::Base64;
use Poll;
use Process;
use Statsd;

my ($to) = @ARGV;
my $now = int(time() / 60) * 60 - 30;
my $day = 86400;
my @keys = map { { key => sprintf('a1b2c3%02d', $_), name => "team-$_",
                   account => 'acc-' . int($_ / 2) } } 0 .. 2;
my @models = ('gpt-oss:20b', 'deepseek-v3.1:671b', '模型甲', '');
my ($seq, $id) = (0, 1000);

my $s = Statsd->start;
my $f = $s->frames(instance => '4242', keys => \@keys);

# hours of more than a year, rows of a month, bodies of a week

for my $age (390, 200, 45, 32, 29, 12, 8, 6, 3, 1, 0.9, 0.5, 0.1, 0.02, 0) {
    for my $n (0 .. 7) {
        my $at = int(($now - $age * $day - $n * 61) * 1000);
        my $failed = $n == 5;

        $id++;
        $f->request(seq => ++$seq, id => $id, time => $at,
            model => $models[$n % 4],
            key => $failed ? undef : $keys[$n % 3]{key},
            client => '10.0.0.' . ($n % 5),
            client_name => $n % 2 ? "client-$n" : '',
            prompt => 100 * $n + int($age), completion => 7 * $n,
            cached => $n == 3 ? 50 : 0,
            certainty => $n % 4, end => $n % 5, status => $failed ? 429 : 200,
            streamed => $n % 2, total => 1000 * $n, first_token => 100 * $n,
            queue => 10, connect => 20, bytes_in => 500, bytes_out => 9000,
            user_agent => "agent/$n", reason => $failed ? 'no key is free' : '',
            upstream_id => "up-$n",
            attempts => [ ($n == 4 ? { key => $keys[1]{key}, status => 429,
                                       ms => 30, cause => 1 } : ()),
                          { key => $keys[$n % 3]{key}, status => 200,
                            ms => 800 } ]);
        $f->body(seq => ++$seq, id => $id, time => $at,
                 data => qq({"model":"$n","age":$age}))
            if $n % 3 == 0 && $age < 6;
    }
}
$f->penalty(seq => ++$seq, key => $keys[1]{key}, state => 'exhausted',
            time => ($now - 60) * 1000, until => ($now + 5 * $day) * 1000,
            reason => 'you have reached your weekly usage limit');
$f->acked($seq) or die;

# what is too old has gone by then

my %said = (now => $now, last => $seq);
my @rows;

poll { @rows = rows(); @rows == 11 * 8 } 'rows of a month' or die scalar @rows;
$said{rows} = \@rows;
$said{bodies}{$_->{id}} = encode_base64($s->get("/queries/$_->{id}/body")->{body},
                                        '') for grep { $_->{body} } @rows;
$said{$_} = $s->json($_) for '/stats?limit=10000',
    (map { "/stats/minute?window=1440&by=$_" } qw/ key model client /),
    '/stats/events', '/stats/keys';
$said{totals} = $s->health->{totals};
$s->stop;

my $dir = $s->dir;

system("tar -C $dir -czf $to/data.tar.gz usage.db requests") == 0 or die;
gzip(\$Statsd::json->encode(\%said), "$to/said.json.gz", -Level => 9) or die;


sub rows {
    return map { @{ $s->json("/queries?limit=50&offset=$_") } }
           map { $_ * 50 } 0 .. 3;
}
