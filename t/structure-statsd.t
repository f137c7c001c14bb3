#!/usr/bin/perl

# Tests for the structure of the daemon: folders know those below them only, no
# two files need each other, SQL stays with SQLite.

use warnings;
use strict;

use File::Find;
use File::Spec;
use FindBin;
use lib "$FindBin::Bin/lib";

use Circle;
use Process;
use Test::More;

my $root = "$Process::root/stats-daemon";

# from the bottom up; '' is main.c; what the ledger is made of is known to its
# store

my @folders = ('base', 'bodies', 'types', 'store', 'ledger', 'wire', 'balance',
               'web', '');
my %level = map { $folders[$_] => $_ } 0 .. $#folders;

my %text;

find({ no_chdir => 1, wanted => sub {
    $text{ File::Spec->abs2rel($_, $root) } = Process::slurp($_) if /\.[ch]$/;
} }, $root);

cmp_ok(scalar keys %text, '>', 90, 'files of the daemon: ' . keys %text);


sub folder {
    my ($file) = @_;

    return 'types' if $file eq 'ledger/ledger.h';
    return $file =~ m!^([^/]+)/! ? $1 : '';
}


# file.c and file.h are one

sub unit { $_[0] =~ s/\.[ch]$//r }


my (%needs, @up, @unknown);

for my $file (sort keys %text) {
    my ($here) = $file =~ m!^(.*/)?!;

    push @unknown, $file unless defined $level{folder($file)};

    for my $name ($text{$file} =~ /^#include "(\S+)"/mg) {
        my $path = ($here // '') . $name;

        1 while $path =~ s!(?:^|/)(?\!\.\./)[^/]+/\.\./!/!;
        $path =~ s!^/!!;
        next if $path =~ m!^\.\./ngx_ollama_module/core/!;

        if (!$text{$path}) {
            push @unknown, "$file: $name";
            next;
        }

        $needs{unit($file)}{unit($path)} = 1 if unit($file) ne unit($path);
        push @up, "$file -> $path"
            if $level{folder($path)} > $level{folder($file)};
    }
}

is("@unknown", '', 'each file is in a folder, and includes the daemon\'s or core');
is("@up", '', 'folders know those below them only');


is(circle(\%needs), '', 'no two files need each other');

is(join(' ', grep { $text{$_} =~ /sqlite3_|"(?:SELECT|INSERT|UPDATE|DELETE) /
                    && !m!^store/sqlite/! } sort keys %text), '',
   'SQL stays in store/sqlite');
is(join(' ', grep { $text{$_} =~ m!^#include "[^"]*sqlite/!m
                    && !m!^store/(?:sqlite/|stores\.c$)! } sort keys %text), '',
   '.. and nobody looks into it');

for my $file (sort keys %text) {
    my $lines = () = $text{$file} =~ /\n/g;

    cmp_ok($lines, '<=', 700, "$file: $lines lines");
}

done_testing();
