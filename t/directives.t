#!/usr/bin/perl

# Tests for the directives: what is refused, what holds by default, and that
# the README knows each of them.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

Proxy::secret(keys_of(3));


# nginx -t with a line more, or with something else in place of a line

sub refused {
    my ($name, $reason, %conf) = @_;

    my $edit = delete $conf{edit};
    my $t = Proxy->new(cloud => 0, %conf);

    if ($edit) {
        $t->{conf} = $t->default_conf;
        $edit->() for $t->{conf};
        $t->write_conf;
    }

    my ($code, $output) = $t->nginx('-t');

    is($code, 1, "refused: $name") or diag($output);
    like($output, $reason, 'with a reason');
}


refused('no zone', qr/"ollama_config" needs "ollama_zone"|needs "ollama_zone"/,
        edit => sub { s/ollama_zone[^;]*;// });
refused('no config', qr/needs "ollama_config"/,
        edit => sub { s/ollama_config[^;]*;// });
refused('a zone too small', qr/zone "ollama" is too small, at least \d+ bytes/,
        zone => '8k');
refused('a zone of no size', qr/invalid zone size/, zone => 'big');
refused('a zone twice', qr/duplicate/, http => 'ollama_zone other 8m;');
refused('a config twice', qr/duplicate/, http => 'ollama_config other;');
refused('too many keys for the zone', qr/zone/, zone => '256k',
        keys => [ keys_of(5000) ]);
refused('tries=0', qr/between 1 and 16/, balancer => 'ollama_keys tries=0;');
refused('tries=17', qr/between 1 and 16/, balancer => 'ollama_keys tries=17;');
refused('tries=x', qr/invalid/, balancer => 'ollama_keys tries=x;');
refused('another parameter', qr/invalid parameter/,
        balancer => 'ollama_keys retries=2;');
refused('load=money', qr/expected "load=cost" or "load=tokens" in \S+:\d+/,
        balancer => 'ollama_keys load=money;');
refused('strategy=', qr/expected "strategy=least" or "strategy=expiring"/,
        balancer => 'ollama_keys strategy=;');
refused('load= twice', qr/invalid parameter "load=cost".* once/,
        balancer => 'ollama_keys load=cost load=cost;');
refused('two upstreams, two loads',
        qr/"load=cost" is said in \S+:\d+, but "load=tokens" in \S+:\d+/,
        balancer => 'ollama_keys load=tokens;', http =>
        'upstream other { server 127.0.0.1:1; ollama_keys load=cost; }');
refused('two upstreams, two strategies',
        qr/one pool .* "strategy=expiring" is said in \S+:\d+, but "strategy=least"/,
        balancer => 'ollama_keys strategy=least;', http =>
        'upstream other { server 127.0.0.1:1; ollama_keys strategy=expiring; }');
refused('ollama_keys twice', qr/duplicate/,
        balancer => 'ollama_keys; ollama_keys;');
refused('a queue of x', qr/invalid number/,
        balancer => 'ollama_keys; ollama_queue x;');
refused('a keepalive of x', qr/invalid time "x", expected one like "20s"/,
        http => 'ollama_keepalive x;');
refused('a timeout of x', qr/invalid time/,
        balancer => 'ollama_keys; ollama_queue 4 timeout=x;');
refused('ollama_queue twice', qr/duplicate/,
        balancer => 'ollama_keys; ollama_queue 4; ollama_queue 5;');

refused("ollama_hold $_->[0]", $_->[1],
        balancer => "ollama_keys; ollama_hold $_->[0];")
    for [ 'soon', qr/invalid time "soon", expected such as "10m"/ ],
        [ '0', qr/invalid time "0"/ ], [ '-1s', qr/invalid time "-1s"/ ],
        [ '1m max=0', qr/invalid number in "max=0", expected 1 to/ ],
        [ '1m max=x', qr/invalid number in "max=x"/ ],
        [ '1m headers', qr/invalid parameter "headers", expected "header"/ ],
        [ 'off header', qr/invalid time "off"/ ];
refused('ollama_hold twice', qr/duplicate/,
        balancer => 'ollama_keys; ollama_hold 1m; ollama_hold 2m;');
refused('an upstream without scheme', qr/invalid URL/, upstream => 'ollama_cloud');
refused('an upstream with a path', qr/must end with the name/,
        upstream => 'http://ollama_cloud/api');
refused('an upstream with more', qr/invalid parameter/,
        upstream => 'http://ollama_cloud name=x');
refused('a name that is no upstream', qr/no_such_upstream/,
        upstream => 'http://no_such_upstream');
refused('ollama perhaps', qr/invalid value "perhaps"/,
        locations => 'location /x { ollama perhaps; }');
refused('ollama on the http level', qr/not allowed here/, http => 'ollama on;');
refused('ollama_keys in a server', qr/not allowed here/,
        server => 'ollama_keys;');

# an nginx that loads the module and uses nothing of it

my $idle = Proxy->new(conf => '');

$idle->{conf} = $idle->globals . 'http { access_log off; ' . $idle->temp_paths
                . ' server { listen 127.0.0.1:%PORT%; return 204; } }';
$idle->write_conf;
is($idle->run->get('/')->status, 204, 'the module alone does nothing');

# defaults

my $t = Proxy->new->run;

is($t->get('/api/version')->json->{version}, '0.40.12', 'ollama_version');
is($t->chat->header('x-ollama-attempts'), 1, 'ollama_headers');

# the variables, in a log

Poll::poll { Process::slurp($t->dir . '/access.log') =~ m!/api/chat! } 'a line';
like(Process::slurp($t->dir . '/access.log'),
     qr!^POST /api/chat 200 key_\d 1 gpt-oss:20b$!m,
     '$ollama_key, $ollama_attempts and $ollama_model');

# the README

my $readme = Process::slurp("$Process::root/README.md");
my $source = join '', map { Process::slurp($_) }
             glob "$Process::root/ngx_ollama_module/*.c";
my %directives = map { $_ => 1 }
                 $source =~ /\{ ngx_string\("(ollama\w*)"\),\s+NGX_(?=[A-Z_|]*CONF)/g;

cmp_ok(scalar keys %directives, '>', 10, 'directives: ' . keys %directives);
like($readme, qr/\| Syntax +\| \*\*$_\*\*/, "README explains $_")
    for sort keys %directives;

# parameters are written "name=value"

my %parameters = map { $_ => 1 } $source =~ /strn?cmp\(value\[\w\]\.data, "(\w+=)/g;

cmp_ok(scalar keys %parameters, '>', 4, 'parameters: ' . keys %parameters);
like($readme, qr/\| Syntax .*`\Q$_\E/, "README explains $_")
    for sort keys %parameters;

# variables: a row for each, and no row for what is none

my %variables = map { $_ => 1 }
                $source =~ /\{ ngx_string\("(ollama_\w+)"\), NULL,/g;
my ($rows) = $readme =~ /^## Variables\n(.*?)^## /ms;
my %rows = map { $_ => 1 } map { /`\$(ollama_\w+)`/g } $rows =~ /^\| (.*?) \|/mg;

cmp_ok(scalar keys %variables, '>', 10, 'variables: ' . keys %variables);
is(join(' ', sort keys %rows), join(' ', sort keys %variables),
   'README explains each of them');
unlike($readme, qr/\@[A-Z0-9]+\@/, 'README has no gaps');

finish();
