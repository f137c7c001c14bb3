package Proxy;

# The whole product for a test: the simulator, nginx with the module and the
# shipped include files, and what every run has to leave behind in order.
#
#     use Test::More;
#     use Proxy;
#
#     my $t = Proxy->new(keys => [ keys_of(3) ])->run;
#
#     is($t->chat->status, 200, 'a chat');
#     is($t->health(0)->{in_flight}, 0, 'the key is free again');
#
#     finish();
#
# finish() takes the place of done_testing().  For every proxy of the test it
# adds what must hold after any run: in-flight counts are back to zero, the
# error log has no alert, no sanitizer spoke, and neither keys nor tokens are
# to be found in any file or any byte that a client has received.

use warnings;
use strict;

use Cloud;
use Exporter qw/ import /;
use File::Find qw/ find /;
use File::Temp qw/ tempdir /;
use Http;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Poll;
use Process;
use Test::More ();

our @EXPORT = qw/ keys_of key_of finish /;

our ($nginx) = grep { defined && -x } $ENV{NGINX_BIN},
               Process::build('nginx'), '/usr/sbin/nginx';
our ($version) = map { sprintf '%d%03d%03d', /([0-9]+)\.([0-9]+)\.([0-9]+)/ }
                 `$nginx -v 2>&1`;

# newer ones keep connections to an upstream without being told to
our $no_keepalive = $version >= 1029007 ? 'keepalive 0;' : '';

our $token = 'proxy-token-5f0c2a71e9';

my %secrets = ($token => 1);
my $pattern;
my @leaks;
my @proxies;

$Http::inspect = sub {
    my ($exchange) = @_;

    push @leaks, "$exchange->{method} $exchange->{uri}"
        if $exchange->{raw} =~ secrets();
};


# keys of the test, made up and looking like real ones; what they have in
# common is looked for instead of 10,000 of them

my $mark = 'testKeyTestKeyTestKey';

sub key_of {
    my ($n) = @_;
    return sprintf '%032x.%s%03d', $n + 1, $mark, $n % 1000;
}


sub keys_of {
    my ($n) = @_;
    return map { key_of($_) } 0 .. $n - 1;
}


# what no log, answer or file may contain

sub secret {
    $secrets{/\Q$mark/ ? $mark : $_} = 1 for @_;
    undef $pattern;
}


sub secrets {
    return $pattern //= do {
        my $any = join '|', map { quotemeta } sort keys %secrets;
        qr/$any/;
    };
}


# keys      list of keys: strings, or { key, name, account, ... }
# config    config.yaml as a whole, instead of keys
# token     PROXY_AUTH_TOKEN in .env; undef for none
# env       .env as a whole, instead of token
# environ   environment of nginx
# accounts  accounts of the simulator
# cloud     a simulator that runs already; 0 for none
# workers, zone, log
# balancer  the upstream's lines after its servers
# servers   the upstream's server lines
# upstream  arguments of ollama_upstream
# http, server, locations    text to add to these blocks
# params    { directive => value } in place of the shipped files' own
# include   folder of include files other than the shipped ones
# conf      nginx.conf as a whole, instead of everything above
# daemon    start ollama-statsd, too, and reach it
# private   the shipped ollama_private, too, its socket in DIR/private; or the
#           arguments of ollama_private
# statsd    environment of the daemon
# allow     pattern of alerts that the test causes on purpose

sub new {
    my ($class, %self) = @_;

    $self{keys} //= [ keys_of(3) ];
    $self{token} = $token unless exists $self{token};
    $self{workers} //= 1;
    $self{zone} //= '8m';
    $self{log} //= 'info';
    $self{balancer} //= "ollama_keys;\n        keepalive 32;";
    $self{cloud} //= Cloud->start(accounts => $self{accounts})
        unless $self{conf};
    $self{port} //= Process::port();
    $self{dir} = tempdir('ollama-test-XXXXXX', TMPDIR => 1,
                         CLEANUP => !$ENV{TEST_KEEP});

    Test::More::diag("run directory: $self{dir}") if $ENV{TEST_KEEP};

    my $self = bless \%self, $class;

    $self->{client} = Http->new(port => $self->{port}, headers =>
        [ defined $self->{token}
          ? (Authorization => "Bearer $self->{token}") : () ]);

    secret($self->{token}) if defined $self->{token};

    mkdir "$self->{dir}/$_" for qw/ temp include private /;
    chmod 0750, "$self->{dir}/private";

    $self->write_config;
    $self->write_env;
    $self->write_conf;

    push @proxies, $self;

    return $self;
}


sub run {
    my ($self) = @_;

    $self->start_daemon if $self->{daemon};
    $self->{nginx} = $self->start_nginx;

    poll { $self->listening || !$self->{nginx}->alive } 'nginx listens';
    poll { $self->workers >= $self->{workers} || !$self->{nginx}->alive }
         'workers are there';

    if (!$self->{nginx}->alive) {
        Test::More::diag($self->{nginx}->output);
        Test::More::diag($self->log);
        die "nginx does not start\n";
    }

    return $self;
}


sub command {
    my ($self, @arguments) = @_;

    return [ $nginx, '-p', "$self->{dir}/", '-c', "$self->{dir}/nginx.conf",
             '-e', "$self->{dir}/error.log", @arguments ];
}


sub environment {
    my ($self) = @_;

    my %env = (PROXY_AUTH_TOKEN => undef, PROXY_ADMIN_TOKEN => undef,
               ALLOW_UNAUTHENTICATED_ACCESS => undef,
               %{ $self->{environ} // {} });

    # read by a build with SANITIZE=1 only
    $env{"${_}_OPTIONS"} = join ':', $ENV{"${_}_OPTIONS"}
                           // "log_path=$self->{dir}/sanitizer",
                           $env{"${_}_OPTIONS"} // ()
        for qw/ ASAN UBSAN /;

    return \%env;
}


sub start_nginx {
    my ($self) = @_;

    return Process->start($self->command, name => 'nginx',
                          dir => $self->{dir}, env => $self->environment);
}


sub start_daemon {
    my ($self) = @_;

    my @pages = grep { -d } Process::build('dashboard');

    $self->{daemon} = Process->start([ Process::build('ollama-statsd'),
        '--data', "$self->{dir}/data", '--sockets', $self->{dir},
        map { ('--page', $_) } @pages ], name => 'statsd', dir => $self->{dir},
        env => $self->{statsd});

    poll {
        IO::Socket::UNIX->new(Peer => "$self->{dir}/http.sock")
            || !$self->{daemon}->alive
    } 'ollama-statsd listens';

    if (!$self->{daemon}->alive) {
        Test::More::diag($self->{daemon}->output);
        die "ollama-statsd does not start\n";
    }
}


# a certificate of its own for a name: cert.pem and key.pem in the run's folder

sub certificate {
    my ($self, $name) = @_;

    my ($code, $output) = Process::run([ qw{ openssl req -x509 -nodes -days 2
        -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 }, '-subj',
        "/CN=$name", '-addext', "subjectAltName=DNS:$name",
        '-keyout', "$self->{dir}/key.pem", '-out', "$self->{dir}/cert.pem" ]);

    die "openssl: $output\n" if $code;
}


# runs nginx -t, or what is given; gives exit code and output

sub nginx {
    my ($self, @arguments) = @_;

    return Process::run($self->command(@arguments),
                        dir => $self->{dir}, env => $self->environment);
}


# nginx -s reload, and the wait for the new workers

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers;
    my ($code, $output) = $self->nginx('-s', 'reload');

    Test::More::diag($output) if $code;

    # the old ones accept until they are told, which comes after the new ones
    # have started; one that stands still has not heard it

    return $code == 0 && poll {
        my ($old, $new) = (0, 0);

        for my $pid ($self->workers) {
            $old{$pid} ? ($old += !Process::stopped($pid)) : $new++;
        }

        $new >= $self->{workers} && $old == 0
    } 'new workers', 60;
}


sub stop {
    my ($self) = @_;

    $self->{nginx}->stop if $self->{nginx};
    $self->{daemon}->stop if ref $self->{daemon};
}


sub port { $_[0]{port} }
sub dir { $_[0]{dir} }
sub cloud { $_[0]{cloud} }
sub http { $_[0]{client} }
sub log { Process::slurp("$_[0]{dir}/error.log") }
sub pid { $_[0]{nginx}->pid }


sub listening {
    my ($self) = @_;

    return defined IO::Socket::INET->new(Proto => 'tcp',
                                         PeerAddr => '127.0.0.1',
                                         PeerPort => $self->{port});
}


# pids of the worker processes, those that shut down left out

sub workers {
    my ($self) = @_;

    return grep {
        Process::slurp("/proc/$_/cmdline") =~ /^nginx: worker process\0*$/
    } Process::children($self->pid);
}


# requests with the client's token

sub get { my $self = shift; return $self->{client}->get(@_) }
sub post { my $self = shift; return $self->{client}->post(@_) }
sub request { my $self = shift; return $self->{client}->request(@_) }
sub start { my $self = shift; return $self->{client}->start(@_) }


# a native chat: model, text, stream, sim (knobs of the simulator), body
# (further members), and everything that Http takes; chat waits for the
# answer, start_chat gives the exchange

sub chat {
    my ($self, %how) = @_;

    my $exchange = $self->start_chat(%how);
    Http::finish($exchange);

    return $exchange;
}


sub start_chat {
    my ($self, %how) = @_;

    my $body = {
        model => delete $how{model} // 'gpt-oss:20b',
        messages => [ { role => 'user', content => delete $how{text} // 'hi' } ],
        stream => delete $how{stream} ? JSON::PP::true : JSON::PP::false,
        %{ delete $how{body} // {} },
    };

    my $sim = delete $how{sim};
    $body->{_sim} = $sim if $sim;

    return $self->start('POST', delete $how{uri} // '/api/chat',
                        json => $body, %how);
}


# /health/keys: all of it, or key_N of it

sub health {
    my ($self, $n) = @_;
    my $all = $self->get('/health/keys')->json;

    return defined $n ? $all->{"key_$n"} : $all;
}


sub in_flight {
    my ($self) = @_;
    my $all = $self->health;
    my $n = 0;

    $n += $_->{in_flight} for values %$all;

    return $n;
}


# the names of the keys that answered so many chats one after another

sub answered_by {
    my ($self, $times, %how) = @_;
    return map { $self->chat(%how)->header('x-ollama-key') } 1 .. $times;
}


sub write_config {
    my ($self, @keys) = @_;

    $self->{keys} = [ @keys ] if @keys;

    my $config = $self->{config};

    if (!defined $config || @keys) {
        $config = "keys:\n";

        for my $key (@{ $self->{keys} }) {
            my %key = ref $key ? %$key : (key => $key);
            my $mark = '-';

            secret($key{key});

            for my $field (sort keys %key) {
                $config .= "  $mark $field: $key{$field}\n" if ref $key;
                $mark = ' ';
            }

            $config .= "  - $key\n" unless ref $key;
        }
    }

    Process::spill("$self->{dir}/config.yaml", $config);
    chmod 0600, "$self->{dir}/config.yaml";
}


sub write_env {
    my ($self) = @_;

    my $env = $self->{env} // (defined $self->{token}
                               ? "PROXY_AUTH_TOKEN=$self->{token}\n" : '');

    Process::spill("$self->{dir}/.env", $env);
    chmod 0600, "$self->{dir}/.env";
}


# the shipped include files: as they are, or with some directives changed

sub include {
    my ($self, $name) = @_;

    my $folder = $self->{include} // 'conf';
    my $file = "$Process::root/$folder/$name";
    my $params = $self->{params} // {};
    my $text = Process::slurp($file);

    return "include $file;" unless %$params || $self->{daemon};

    $text =~ s/^( *)proxy_pass .*# run: statsd$/$1proxy_pass http:\/\/unix:$self->{dir}\/http.sock;/mg;

    for my $directive (keys %$params) {
        $text =~ s/^(\s*)\Q$directive\E\s[^;]*;/$1$directive $params->{$directive};/gm
            and $self->{changed}{$directive} = 1;
    }

    Process::spill("$self->{dir}/include/$name", $text);

    return "include $self->{dir}/include/$name;";
}


# the shipped one, with this run's paths

sub private {
    my ($self, $upstream) = @_;

    return '' unless defined $self->{private};

    my $text = Process::slurp("$Process::root/conf/ollama_private");
    my $allow = $self->{private} eq '1' ? '' : " $self->{private}";
    my %line = (private_listen => "listen unix:$self->{dir}/private/nginx.sock;",
                private => "ollama_private$allow;",
                cloud => "ollama_upstream $upstream;",
                params => "include $Process::root/conf/ollama_params;");

    $text =~ s/^( *)\S.*# run: (\w+)$/$1$line{$2}/mg;

    return $text;
}


sub write_conf {
    my ($self) = @_;

    my $conf = $self->{conf} // $self->default_conf;

    $conf =~ s/%PORT%/$self->{port}/g;
    $conf =~ s/%DIR%/$self->{dir}/g;
    $conf =~ s/%CLOUD%/$self->{cloud} ? $self->{cloud}->port : 1/ge;

    Process::spill("$self->{dir}/nginx.conf", $conf);
}


sub globals {
    my ($self) = @_;

    my $module = Process::build('ngx_ollama_module.so');
    my $user = $> == 0 ? "user root;\n" : '';

    return <<EOF;
load_module $module;
${user}daemon off;
worker_processes $self->{workers};
worker_shutdown_timeout 1800s;
error_log $self->{dir}/error.log $self->{log};
pid $self->{dir}/nginx.pid;

events {
    worker_connections 2048;
}
EOF
}


sub temp_paths {
    my ($self) = @_;

    return join "\n    ", map { "${_}_temp_path $self->{dir}/temp/$_;" }
                          qw/ client_body proxy fastcgi uwsgi scgi /;
}


sub default_conf {
    my ($self) = @_;

    my %text = map { $_ => $self->{$_} // '' }
               qw/ http server locations balancer /;

    my $servers = $self->{servers} // 'server 127.0.0.1:%CLOUD%;';
    my $upstream = $self->{upstream} // 'http://ollama_cloud host=ollama.test';
    my $params = $self->include('ollama_params');
    my $locations = $self->include('ollama_locations');

    # what the shipped files do not say themselves is added
    my $rest = join "\n        ", map { "$_ $self->{params}{$_};" }
               grep { !$self->{changed}{$_} } keys %{ $self->{params} // {} };

    my $records = $self->{daemon}
                  ? "ollama_statsd unix:$self->{dir}/statsd.sock;" : '';

    return $self->globals . <<EOF;

http {
    ${\ $self->temp_paths }
    $records

    log_format test '\$request_method \$uri \$status'
                    ' \$ollama_key \$ollama_attempts \$ollama_model';
    access_log $self->{dir}/access.log test;

    ollama_zone ollama $self->{zone};
    ollama_config config.yaml;
    ollama_env_file .env;
    $text{http}
    ${\ $self->private($upstream) }

    upstream ollama_cloud {
        $servers
        $text{balancer}
    }

    server {
        listen 127.0.0.1:%PORT%;

        ollama_upstream $upstream;
        $rest
        $text{server}
        $params
        $locations
        $text{locations}
    }
}
EOF
}


sub finish {
    for my $t (@proxies) {
        $t->check if $t->{nginx};
    }

    Test::More::is("@leaks", '', 'no answer tells a key or a token');
    Test::More::done_testing();
}


sub check {
    my ($self) = @_;

    if ($self->{nginx}->alive && !$self->{conf}) {
        my $health;

        poll {
            $health = $self->health;
            ref $health && !grep { $_->{in_flight} } values %$health
        };

        Test::More::is_deeply([ grep { $health->{$_}{in_flight} }
                                sort keys %{ $health || { none => {} } } ],
                              [], 'in-flight counts are back to zero');
    }

    $self->stop;

    my @alerts = grep { /\[(alert|emerg|crit)\]/ } split /\n/, $self->log;

    @alerts = grep { $_ !~ $self->{allow} } @alerts if $self->{allow};

    # looking for leaks takes a worker longer than the second that nginx gives it

    @alerts = grep { !/exited on signal 9/ } @alerts if $ENV{SANITIZE};

    Test::More::is(join("\n", @alerts), '', 'no alerts');

    clean($self->{dir});
}


# nothing in the folder tells a secret, and no sanitizer has written there

sub clean {
    my ($dir) = @_;
    my (@reports, @told);

    find({ no_chdir => 1, wanted => sub {
        return unless -f $_;
        return if /\/(config\.yaml|\.env)$/;

        my $text = Process::slurp($_);

        push @reports, $text if $text =~ /Sanitizer|runtime error:/;
        push @told, $_ if without_core($text) =~ secrets();

    } }, $dir);

    Test::More::is(join("\n", @reports), '', 'no sanitizer reports');
    Test::More::is("@told", '', 'no file tells a key or a token');
}


# At the debug level nginx itself writes down each header it reads and the
# header it sends upstream, at the info level a header that came twice, and no
# module can prevent it.  Those entries, and no others, are left out of the
# search.

sub without_core {
    my ($text) = @_;

    my $stamp = qr!\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[!;

    return join '', grep {
        !/^$stamp(debug\]\ [^\n]*?(http\ header:|http\ proxy\ header:
                                     |http\ script\ (var|copy):)
                  |info\]\ [^\n]*client\ sent\ duplicate\ header\ line:)/x
    } split /^(?=$stamp)/m, $text;
}


1;
