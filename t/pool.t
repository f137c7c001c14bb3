#!/usr/bin/perl

# The pool of keys by itself, in a real nginx: see t/pool/harness.h.

use warnings;
use strict;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my $build = $ENV{BUILD} // 'build';

$build = "$root/$build" unless $build =~ m!^/!;

my $nginx = $ENV{NGINX_BIN} // (-x "$build/nginx" ? "$build/nginx" : 'nginx');
my $dir = tempdir(CLEANUP => 1);

$ENV{PATH} .= ':/usr/sbin:/sbin';

open my $conf, '>', "$dir/nginx.conf" or die;
print $conf "load_module $build/pool_test.so; pid $dir/pid; events { }\n";
close $conf;


sub pool
{
    my ($what, %env) = @_;

    local %ENV = (%ENV, %env, POOL_TEST => $what);

    my @lines = `$nginx -t -e $dir/error.log -p $dir/ -c $dir/nginx.conf 2>&1`;

    chomp @lines;

    return @lines;
}


sub cases
{
    my ($what, %env) = @_;

    my $n = 0;
    my $plan = 0;

    for my $line (pool($what, %env)) {

        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            ok(!$1, "$what: $2");
            $n++;

        } elsif ($line =~ /^1\.\.(\d+)$/) {
            $plan = $1;

        } else {
            diag($line) if $line !~ /^#/;
        }
    }

    ok($n && $n == $plan, "$what: came to its end");
}


# The size that is named when a zone is too small has to be enough.

sub zone
{
    my ($keys, $size) = @_;

    my @lines = pool('zone', POOL_KEYS => $keys, POOL_SIZE => $size);

    return join "\n", @lines;
}


# A message of nginx -t goes to the error log that the test gave.

sub needed
{
    my ($keys) = @_;

    unlink "$dir/error.log";

    my $told = zone($keys, 196608);

    if (open my $log, '<', "$dir/error.log") {
        local $/;
        $told .= <$log>;
    }

    return $told =~ /too small for $keys keys, (\d+)(k|m) is needed/
           ? $1 * ($2 eq 'k' ? 1024 : 1024 * 1024) : 0;
}


cases('cases');
cases('crowd');
cases('random', POOL_SEED => $_, POOL_STEPS => 5000) for 1 .. 4;

like(zone(10, 196608), qr/start ok, reload ok, lease ok/,
     'the smallest zone that is accepted is of use');

for my $keys (100, 600, 1777, 10000) {
    my $size = needed($keys);

    like(zone($keys, $size), qr/start ok, reload ok, lease ok/,
         "$keys keys fit into the $size bytes that are said to be needed");
    unlike(zone($keys, $size * 0.9 - 65536), qr/start ok/,
           'and not into much less');
}

done_testing();
