#!/usr/bin/perl

# The unit tests in C: each program in $BUILD/unit, each of its cases.
# A program that ends early, by a signal or a sanitizer, is a failure too.

use warnings;
use strict;

use Cwd qw/ abs_path /;
use File::Basename qw/ basename dirname /;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my $build = $ENV{BUILD} // 'build';

$build = "$root/$build" unless $build =~ m!^/!;

my @programs = grep { -f && -x } glob "$build/unit/test_*";
my @sources = glob "$root/t/unit/test_*.c";

my %built = map { basename($_) => 1 } @programs;
my @missing = grep { !$built{$_} } map { basename($_, '.c') } @sources;

is("@missing", '', 'every unit test is built');

$ENV{CMOCKA_MESSAGE_OUTPUT} = 'TAP';

for my $program (@programs) {
    my $name = basename($program);
    my $cases = 0;

    next unless -f "$root/t/unit/$name.c";

    open my $output, '-|', "$program 2>&1" or die "$program: $!\n";

    while (my $line = <$output>) {
        chomp $line;

        if ($line =~ /^(not )?ok \d+ - (\S+)(\s+# SKIP.*)?/i) {
            $cases++;

            if ($3) {
                SKIP: { skip "$name: $2", 1 }
            } else {
                ok(!$1, "$name: $2");
            }

        } elsif ($line !~ /^(\d+\.\.\d+|TAP version|# ok|\s*$)/) {
            diag($line);
        }
    }

    close $output;

    ok($cases > 0, "$name: has cases");
    is($?, 0, "$name: ends well");
}

done_testing();
