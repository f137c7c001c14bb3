#!/usr/bin/perl

# Several proxies at one daemon: each has its keys, and takes none of another's
# away, whatever the order in which they tell them.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my %names = (a1 => 'anna', b2 => 'bert', c3 => 'carl', d4 => 'dora');


# a proxy's frames, with keys by the beginning of their fingerprints

sub proxy {
    my ($s, $instance, $name, @keys) = @_;

    return $s->frames(instance => $instance, proxy => $name, keys =>
                      [ map { { key => $_ x 4, name => $names{$_} } } @keys ]);
}


sub told {
    my ($frames, @keys) = @_;

    $frames->{hello}{keys} = [ map { { key => $_ x 4, name => $names{$_} } }
                               @keys ];
    $frames->connect;
}


sub keys_are {
    my ($s, $expected, $name) = @_;
    my $is = '';

    poll { ($is = join ' ', sort map { substr $_->{key_fingerprint}, 0, 2 }
                            @{ $s->json('/stats/keys') }) eq $expected }
         undef, 10;
    is($is, $expected, $name);
}


my $s = Statsd->start;
my $one = proxy($s, 1, 'one', qw/ a1 b2 /);
my $two = proxy($s, 2, 'two', qw/ c3 /);

keys_are($s, 'a1 b2 c3', 'the keys of two proxies');

told($one, qw/ a1 b2 /);
keys_are($s, 'a1 b2 c3', 'one comes again: the other keeps its own');
told($one, qw/ a1 /);
keys_are($s, 'a1 c3', 'a key that has left its configuration leaves');
told($two, qw/ a1 d4 /);
keys_are($s, 'a1 d4', 'one that both have');
told($one, qw/ b2 /);
keys_are($s, 'a1 b2 d4', 'is there for as long as either has it');
told($two, qw/ d4 /);
keys_are($s, 'b2 d4', 'and no longer');

# over a start of the daemon, and of nginx: another instance, the same name

$s->crash;
keys_are($s, 'b2 d4', 'the daemon knows them before they are told');
$one = proxy($s, 11, 'one', qw/ a1 /);
keys_are($s, 'a1 d4', 'an nginx that was started anew is the same proxy');
$two->connect;
keys_are($s, 'a1 d4', 'and takes nothing from the other');

# none at all

told($one);
keys_are($s, 'd4', 'a proxy without keys');

# modules that know no names are one proxy together, as they were

my $old = proxy($s, 21, '', qw/ b2 /);

keys_are($s, 'b2 d4', 'a module that says no name');
told($old, qw/ c3 /);
keys_are($s, 'c3 d4', 'has its keys as well');
told($two, qw/ d4 /);
keys_are($s, 'c3 d4', 'which stay');

$s->stop;
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();
