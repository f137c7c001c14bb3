# Each statement that answers a question reads an index, or a table that is
# small by nature; none sorts what grows with the number of requests.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Statsd;
use Test::More;

my $tool = Statsd::tool('ingest_bench');
my $s = Statsd->start;
my $f = $s->frames;

$f->request(seq => 1, count => 5000, clients => 50, models => 8, keys => 3);
$f->acked(5000);
$s->stop;

my (%plan, %seen);

for (`$tool plans '${\$s->dir}'`) {
    chomp;
    my ($name, $step) = split /\t/;
    push @{ $plan{$name} }, $step;
}

# what may be read whole: a row a key, a row a penalty, five bounds
my %small = ('keys' => 'key', 'penalties' => 'penalty',
             'bounds of sums' => 'usage_bound');

for my $name (sort keys %plan) {
    for my $step (@{ $plan{$name} }) {
        if ($step =~ /^SCAN (\w+)/) {
            # newest first, up to a limit: a scan that ends early
            next if $name eq 'key events' && $1 eq 'key_event';
            is($1, $small{$name} // '', "$name: $step");

        } elsif ($step =~ /^SEARCH/) {
            like($step, qr/USING ((INTEGER )?PRIMARY KEY|(COVERING )?INDEX) /,
                 "$name: $step");
        }

        fail("$name: $step") if $step =~ /TEMP B-TREE/;
    }
}

my %must = (
    'hours' => qr/SEARCH u USING PRIMARY KEY \(hour>\? AND hour<\?\)/,
    'minutes' => qr/SEARCH u USING PRIMARY KEY \(kind=\? AND minute>\?/,
    'sums' => qr/SEARCH u USING PRIMARY KEY \(kind=\? AND time>\?/,
    'newest requests' => qr/SEARCH r USING INTEGER PRIMARY KEY/,
    'end of a request' => qr/SEARCH request USING INTEGER PRIMARY KEY/,
    'one request' => qr/SEARCH r USING INTEGER PRIMARY KEY \(rowid=\?\)/,
    'requests of a combo' => qr/COVERING INDEX request_combo \(combo=\? AND/,
    'combos of a model' => qr/SEARCH m USING COVERING INDEX .*\(name=\?\)/,
    'combos of a model and a key' =>
        qr/COVERING INDEX series_model \(model=\? AND key=\?\)/,
    'newest request that had ended' => qr/SEARCH request USING INTEGER PRIMARY/,
    'newest requests that fit' => qr/SEARCH r USING INTEGER PRIMARY KEY/,
    'combos of a client' => qr/SEARCH c USING COVERING INDEX .*\(address=\?\)/,
    'combos of a key' => qr/SEARCH k USING INDEX key_name/,
    'combos of a status' =>
        qr/INDEX combo_status \(status=\? AND last>\?\)/,
    'next status' => qr/COVERING INDEX combo_status \(status>\?\)/,
    'requests of another model' => qr/INDEX other_model \(model=\? AND/,
    'requests of another client' => qr/INDEX other_client \(client=\? AND/,
    "requests of another client's name" =>
        qr/INDEX other_client_name \(client_name=\? AND/,
    'usage of keys' => qr/SEARCH u USING PRIMARY KEY \(kind=\? AND minute>\?/,
    'spreads' => qr/SEARCH u USING PRIMARY KEY \(kind=\? AND time>\?/,
    'first spread' => qr/SEARCH usage_spread USING PRIMARY KEY \(kind=\?\)/,
    'totals' => qr/USING INTEGER PRIMARY KEY/,
);

like(join("\n", @{ $plan{$_} // [] }), $must{$_}, "$_: the index it needs")
    for sort keys %must;

done_testing();
