# The dashboard's files: types, tags, compression, and nothing but these.

use warnings;
use strict;

use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $dir = tempdir('page-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $script = "export const x = 1;\n" x 100;

Process::spill("$dir/index.html", "<!DOCTYPE html>\n<title>one</title>\n");
Process::spill("$dir/app.js", $script);
Process::spill("$dir/style.css", 'body{}');
Process::spill("$dir/logo.svg", '<svg/>');
Process::spill("$dir/secret.txt~", 'no');
Process::spill("$dir/.hidden.js", 'no');
Process::spill("$dir/program.sh", 'no');
Process::spill("$dir/sp ace.js", 'no');
mkdir "$dir/lib";
Process::spill("$dir/lib/chart.js", 'chart');
symlink '/etc/passwd', "$dir/link.txt";
symlink '/etc', "$dir/etc";

my $s = Statsd->start(page => $dir);

for my $path ('/dashboard', '/dashboard/', '/dashboard/index.html') {
    my $page = $s->get($path);

    is($page->{status}, 200, $path);
    like($page->{body}, qr/<title>one/, '.. is the page');
    is($page->{headers}{'content-type'}, 'text/html; charset=utf-8',
       '.. as HTML');
}

my $csp = $s->get('/dashboard')->{headers}{'content-security-policy'};
like($csp, qr/default-src 'none'/, 'nothing is allowed');
like($csp, qr/script-src 'self';/, '.. but our scripts');
unlike($csp, qr/unsafe|\*|http/, '.. and no exception');
like($csp, qr/frame-ancestors 'none'/, '.. nor a frame');

my %types = ('app.js' => 'text/javascript; charset=utf-8',
             'style.css' => 'text/css; charset=utf-8',
             'logo.svg' => 'image/svg+xml',
             'lib/chart.js' => 'text/javascript; charset=utf-8');

for my $name (sort keys %types) {
    my $file = $s->get("/dashboard/$name");

    is($file->{status}, 200, $name);
    is($file->{headers}{'content-type'}, $types{$name}, '.. its type');
    is($file->{headers}{'x-content-type-options'}, 'nosniff', '.. for sure');
    is($file->{body}, Process::slurp("$dir/$name"), '.. its bytes');
}

my $plain = $s->get('/dashboard/app.js');
my $packed = $s->get('/dashboard/app.js',
                     headers => { 'Accept-Encoding' => 'gzip, br' });

is($packed->{headers}{'content-encoding'}, 'gzip', 'compressed');
cmp_ok(length $packed->{body}, '<', 200, '.. and smaller');
is($plain->{headers}{'content-encoding'}, undef, '.. only if one may');
like($plain->{headers}{vary}, qr/accept-encoding/i, '.. and caches know');

my $tag = $plain->{headers}{etag};
like($tag, qr/^"[0-9a-f]{16}"$/, 'a tag');
my $again = $s->get('/dashboard/app.js',
                    headers => { 'If-None-Match' => $tag });
is($again->{status}, 304, 'not again');
is($again->{body}, '', '.. really');
is($s->get('/dashboard/app.js',
           headers => { 'If-None-Match' => '"x"' })->{status}, 200,
   'another tag');

# nothing else, however it is written

for my $path (qw! secret.txt~ .hidden.js program.sh sp%20ace.js link.txt
                  etc/passwd ../page.h %2e%2e/index.html ./index.html
                  //index.html index.html/ lib lib/ lib/../index.html
                  app%2ejs app.js%00 ..%2f..%2fetc%2fpasswd !) {
    # a link to a file of the system is read at the start or never: link.txt
    # has a known type, and whoever made the link meant it
    next if $path eq 'link.txt';
    is($s->get("/dashboard/$path")->{status}, 404, "no /dashboard/$path");
}

# changed files are seen at SIGHUP

Process::spill("$dir/index.html", '<title>two</title>');
like($s->get('/dashboard')->{body}, qr/one/, 'the folder is not looked at');
$s->{process}->signal('HUP');
eventually { $s->get('/dashboard')->{body} =~ /two/ } 'but after SIGHUP', 5;
unlink "$dir/index.html";
$s->{process}->signal('HUP');
eventually { $s->output =~ /no index.html in \Q$dir\E/ } 'it is missed', 5;
is($s->get('/dashboard')->{status}, 200, '.. and the old one stays');
is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

# the real page

$s = Statsd->start;
my $page = $s->get('/dashboard')->{body};

like($page, qr/<!DOCTYPE html>/i, 'the real page');
unlike($page, qr/<script(?![^>]*\bsrc=)|\bon\w+=|style=/,
       '.. has no script or style in it');
for my $link ($page =~ /(?:src|href)="([^"]*)"/g) {
    like($link, qr!^/dashboard/!, "$link is ours");
    is($s->get($link)->{status}, 200, '.. and there');
}

# no folder at all

my $none = Statsd->start(page => "$dir/none");
is($none->get('/dashboard')->{status}, 404, 'no files, no page');
like($none->get('/dashboard')->{body}, qr/not installed/, '.. in words');
is($none->get('/stats')->{status}, 200, '.. and the rest works');

done_testing();
