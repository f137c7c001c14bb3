# A body comes before its request's record, long before, after it, or never:
# it is found with its record, once, and nothing else is disturbed.  And a
# request is recorded once, whatever its number.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $s = Statsd->start;
my $f = $s->frames(instance => 'abc');
my $seq = 0;

# before

$f->body(seq => ++$seq, id => 1, data => '{"n":1}');
ok($f->acked($seq), 'a body alone is acknowledged');
is_deeply($s->json('/queries'), [], '.. and is no request');

$f->request(seq => ++$seq, id => 1, has_body => 1);
ok($f->acked($seq), 'its record comes later');
is(newest_body(), '{"n":1}', '.. and has it');
is($s->json('/queries')->[0]{body}{size}, 7, '.. with its size');

# long before: over a crash of the daemon, and another connection

$f->body(seq => ++$seq, id => 2, data => '{"n":2}');
$f->acked($seq);
$s->crash;

my $g = $s->frames(instance => 'abc');
is($g->welcome, $seq, 'the daemon was killed meanwhile');
$g->request(seq => ++$seq, id => 2, has_body => 1);
ok($g->acked($seq), 'the record comes to the next one');
is(newest_body(), '{"n":2}', '.. and finds the body');

# after

$g->request(seq => ++$seq, id => 3, has_body => 1);
$g->acked($seq);
is($s->json('/queries')->[0]{body}, undef, 'a record without a body yet');
$g->body(seq => ++$seq, id => 3, data => '{"n":3}');
$g->acked($seq);
is(newest_body(), '{"n":3}', '.. which comes');

# another instance's request of the same id is another request

my $other = $s->frames(instance => 'def');

$other->request(seq => 1, id => 2);
$other->acked(1);
is($s->json('/queries')->[0]{body}, undef, 'bodies are not mixed up');

# twice: by the same number, and by another one

eventually { $s->health->{disk}{bodies} == 3 } 'three bodies', 10;
$g->body(seq => $seq, id => 3, data => '{"n":"three"}');
$g->body(seq => ++$seq, id => 3, data => '{"n":3}');
$g->acked($seq);
is($s->get('/queries/3/body')->{body}, '{"n":3}', 'a body that comes again');
eventually { $s->health->{store}{bodies} == 2
             && $s->health->{disk}{bodies} == 3 } '.. counts once', 10;

my $before = $s->health->{totals};

$g->request(seq => ++$seq, id => 3, prompt => 1000, end => 10, certainty => 2);
ok($g->acked($seq), 'a request that comes again is acknowledged');
is_deeply($s->health->{totals}, $before, '.. and not counted');
is($s->health->{store}{repeated}, 1, '.. but noted');
like($s->get('/metrics')->{body}, qr/^ollama_statsd_repeated_requests_total 1$/m,
     '.. in the metrics, too');
is($s->json('/queries')->[1]{end}, 'done', '.. the first one stays');

$s->crash;
$g->connect;
$g->request(seq => ++$seq, id => 3, prompt => 1000, end => 10, certainty => 2);
$g->request(seq => ++$seq, id => 4, prompt => 1, end => 10, certainty => 2);
$g->request(seq => ++$seq, id => 4, prompt => 1, end => 10, certainty => 2);
$g->acked($seq);
is($s->health->{totals}{requests}, $before->{requests} + 1,
   '.. nor by the next daemon, nor in the same batch');
is($s->json('/queries')->[0]{end}, 'worker_gone', 'the end of a lost worker');
is(sum('/stats?limit=1000'), $before->{requests} + 1, '.. in all sums');

# in any order, killed again and again: nothing is lost, nothing is mixed up

my @order = map { my $n = 100 + $_; ([ body => $n, $_ - rand 40 ],
                                     [ request => $n, $_ ]) } 1 .. 300;
@order = sort { $a->[2] <=> $b->[2] } @order;

my @frames = map { { what => $_->[0], id => $_->[1], seq => ++$seq } } @order;

for (my $at = 0; $at < @frames; $at += 150) {
    my $end = $at + 150 < @frames ? $at + 150 : @frames;

    send_frame($_) for @frames[$at .. $end - 1];
    $s->crash;
    $g->connect;
    send_frame($_) for grep { $_->{seq} > $g->welcome }
                            @frames[$at .. $end - 1];
    $g->acked($frames[$end - 1]{seq});
}

my @rows = grep { $_->{model} =~ /^row-/ } @{ $s->json('/queries?limit=500') };

is(scalar @rows, 300, '300 requests');
is(scalar(grep { ($_->{body} // {})->{size} } @rows), 300,
   '.. each with its body');
is(scalar(grep { $s->get("/queries/$_->{id}/body")->{body}
                 ne '{"row":"' . $_->{model} . '"}' } @rows), 0,
   '.. and none with another\'s');

# never: it goes with the oldest

$s->stop;
$s->{config} = "body_bytes 1\n";
$s->launch;
$g->connect;
$g->body(seq => ++$seq, id => 9999, data => '{}');
ok($g->acked($seq), 'a body whose record does not come');
eventually { (() = glob $s->dir . '/requests/*/*.gz') == 0 }
           '.. is not kept for ever', 20;
eventually { $s->health->{disk}{bodies} == 0 } '.. nor counted', 20;
$g->request(seq => ++$seq, id => 9999, has_body => 1);
ok($g->acked($seq), 'a record whose body is gone');
is($s->json('/queries')->[0]{body}, undef, '.. is one without a body');
is($s->health->{store}{malformed}, 0, 'all were well formed');

done_testing();


sub send_frame {
    my ($frame) = @_;
    my ($what, $id, $seq) = @$frame{qw/ what id seq /};

    if ($what eq 'body') {
        $g->body(seq => $seq, id => $id, data => qq({"row":"row-$id"}));
    } else {
        $g->request(seq => $seq, id => $id, model => "row-$id", has_body => 1);
    }
}


# of the newest request

sub newest_body {
    my $row = $s->json('/queries')->[0];

    return $s->get("/queries/$row->{id}/body")->{body};
}


sub sum {
    my ($uri) = @_;
    my $n = 0;

    $n += $_->{requests} for @{ $s->json($uri) };

    return $n;
}
