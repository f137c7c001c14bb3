#!/usr/bin/perl

# Tests with the official npm clients, whose streams break off: each raises, or
# is given an error, and none takes half an answer for a whole one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Clients;
use Cut;
use Proxy;
use Test::More;

my $dir = Clients::install();
my $cut = Cut->start;
my $t = Proxy->new(cloud => 0, servers => 'server 127.0.0.1:' . $cut->port
                                          . ' max_fails=0;',
                   balancer => "ollama_keys;\n$Proxy::no_keepalive")->run;


# what the clients make of these, { path => .., model => .. }

sub read_by_clients {
    my (@cuts) = @_;

    my ($code, $output) = Process::run([ 'node', "$dir/cut.js",
        'http://127.0.0.1:' . $t->port, $Proxy::token,
        $Http::json->encode(\@cuts) ], timeout => 300);

    is($code, 0, scalar(@cuts) . ' streams are read') or diag($output);

    my ($line) = $output =~ /^(\{.*\})$/m;

    return @{ $Http::json->decode($line // '{}')->{results} // [] };
}


for my $path (sort keys %Cut::streams) {
    my $length = length $Cut::streams{$path};

    # where the last line or event begins, and so its mark

    my ($last) = $Cut::streams{$path} =~ m!^.*\n(?=.)(?=(?:event|data: \[|\{))!s
                 ? $+[0] : die;
    my @points = sort { $a <=> $b }
                 (map { 1 + int($last * $_ / 12) } 1 .. 11), $last - 1, $last,
                 $last + 3, $last + 9;
    my $i = 0;
    my @cuts = map { { path => $path,
                       model => "$Cut::ways[$i++ % @Cut::ways]-$_" } } @points;
    my @results = read_by_clients(@cuts);
    my @wrong = grep { $_->{result} !~ /^error: / } @results;

    cmp_ok(scalar @results, '>=', @cuts, "$path: of " . @results . ' answers');
    is(join(', ', map { "$_->{model} $_->{how} $_->{result}" } @wrong), '',
       'none looks whole');

    @results = read_by_clients(map { { path => $path, model => "$_-$length" } }
                               @Cut::ways);
    @wrong = grep { $_->{result} ne 'whole' } @results;

    is(join(', ', map { "$_->{model} $_->{how} $_->{result}" } @wrong), '',
       'and one that is whole does, however its connection ended');
}

finish();
