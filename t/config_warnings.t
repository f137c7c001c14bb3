#!/usr/bin/perl

# Tests for what `nginx -t` warns of: configurations that work, but not as
# their owner will have meant them.  The shipped one gets no warning.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

Proxy::secret(keys_of(3));


# conf/nginx.conf and its two files with what belongs to this machine alone

sub shipped {
    my ($edit) = @_;
    my $t = Proxy->new(cloud => 0, conf => '');
    my ($dir, $port) = ($t->dir, $t->port);
    my $module = Process::build('ngx_ollama_module.so');
    my %run = (
        module => "load_module $module;", user => $> ? '' : 'user root;',
        pid => "pid $dir/nginx.pid;", error_log => "error_log $dir/error.log warn;",
        log => '',
        config => "ollama_config $dir/config.yaml;",
        env => "ollama_env_file $dir/.env;",
        prices => "ollama_prices $Process::root/conf/prices.yaml;",
        records => "ollama_statsd unix:$dir/statsd.sock;",
        upstream => 'server 127.0.0.1:1 max_fails=0;',
        listen => "listen 127.0.0.1:$port;", listen6 => '',
        cloud => 'ollama_upstream http://ollama_cloud host=ollama.test;',
        params => "include $dir/include/ollama_params;",
        locations => "include $dir/include/ollama_locations;",
        temp => $t->temp_paths, statsd => "proxy_pass http://unix:$dir/http.sock;",
        verify => 'proxy_ssl_verify off;', ca => '', nofile => '',
        private_server => "include $dir/include/ollama_private;",
        private_listen => "listen unix:$dir/private/nginx.sock;",
        private => 'ollama_private;',
    );

    for my $name (qw/ nginx.conf ollama_params ollama_locations
                         ollama_private /) {
        my $text = Process::slurp("$Process::root/conf/$name");

        $text =~ s/^( *)\S.*# run: (\w+).*$/"$1" . ($run{$2} \/\/ die "run: $2\n")/gme;
        $edit->($name) for $text;
        Process::spill($name eq 'nginx.conf' ? "$dir/$name"
                                             : "$dir/include/$name", $text);
    }

    return $t;
}


# warnings of nginx -t; edit changes the text of the file whose name it gets

sub warnings_of {
    my ($edit) = @_;
    my $t = shipped($edit // sub { });
    my ($code, $output) = $t->nginx('-t');

    is($code, 0, 'nginx -t accepts it') or diag($output);

    return grep { /\[warn\]/ } split /\n/, $output;
}


# exactly one warning, which says all of this

sub warns {
    my ($name, $patterns, $edit) = @_;
    my @warnings = warnings_of($edit);

    is(scalar @warnings, 1, "$name: one warning") or diag(join "\n", @warnings);
    like($warnings[0] // '', $_, 'which says it') for @$patterns;
}


# silent when nothing is wrong

is(join("\n", warnings_of()), '', 'the shipped configuration: no warning');

# no worker_shutdown_timeout

warns('no worker_shutdown_timeout',
      [ qr/"worker_shutdown_timeout"/, qr/worker_shutdown_timeout \d+(s|m|h)/ ],
      sub { s/^worker_shutdown_timeout.*$//m if $_[0] eq 'nginx.conf' });

# "ollama on" without proxy_pass

my $where = qr/(nginx\.conf|ollama_locations):\d+|location "\/x\/?"/;

sub location {
    my ($text) = @_;
    return sub { s/^(\s*include \S*ollama_locations;.*)$/$1\n$text/m
                     if $_[0] eq 'nginx.conf' };
}

warns('ollama on without proxy_pass',
      [ qr/"ollama on"/, qr/proxy_pass \$ollama_upstream/, $where ],
      location('location /x/ { ollama on; }'));
warns('the same with an access rule',
      [ qr/proxy_pass/, $where ],
      location('location /x { ollama on; ollama_access on; }'));
warns('a location within another one',
      [ qr/proxy_pass/, $where ],
      location('location /x { ollama on; proxy_pass $ollama_upstream; '
               . 'location /x/y { ollama on; } }'));

for my $fine ('location /x/ { ollama off; }',
              'location /x/ { ollama on; proxy_pass $ollama_upstream; }',
              'location /x/ { ollama on; proxy_pass http://ollama_cloud; }',
              'location /x/ { ollama on; proxy_pass $ollama_upstream; '
              . 'if ($http_x) { set $x 1; } }',
              'location /x/ { ollama on; proxy_pass $ollama_upstream; '
              . 'limit_except GET POST { deny all; } }')
{
    is(join("\n", warnings_of(location($fine))), '', "no warning: $fine");
}

# an @name that is not there

warns('a named location that is not there',
      [ qr/\@nowhere/, qr/ollama_health|location \@nowhere/,
        qr/(nginx\.conf|ollama_locations):\d+|location "?=? ?\/health/ ],
      sub { s/\@ollama_statsd_health;/\@nowhere;/
                if $_[0] eq 'ollama_locations' });
warns('nor in this server',
      [ qr/\@elsewhere/ ],
      sub {
          s/\@ollama_statsd_health;/\@elsewhere;/ if $_[0] eq 'ollama_locations';
          s/^(\s*)access_log/$1server { listen unix:other.sock; location \@elsewhere { return 204; } }\n$1access_log/m
              if $_[0] eq 'nginx.conf';
      });

# read timeouts; three locations of the sample inherit one

for my $short (qw/ 60s 299s 299999ms /) {
    warns("proxy_read_timeout $short",
          [ qr/proxy_read_timeout/, qr/proxy_read_timeout 1800s|1800s|30m/,
            qr/(nginx\.conf|ollama_params|ollama_locations):\d+|location "\/"/ ],
          sub { s/proxy_read_timeout 1800s;/proxy_read_timeout $short;/
                    if $_[0] eq 'ollama_params' });
}

for my $long (qw/ 300s 5m 1h /) {
    is(join("\n", warnings_of(sub {
        s/proxy_read_timeout 1800s;/proxy_read_timeout $long;/
            if $_[0] eq 'ollama_params'
    })), '', "no warning: proxy_read_timeout $long");
}

warns('nginx\'s own minute, where nothing is said',
      [ qr/proxy_read_timeout/ ],
      sub { s/proxy_read_timeout 1800s;// if $_[0] eq 'ollama_params' });
warns('one location alone', [ qr/proxy_read_timeout/, $where ],
      location('location /x { ollama on; proxy_pass $ollama_upstream; '
               . 'proxy_read_timeout 20s; }'));
is(join("\n", warnings_of(location('location /x { proxy_read_timeout 20s; '
                                   . 'proxy_pass http://127.0.0.1:1; }'))),
   '', 'no warning: other locations may wait as long as they like');

# all of them together, each told

my @all = warnings_of(sub {
    s/^worker_shutdown_timeout.*$//m if $_[0] eq 'nginx.conf';
    location('location /x/ { ollama on; }')->($_[0]);
    s/\@ollama_statsd_health;/\@nowhere;/ if $_[0] eq 'ollama_locations';
    s/proxy_read_timeout 1800s;/proxy_read_timeout 1m;/
        if $_[0] eq 'ollama_params';
});

for my $word (qw/ worker_shutdown_timeout proxy_pass @nowhere
                  proxy_read_timeout /)
{
    is((grep { /\Q$word\E/ } @all) > 0, 1, "all of them: $word");
}

# an nginx that loads the module and uses nothing of it is left alone

my $idle = Proxy->new(cloud => 0, conf => '');

$idle->{conf} = $idle->globals =~ s/^worker_shutdown_timeout.*$//mr
                . 'http { access_log off; ' . $idle->temp_paths
                . ' server { listen 127.0.0.1:%PORT%; return 204; } }';
$idle->write_conf;
is((grep { /\[warn\]/ } split /\n/, ($idle->nginx('-t'))[1]), 0,
   'the module alone warns of nothing');

finish();
