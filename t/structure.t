#!/usr/bin/perl

# Tests for the structure of the module: a file calls those below it in the
# list of ngx_http_ollama.h, no two files need each other, none is longer than
# one can keep in mind, and what a key looks like is the pool's own business.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Circle;
use Process;
use Test::More;

my $root = "$Process::root/ngx_ollama_module";

# file => its text; the same without comments and strings

my %text = map { s!^\Q$root/!!r => Process::slurp($_) }
           glob "$root/*.[ch] $root/pool/*.[ch] $root/core/*.[ch]";
my $string = qr/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+'/;
my %code = map { $_ => $text{$_} =~ s!/\*.*?\*/|$string!""!gsr } keys %text;

cmp_ok(scalar keys %text, '>', 60, 'files of the module: ' . keys %text);


# that would be found

is(circle({ a => { b => 1 }, b => { c => 1 } }), '', 'a chain');
like(circle({ a => { b => 1 }, b => { c => 1 }, c => { b => 1 } }),
     qr/b -> c -> b/, 'and a circle');

# headers

my %headers;

for my $file (sort keys %text) {
    my ($folder) = $file =~ m!^(.*/)?!;

    for my $name ($text{$file} =~ /^#include "(\S+)"/mg) {
        my ($header) = grep { exists $text{$_} }
                       map { (($folder // '') . $_, $_, "core/$_") } $name;

        ok($header, "$file includes a file of the module: $name")
            unless $header;
        $headers{$file}{$header} = 1 if $header;
    }
}

is(circle(\%headers), '', 'no circle of headers');

is(join(' ', grep { $headers{$_}{'pool/key.h'} && !m!^pool/! } sort keys %headers),
   '', 'pool/key.h is private to pool/');
is(join(' ', grep { m!^core/! && grep { !m!^core/! } keys %{ $headers{$_} } }
        sort keys %headers), '', 'core/ includes nothing of nginx\'s side');
is(join(' ', grep { m!^core/! && $code{$_} =~ /\bngx_/ } sort keys %code),
   '', 'and is plain C');
is(join(' ', grep { m!^pool/!
                    && grep { !m!^(pool|core)/! } keys %{ $headers{$_} } }
        sort keys %headers), '', 'pool/ knows nobody above it');

# calls: a function is defined with its name at the start of a line

my %defined;

for my $file (grep { /\.c$/ } sort keys %code) {
    my $text = $code{$file};

    while ($text =~ /^(?!static)[a-z][\w ]*\**\s*\n([a-z]\w+)\([^;{]*\)\s*\{/mg)
    {
        $defined{$1} = $file;
    }
}

cmp_ok(scalar keys %defined, '>', 200, 'functions: ' . keys %defined);

my %calls;

for my $file (grep { /\.c$/ } sort keys %code) {
    my %own = map { $_ => 1 }
              $code{$file} =~ /^static [^;{]*?\b(\w+)\([^;{]*\)\s*[;{]/mg;

    for my $name (grep { !$own{$_} } $code{$file} =~ /\b(\w+)\b/g) {
        my $where = $defined{$name} // next;

        $calls{$file}{$where} = $name if $where ne $file;
    }
}


sub among {
    my ($folder) = @_;
    my %edges;

    for my $from (grep { m!^$folder[^/]+$! } keys %calls) {
        $edges{$from}{$_} = 1
            for grep { m!^$folder[^/]+$! } keys %{ $calls{$from} };
    }

    return \%edges;
}


is(circle(among('')), '', 'no circle of files');
is(circle(among('pool/')), '', 'nor in pool/');
is(circle(among('core/')), '', 'nor in core/');

# the list: each file once, and arrows go down only

my ($list) = $text{'ngx_http_ollama.h'} =~ m!/\*(.*?)\*/!s;
my @order = $list =~ /^ \*\s+(_\w+\.c)\s/mg;
my %place = map { ("ngx_http_ollama$order[$_]" => $_) } 0 .. $#order;

is(scalar @order, scalar keys %place, 'the list names no file twice');
is(join(' ', sort keys %place), join(' ', sort grep { m!^[^/]+\.c$! } keys %code),
   'and each file');

for my $from (sort { $place{$a} <=> $place{$b} } keys %place) {
    my @up = grep { !m!/! && $place{$_} < $place{$from} }
             keys %{ $calls{$from} // {} };

    is(join(' ', map { "$_ ($calls{$from}{$_})" } sort @up), '',
       "$from calls those below it only");
}

# sizes

for my $file (sort keys %text) {
    my $lines = () = $text{$file} =~ /\n/g;

    cmp_ok($lines, '<=', 700, "$file: $lines lines");
}

done_testing();
