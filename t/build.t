#!/usr/bin/perl

# Tests for the build's refusals: a module loads into the nginx it was built
# for and into no other, which is said in words and before anything is built.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Process;
use Test::More;

my $dir = tempdir('ollama-build-XXXXXX', TMPDIR => 1, CLEANUP => 1);


sub tree {
    my (%env) = @_;

    return Process::run([ "$Process::root/mk/nginx-tree", "$dir/tree" ],
                        env => { NGINX_SRC => undef, SANITIZE => undef, %env });
}


my ($code, $output) = tree(NGINX_SRC => "$dir/nowhere");

isnt($code, 0, 'no source');
like($output, qr/NGINX_SRC=$dir\/nowhere holds no nginx source/, 'is said');

SKIP: {
    skip "Debian's nginx-dev is not installed", 2 unless -d '/usr/share/nginx/src';

    mkdir "$dir/bin";
    Process::spill("$dir/bin/nginx", "#!/bin/sh\n"
                   . "echo 'nginx version: nginx/1.2.3' >&2\n");
    chmod 0755, "$dir/bin/nginx";

    ($code, $output) = tree(PATH => "$dir/bin:$ENV{PATH}");

    isnt($code, 0, 'the installed nginx is another one');
    like($output, qr/installed nginx is 1\.2\.3.*"not binary compatible"/s,
         'is said');
}

done_testing();
