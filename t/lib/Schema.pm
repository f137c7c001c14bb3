package Schema;

# Makes of a ledger of today's schema one that an earlier version left, in SQL:
# what later migrations have added is taken away again.
#
#     sql($s, Schema::back(1));      # user_version 1

use warnings;
use strict;

# by the schema which has it

my %added = (
    2 => 'DROP INDEX client_name;',
    3 => 'DROP INDEX request_rid;'
         . ' ALTER TABLE request DROP COLUMN attempts_all;',
    4 => 'ALTER TABLE request DROP COLUMN prompt_certainty;'
         . ' ALTER TABLE request DROP COLUMN completion_certainty;',
    5 => 'ALTER TABLE body DROP COLUMN segment;'
         . ' ALTER TABLE body DROP COLUMN place;'
         . ' DROP TABLE segment; DROP TABLE clock; DROP TABLE key_place;'
         . ' DROP TABLE given; DROP TABLE began;'
         . ' DROP INDEX combo_status; CREATE INDEX combo_last ON combo(last);'
         . ' DROP INDEX series_model;'
         . ' CREATE INDEX series_model ON series(model);'
         . ' UPDATE request SET (model_other, client_other) ='
         . ' (SELECT model, client FROM other_name o WHERE o.id = request.id)'
         . ' WHERE id IN (SELECT id FROM other_name); DROP TABLE other_name;'
         . ' ALTER TABLE series DROP COLUMN day;'
         . ' DROP INDEX key_event_key;'
         . ' ALTER TABLE penalty DROP COLUMN instance; DROP TABLE usage_spread;'
         . ' DROP TABLE usage_sum; DROP TABLE usage_bound;'
         . join('', map { my $table = $_;
                          map { " ALTER TABLE $table DROP COLUMN used_$_;" }
                              qw/ from tokens requests / }
                        qw/ penalty key_event /),
    6 => 'DROP TABLE turn; ALTER TABLE request DROP COLUMN cost;'
         . ' ALTER TABLE request DROP COLUMN affinity;'
         . join('', map { " ALTER TABLE $_ DROP COLUMN cost;"
                          . " ALTER TABLE $_ DROP COLUMN priced;" }
                        qw/ usage_minute usage_hour usage_sum total /),
);


sub back {
    my ($version) = @_;

    return join ' ', (map { $added{$_} } grep { $_ > $version }
                          reverse sort keys %added),
                     "PRAGMA user_version = $version";
}


1;
