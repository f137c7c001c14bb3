package Clients;

# The official npm clients, from t/clients, in the build directory.
#
#     my $dir = Clients::install();     skips the test if there is no registry
#
#     my ($code, $output) = Process::run([ 'node', "$dir/openai.js", .. ]);

use warnings;
use strict;

use File::Copy qw/ copy /;
use File::Path qw/ make_path /;
use Process;
use Test::More;


sub install {
    my $dir = Process::build('clients');
    my $from = "$Process::root/t/clients";

    make_path($dir);
    copy($_, $dir) for glob "$from/*.js";

    my $lock = Process::slurp("$from/package-lock.json");

    return $dir if Process::slurp("$dir/installed") eq $lock;

    copy("$from/$_", $dir) for qw/ package.json package-lock.json /;

    plan(skip_all => 'there is no npm') unless grep { -x "$_/npm" }
                                               split /:/, $ENV{PATH};

    my ($code, $output) = Process::run([ qw/ npm ci --no-audit --no-fund
        --ignore-scripts --fetch-retries 1 --prefix /, $dir ], timeout => 180);

    if ($output =~ /\b(ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|E\w+UNREACH
                       |SELF_SIGNED\w+|UNABLE_TO_\w+|CERT_\w+)\b/x)
    {
        plan(skip_all => "the npm registry cannot be reached ($1)");
    }

    die "npm ci: $output\n" if $code;

    Process::spill("$dir/installed", $lock);

    return $dir;
}


1;
