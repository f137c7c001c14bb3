package Records;

# What the daemon has on record of a request, found by its model.
#
#     my $q = record($t, 'gpt-oss:20b');      the newest, when it is there
#     my ($q, $r) = recorded($t, %how);       a chat under a new name
#     tokens($q)                      "prompt completion certainty end" of one
#
# And what it should be: booked($t) to the keys, told($cloud) by the simulator,
# told_of($cloud, $model).

use warnings;
use strict;

use Exporter qw/ import /;
use Poll;

our @EXPORT = qw/ record recorded tokens booked told told_of /;

my $n = 0;


sub record {
    my ($t, $model, $count) = @_;

    return poll {
        my $list = $t->get("/queries?model=$model")->json;
        ref $list eq 'ARRAY' && @$list >= ($count // 1) && $list->[0];
    } "the record of $model";
}


sub recorded {
    my ($t, %how) = @_;

    my $model = $how{model} //= 'recorded-' . ++$n;
    my $r = $t->chat(%how);

    return (record($t, $model) // {}, $r);
}


sub tokens {
    my ($q) = @_;

    return join ' ', map { $_ // '-' }
           @$q{qw/ prompt_tokens completion_tokens certainty end /};
}


# the tokens that the pool has booked to all its keys, and those that simulated
# clouds say they have served

sub booked {
    my ($t) = @_;
    my $sum = 0;

    $sum += $_->{usage_2h} for values %{ $t->health // {} };

    return $sum;
}


sub told {
    my (@clouds) = @_;
    my $sum = 0;

    for my $total (map { $_->ledger->{total} } @clouds) {
        $sum += $total->{prompt} + $total->{completion};
    }

    return $sum;
}


# "prompt completion" that a simulated cloud has served of one model

sub told_of {
    my ($cloud, $model) = @_;
    my ($prompt, $completion) = (0, 0);

    for my $one (grep { $_ } map { $_->{models}{$model} }
                 values %{ $cloud->ledger->{keys} })
    {
        $prompt += $one->{prompt};
        $completion += $one->{completion};
    }

    return "$prompt $completion";
}


1;
