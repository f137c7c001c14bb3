package Pages;

# Scripts in t/pages, which drive Debian's Chromium over the dashboard.
#
#     my $pages = Pages->new;              # skips the test if there is no
#                                          # browser and none can be had
#     $pages->run('panels', { url => .. }, # its checks become checks here
#                 stop => sub { .. });     # what it asks for by name
#
# A script prints one JSON object a line: { ok, name, diag } is a check,
# { do, .. } asks this side for something and waits for the answer.

use warnings;
use strict;

use File::Copy qw/ copy /;
use File::Path qw/ make_path /;
use File::Temp qw/ tempdir /;
use Http;
use IPC::Open2;
use Process;
use Statsd;
use Test::More ();

our $browser = $ENV{CHROMIUM} // '/usr/bin/chromium';

my $json = JSON::PP->new->canonical->utf8->allow_nonref;


sub new {
    my ($class) = @_;

    skip("there is no $browser: apt-get install chromium") unless -x $browser;
    skip('there is no node') if system 'node --version >/dev/null 2>&1';
    skip('node is older than 18')
        if `node --version` =~ /^v(\d+)/ && $1 < 18;

    return bless { dir => install() }, $class;
}


sub skip {
    Test::More::plan(skip_all => $_[0]);
}


# npm ci into the build directory

sub install {
    my $dir = Process::build('pages');
    my $from = "$Process::root/t/pages";
    my $lock = Process::slurp("$from/package-lock.json");

    make_path($dir);
    copy($_, $dir) for glob "$from/*.mjs";

    return $dir if Process::slurp("$dir/installed") eq $lock;

    copy("$from/$_", $dir) for qw/ package.json package-lock.json /;

    skip('there is no npm') if system 'npm --version >/dev/null 2>&1';

    my ($code, $output) = Process::run([ qw/ npm ci --no-audit --no-fund
        --ignore-scripts --fetch-retries 1 --prefix /, $dir ], timeout => 180);

    if ($output =~ /\b(ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|E\w+UNREACH
                       |SELF_SIGNED\w+|UNABLE_TO_\w+|CERT_\w+)\b/x)
    {
        skip("the npm registry cannot be reached ($1)");
    }

    die "npm ci: $output\n" if $code;

    Process::spill("$dir/installed", $lock);

    return $dir;
}


sub run {
    my ($self, $name, $given, %do) = @_;
    my $home = tempdir('ollama-pages-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    local $ENV{HOME} = $home;
    local $ENV{TMPDIR} = $home;
    my $builder = Test::More->builder;

    binmode $builder->$_, ':utf8' for qw/ output failure_output todo_output /;

    my $pid = open2(my $out, my $in, 'node', "$self->{dir}/$name.mjs",
                    $json->encode({ %$given, browser => $browser }));
    my $end;

    while (my $line = <$out>) {
        my $said = $line =~ /^\{/ ? eval { $json->decode($line) } : undef;

        if (!$said) {
            Test::More::diag($line);

        } elsif ($said->{do}) {
            my $what = $do{ $said->{do} };
            my $answer = eval { $what->($said) };

            Test::More::diag("$said->{do}: $@") if $@;
            print $in $json->encode($answer // 0), "\n";
            $in->flush;

        } elsif (defined $said->{ok}) {
            Test::More::ok($said->{ok}, "$name: $said->{name}")
                or Test::More::diag($said->{diag});

        } elsif ($said->{end}) {
            $end = 1;

        } else {
            Test::More::note($said->{note});
        }
    }

    waitpid $pid, 0;
    Test::More::ok($end && $? == 0, "$name: to the end");
}


# build/frames on the ingest socket of a Proxy: a second nginx, so to say,
# for requests of other times and other clients

package Pages::Feed;

use warnings;
use strict;

our @ISA = 'Statsd';


sub new {
    my ($class, $proxy, %how) = @_;
    my $self = bless { dir => $proxy->dir }, $class;

    return $self->frames(instance => 'feed', %how);
}


sub path { "$_[0]{dir}/$_[1].sock" }


1;
