package Poll;

# Waiting for something to become true.  Tests never sleep for a guessed
# while: they poll what they wait for, and say by name what never came.

use warnings;
use strict;

use Exporter qw/ import /;
use Time::HiRes qw/ time sleep /;

our @EXPORT = qw/ poll /;


# poll { condition } "what is waited for", seconds
# gives the condition's value, or nothing when the time is up

sub poll(&;$$) {
    my ($condition, $what, $seconds) = @_;

    my $end = time() + ($seconds // 10);
    my $pause = 0.002;

    while (1) {
        my $value = $condition->();
        return $value if $value;

        last if time() > $end;

        sleep($pause);
        $pause = $pause * 1.5 if $pause < 0.05;
    }

    Test::More::diag("waited in vain: $what") if defined $what;

    return;
}


1;
