#!/usr/bin/perl

# Tests for ollama_log_level: how loud the log is about what is held against
# a key.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Test::More;

my $cloud = Cloud->start;
my @keys = map { { key => key_of($_), name => "blamed-$_" } } 0, 1;


sub proxy {
    my (%how) = @_;

    return Proxy->new(cloud => $cloud, keys => \@keys, %how)->run;
}


# the lines about the first key after it got such an answer

sub blame {
    my ($t, $preset, %how) = @_;
    my $before = length $t->log;

    $cloud->reset;
    $t->post("/health/keys/$_/reset", '') for 0, 1;
    $cloud->rules({ times => -1, match => { key => key_of(0) },
                    preset => $preset });

    # the other key serves: nothing is refused, and nobody else is blamed
    poll {
        $t->chat(%how);
        grep { $_->{key} eq key_of(0) } $cloud->requests;
    } 'the key was tried';

    return grep { /\bblamed-0\b/ && !/\[debug\]/ }
           split /\n/, substr $t->log, $before;
}


sub levels { return join ' ', sort keys %{{ map { /\[(\w+)\]/ ? ($1 => 1) : () }
                                            @_ }} }


# by default

my $t = proxy();
my @lines = blame($t, 'quota_session');

is(levels(@lines), 'warn', 'a used-up quota: a warning by default');
is(scalar @lines, 1, 'one line');
like($lines[0] // '', qr/quota|exhausted|usage limit/, 'with the reason');
like($lines[0] // '', qr/client: 127\.0\.0\.1.*request: "POST /,
     'and the request that found out');
is(levels(blame($t, 'unauthorized')), 'warn', 'a key that is not accepted');
is(levels(blame($t, 'model_402')), 'warn', 'a model that is not its');
is(levels(blame($t, 'unknown_429')), 'warn', 'a request to slow down');
is(scalar blame($t, 'bad_request_400'), 0, 'a bad request blames nobody');

# each level, in each place

for my $level (qw/ error warn notice info /) {
    my $u = Proxy->new(cloud => $cloud, keys => \@keys,
                       server => "ollama_log_level $level;");
    my ($code, $output) = $u->nginx('-t');

    if (!is($code, 0, "ollama_log_level $level")) {
        diag($output);
        next;
    }

    $u->run;
    is(levels(blame($u, 'quota_session')), $level, "written as [$level]");
    is(levels(blame($u, 'unauthorized')), $level, 'whatever it is');
}

my $v = Proxy->new(cloud => $cloud, keys => \@keys,
    http => 'ollama_log_level notice;',
    locations => 'location = /api/generate { ollama on; ollama_access on; '
                 . 'proxy_pass $ollama_upstream; ollama_log_level info; }');
my ($code, $output) = $v->nginx('-t');

if (is($code, 0, 'in http and in a location')) {
    $v->run;
    is(levels(blame($v, 'quota_session')), 'notice', 'for all of it');
    is(levels(blame($v, 'quota_session', uri => '/api/generate',
                    body => { prompt => 'hi' })), 'info', 'but for one location');
} else {
    diag($output);
}

# a log that leaves these lines out

my $w = Proxy->new(cloud => $cloud, keys => \@keys, log => 'warn',
                   server => 'ollama_log_level notice;');

if (is(($w->nginx('-t'))[0], 0, 'a log of warnings')) {
    $w->run;
    is(scalar blame($w, 'quota_session'), 0, 'has no notices');
}

for my $line ('ollama_log_level loud;', 'ollama_log_level;',
              'ollama_log_level debug;',
              'ollama_log_level warn; ollama_log_level info;')
{
    ($code, $output) = Proxy->new(cloud => 0, server => $line)->nginx('-t');
    is($code, 1, "refused: $line");
    unlike($output, qr/unknown directive/, 'with a reason');
}

finish();
