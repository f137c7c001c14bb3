package Bench;

# What the benches of the proxy have in common: the products that are measured,
# and how requests are made.
#
#   plain            proxy_pass with kept connections, nothing else
#   params           the same with conf/ollama_params, that is, with the headers
#                    that are to be set and taken away, but without the module
#   keys             the shipped configuration: token, keys, tokens counted and
#                    priced
#   records          the same with ollama-statsd, without request bodies
#   records, bodies  and with them, as shipped
#   10,000 keys      keys, but so many instead of 3
#
#     my $cloud = Bench::cloud();
#     my $t = Bench::product('records', $cloud);      a Proxy, not started
#     my $said = load([ 'taskset', '-c', 1 ], $t->port, '-n', 1000);
#
# What load says is explained in t/tools/load.c; [] runs it as it is.

use warnings;
use strict;

use Cloud;
use Exporter qw/ import /;
use Process;
use Proxy;
use Test::More ();

our @EXPORT_OK = qw/ load load_command median /;


sub cloud {
    my $cloud = Cloud->start;

    $cloud->knobs({ log_requests => 0 });

    return $cloud;
}


# more is what Proxy takes; connections: instead of the tests' 2048

sub product {
    my ($name, $cloud, %more) = @_;
    my $connections = delete $more{connections};
    my %common = (cloud => $cloud, log => 'warn', zone => '32m',
                  server => 'access_log off;',
                  http => "ollama_prices $Process::root/conf/prices.yaml;",
                  %more);

    my %make = (
        'plain' => sub { without_module($cloud, '', %more) },
        'params' => sub { without_module($cloud, 'params', %more) },
        'keys' => sub { Proxy->new(%common) },
        'records' => sub { Proxy->new(%common, daemon => 1, server =>
                                      'access_log off; ollama_bodies off;') },
        'records, bodies' => sub { Proxy->new(%common, daemon => 1) },
        '10,000 keys' => sub { Proxy->new(%common,
                                          keys => [ keys_of(10_000) ]) },
    );

    die "no product \"$name\"\n" unless $make{$name};

    my $t = $make{$name}->();

    if ($connections) {
        $t->{conf} = ($t->{conf} // $t->default_conf)
                     =~ s/(worker_connections) \d+/$1 $connections/r;
        $t->write_conf;
    }

    return $t;
}


sub without_module {
    my ($cloud, $params, %more) = @_;
    my $t = Proxy->new(%more, cloud => $cloud, conf => 'none');
    my $conf = $t->globals =~ s/^load_module.*\n//r
                           =~ s/(error_log \S+) info/$1 warn/r;

    my $headers = <<END;
proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Authorization "Bearer any";
        proxy_buffering off;
        keepalive_requests 100000;
END

    $headers = Process::slurp("$Process::root/conf/ollama_params")
               =~ s/\$ollama_authorization/"Bearer any"/r
               =~ s/\$ollama_host/cloud/gr if $params;

    $t->{conf} = $conf . <<END;
http {
    ${\ $t->temp_paths }
    access_log off;

    upstream cloud {
        server 127.0.0.1:%CLOUD%;
        keepalive 32;
    }

    server {
        listen 127.0.0.1:%PORT%;
        $headers
        location / {
            proxy_pass http://cloud;
        }
    }
}
END
    $t->write_conf;

    return $t;
}


# makes requests, all of which must be answered with 200

sub load {
    my ($before, $port, @how) = @_;
    my ($code, $said) = Process::run(load_command($before, $port, @how),
                                     timeout => 600);
    my $figures = eval { $Http::json->decode($said) };

    die "load: $said\n" unless $figures
                               && $figures->{ok} == $figures->{requests};

    return $figures;
}


sub load_command {
    my ($before, $port, @how) = @_;
    my $load = Process::build('load');

    die "$load is not built: make bench\n" unless -x $load;

    return [ @$before, $load, '-t', $Proxy::token, @how, $port ];
}


sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[@sorted / 2];
}


1;
