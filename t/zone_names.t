#!/usr/bin/perl

# Tests for the names of shared memory: whatever a zone is called, the memory
# for keys is not taken for that of records, and what is called alike is refused
# with the reason.  A zone too small for the keys says how much they need.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $cloud = Cloud->start;
my $n = 0;


# nginx.conf with something changed in it

sub edit {
    my ($t, $edit) = @_;
    my $file = $t->dir . '/nginx.conf';
    my $conf = Process::slurp($file);

    $edit->() for $conf;
    Process::spill($file, $conf);

    return $t;
}


sub named {
    my ($name, $size) = @_;

    return edit(Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
                           zone => $size),
                sub { s/ollama_zone ollama /ollama_zone $name / });
}


# a whole run under the name: keys, records, the list of what runs

sub works {
    my ($name, $t) = @_;

    subtest $name => sub {
        my ($code, $output) = $t->nginx('-t');

        is($code, 0, 'nginx -t is content') or diag($output);

        $cloud->reset;
        eval { $t->run };
        is($@, '', 'nginx starts') or return;
        serves($t);
        unlike($t->log, qr/exited on signal|exited with code [^0]/,
               'no worker dies');
    };
}


sub serves {
    my ($t) = @_;

    my $r = eval { $t->chat(timeout => 5, model => 'served-' . ++$n) };

    is($r && $r->status, 200, 'a chat') or return 0;

    my $q = record($t, "served-$n") // {};

    is(tokens($q), told_of($cloud, "served-$n") . ' exact done',
       'is on record');

    # a new zone gets what was booked before from the daemon
    poll { booked($t) == told($cloud) } 'the tokens of before';
    return is(booked($t), told($cloud), 'and booked');
}


works('the zone is called ollama', named('ollama', '8m'));
works('the zone is called as its records might be',
      named('ollama_outbox', '32m'));
works('of another size', named('ollama_outbox', '8m'));
works('or as the list of what runs', named('ollama_running', '8m'));

# a reload under a name that another memory had before

my $t = named('ollama', '32m')->run;

$cloud->reset;
serves($t);

for my $name ('ollama_outbox', 'ollama_outbox_outbox', 'ollama') {
    my $old = $t->log;
    my @workers = $t->workers;

    edit($t, sub { s/ollama_zone \w+ /ollama_zone $name / });
    ok($t->reload, "a reload with a zone called $name") or last;
    unlike(substr($t->log, length $old),
           qr/exited on signal|exited with code [^0]/, 'no worker dies');

    # which book to the memory they have
    poll { Process::gone(@workers) } 'the old workers are gone';
    serves($t) or last;
}

# what another module has taken

for my $name ('ollama', 'taken') {
    my $limited = edit(named($name, '8m'), sub {
        s/(ollama_zone)/limit_req_zone \$host zone=$name:1m rate=9r\/s;\n$1/
    });
    my ($code, $output) = $limited->nginx('-t');

    is($code, 1, "$name is a zone of limit_req already");
    like($output, qr/\[emerg\].*"$name"/, 'which is said with its name');
}

# too small for the list: what the message asks for is enough

for my $keys (600, 3000) {
    my @keys = keys_of($keys);
    my $small = Proxy->new(cloud => $cloud, keys => \@keys, zone => '192k');
    my ($code, $output) = $small->nginx('-t');

    is($code, 1, "192k for $keys keys");
    like($output, qr/\b$keys keys/, 'says how many there are');

    # a size in nginx's own units, or in bytes
    my ($needed) = map { s/ bytes//r }
                   $output =~ /too small.*?\b(\d+[kKmM]|\d+ bytes)\b/;

    ok($needed, 'and how much they need') or diag($output);

    my $enough = Proxy->new(cloud => $cloud, keys => \@keys,
                            zone => $needed // '192k');

    ($code, $output) = $enough->nginx('-t');
    is($code, 0, 'which is enough') or diag($output);

    next if $code;

    $enough->run;
    is($enough->chat->status, 200, 'to serve');
    ok($enough->reload, 'and to reload');
    is($enough->chat->status, 200, 'and serve again');
}

finish();
