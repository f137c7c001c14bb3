#!/usr/bin/perl

# The units for systemd: it understands them, and finds the service well locked
# up.  Nothing is started.

use warnings;
use strict;

use File::Copy qw/ copy /;
use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Process;
use Statsd;
use Test::More;

plan(skip_all => 'there is no systemd-analyze')
    unless grep { -x "$_/systemd-analyze" } split /:/, $ENV{PATH};

my $dir = tempdir('units-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $daemon = Statsd::tool('ollama-statsd');

for my $unit (qw/ ollama-statsd.service ollama-statsd.socket /) {
    my $text = Process::slurp("$Process::root/conf/$unit");

    # what is not installed here

    Process::spill("$dir/$unit", $text =~ s!/usr/sbin/ollama-statsd!$daemon!r);
}

like(Process::slurp("$dir/ollama-statsd.service"), qr/^LimitNOFILE=[1-9]\d{3}/m,
     'there are descriptors for all the connections that are served');

my ($code, $output) = Process::run([ qw/ systemd-analyze verify --man=no /,
                                     "$dir/ollama-statsd.service",
                                     "$dir/ollama-statsd.socket" ]);

is($code, 0, 'the units are understood') or diag($output);
unlike($output, qr!^\Q$dir\E|ollama-statsd\.(service|socket):!m,
       'without a remark');

($code, $output) = Process::run([ qw/ systemd-analyze security --offline=true
    --no-pager /, "$dir/ollama-statsd.service" ]);

my ($exposure) = $output =~ /exposure level for \S+: ([0-9.]+)/;

cmp_ok($exposure // 10, '<', 3, 'the service is locked up')
    or diag($output);

done_testing();
