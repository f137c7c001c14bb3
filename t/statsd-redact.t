# What statsd.conf says is taken out of bodies before they reach the disk.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Process;
use Statsd;
use Test::More;

my $s = Statsd->start(config => <<'END');
body_age 7d     # settings as ever
redact sk-[A-Za-z0-9]{8,}
redact   (?i)"password"\s*:\s*"\K[^"]*   
redact (x+x+)+[yz]
END
my $f = $s->frames(instance => 'abc');
my $seq = 0;


sub kept {
    my ($data) = @_;

    $f->body(seq => ++$seq, id => $seq, data => $data);
    $f->request(seq => ++$seq, id => $seq - 1, has_body => 1);
    $f->acked($seq);

    my $row = $s->json('/queries')->[0];
    return undef unless $row->{body};
    return $s->get("/queries/$row->{id}/body")->{body};
}


is(kept('{"a":"sk-0123456789abc", "n": 1}'), '{"a":"[redacted]", "n": 1}',
   'what matches is taken out');
is(kept('{"Password": "hunter2"} # {"password":"x y"}'),
   '{"Password": "[redacted]"} # {"password":"[redacted]"}',
   '.. by each of the expressions');
is(kept('{"harmless":"sk-"}'), '{"harmless":"sk-"}', 'the rest stays');
is($s->json('/queries')->[0]{body}{size}, 18, '.. with its size');
is(kept('x' x 5000), undef, 'a body that is too hard to search is not kept');
is(kept('{"after":1}'), '{"after":1}', '.. and the next one is');

my $store = $s->json('/stats/health')->{store};

is($store->{bodies_redacted}, 2, 'health counts those with something taken out');
is($store->{bodies_withheld}, 1, '.. and those not kept for it');
is($store->{bodies_lost}, 0, '.. which are not lost ones');
is_deeply([ $s->get('/metrics')->{body}
                =~ /^ollama_statsd_(?:redacted|withheld)_bodies_total (\d+)$/mg ],
          [ 2, 1 ], 'so do the metrics');

my $disk = join '', map { `zcat $_` } glob $s->dir . '/requests/*/*.gz';

like($disk, qr/\[redacted\]/, 'on the disk');
ok($disk !~ /sk-0123|hunter2|xxxxx/, '.. nothing of it is left');

# read again

Process::spill("$s->{log}/keep.conf", "redact harmless\n");
kill 'HUP', $s->pid;
eventually { (kept('{"harmless":"hunter2"}') // '')
             eq '{"[redacted]":"hunter2"}' } 'SIGHUP reads others';

Process::spill("$s->{log}/keep.conf", "redact harmless\nredact a(b\n");
kill 'HUP', $s->pid;
eventually { $s->output =~ /keep\.conf:2:\ the\ expression,\ at\ its\ byte\ 4
                            .*\ what\ was\ read\ before\ holds/x }
    'a wrong one is said, with its line';
is(kept('harmless'), '[redacted]', '.. and what was there holds');
is($s->stop('TERM'), 0, 'the daemon ends');

for ([ "body_age 7d\nredact\n", 2, 'needs a regular expression' ],
     [ "redact a*\n", 1, 'matches what is empty' ],
     [ "redacted a\n", 1, 'there is no setting "redacted"' ])
{
    my ($config, $line, $words) = @$_;
    my $wrong = Statsd->start(config => $config, wait => 0);

    eventually { !$wrong->{process}->alive } "refused: $words";
    like($wrong->output, qr/keep\.conf:$line: .*\Q$words\E/, '.. in words');
}

done_testing();
