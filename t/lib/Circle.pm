package Circle;

# Files that need each other.
#
#     is(circle({ a => { b => 1 }, b => { a => 1 } }), '', 'no circle');

use warnings;
use strict;

use base 'Exporter';

our @EXPORT = qw/ circle /;

# a path from a file back to itself along { file => { file => why } }, or ''

sub circle {
    my ($edges) = @_;
    my (%seen, $found);

    my $visit;
    $visit = sub {
        my ($file, @way) = @_;

        return if $found || ($seen{$file} // '') eq 'done';

        if ($seen{$file}) {
            shift @way while $way[0] ne $file;
            $found = join ' -> ', @way, $file;
            return;
        }

        $seen{$file} = 'on the way';
        $visit->($_, @way, $file) for sort keys %{ $edges->{$file} // {} };
        $seen{$file} = 'done';
    };

    $visit->($_) for sort keys %$edges;

    return $found // '';
}


1;
