package Clients;

# Programs with what they need from npm, in the build directory: the official
# clients from t/clients, or those of another folder of t.
#
#     my $dir = Clients::install();     skips the test if there is no registry
#     my $dir = Clients::install('agents', node => 20);       or an older node
#
#     my ($code, $output) = Process::run([ 'node', "$dir/openai.js", .. ]);

use warnings;
use strict;

use File::Copy qw/ copy /;
use File::Path qw/ make_path /;
use Process;
use Test::More;


sub install {
    my ($name, %needs) = ($_[0] // 'clients', @_[1 .. $#_]);

    my $dir = Process::build($name);
    my $from = "$Process::root/t/$name";

    make_path($dir);
    copy($_, $dir) for glob "$from/*.{js,mjs}";

    my $lock = Process::slurp("$from/package-lock.json");

    plan(skip_all => 'there is no npm') unless grep { -x "$_/npm" }
                                               split /:/, $ENV{PATH};

    if ($needs{node}) {
        my ($major) = `node --version` =~ /^v(\d+)/;

        plan(skip_all => "$name need node $needs{node}")
            if ($major // 0) < $needs{node};
    }

    return $dir if Process::slurp("$dir/installed") eq $lock;

    copy("$from/$_", $dir) for qw/ package.json package-lock.json /;

    my ($code, $output) = Process::run([ qw/ npm ci --no-audit --no-fund
        --ignore-scripts --omit=optional --fetch-retries 1 --prefix /, $dir ],
        timeout => 300);

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
