#!/usr/bin/perl

# Tests for a new binary on the fly (SIGUSR2): the new master gets from the old
# one an environment of a few names only, and who may come in is still what the
# environment and .env said at the start.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Process;
use Proxy;
use Test::More;

my $owner = $$;
my $cloud = Cloud->start;
my $absolute = Cwd::abs_path($Proxy::nginx);
my ($token, $stale) = map { "another-token-$_" } qw/ environment file /;
my @proxies;

Proxy::secret($token, $stale);


# nginx in the background, as it has to be for this: the master's parent is
# not who started it

sub start {
    my (%conf) = @_;

    my $t = Proxy->new(cloud => $cloud, token => undef, %conf);

    my $conf = $t->dir . '/nginx.conf';

    # what sanitizers are told has to reach the next binary as well

    my $env = join '', map { "env ${_}_OPTIONS;\n" } qw/ ASAN LSAN UBSAN /;

    Process::spill($conf, Process::slurp($conf) =~ s/^daemon off;\n/$env/mr);
    push @proxies, $t;

    local $Proxy::nginx = $absolute;
    my ($code, $output) = $t->nginx;

    is($code, 0, 'nginx starts') or diag($output, $t->log);
    poll { workers_of(master($t)) } 'a worker';

    return $t;
}


sub master {
    my ($t, $suffix) = @_;
    my ($pid) = Process::slurp($t->dir . '/nginx.pid' . ($suffix // ''))
                =~ /^(\d+)$/m;

    return $pid // 0;
}


sub workers_of {
    my ($pid) = @_;

    return $pid && grep {
        Process::slurp("/proc/$_/cmdline") =~ /^nginx: worker process\0*$/
    } Process::children($pid);
}


# another master with another worker, and the old ones gone

sub upgrade {
    my ($t) = @_;
    my $old = master($t);

    kill 'USR2', $old;

    my $began = poll {
        my $new = master($t);
        $new && $new != $old && master($t, '.oldbin') == $old
            && workers_of($new);
    } 'a new master with a worker';

    return 0 unless $began;

    kill 'QUIT', $old;

    return poll { Process::gone($old) } 'the end of the old master';
}


sub status {
    my ($t, @headers) = @_;
    return $t->chat(only => 1, headers => \@headers)->status;
}


sub bearer { (Authorization => "Bearer $_[0]") }


# what each of them gets: nothing, a token that does not count, one that does

sub lets_in {
    my ($t) = @_;
    return join ' ', status($t), status($t, bearer($stale)),
                     status($t, bearer($token));
}


sub stays {
    my ($name, $expected, %conf) = @_;

    subtest $name => sub {
        my $t = start(%conf);

        is(lets_in($t), $expected, 'who may come in');
        ok(upgrade($t), 'a new master');
        is(lets_in($t), $expected, 'lets in the same');

        # as any other master it reads its configuration again, and hands all
        # of it to the next one

        kill 'HUP', master($t);
        poll { $t->log =~ /reconfiguring/ } 'a reload';
        poll { workers_of(master($t)) == 1 } 'a new worker';
        is(lets_in($t), $expected, 'after a reload as well');

        ok(upgrade($t), 'one more');
        is(lets_in($t), $expected, 'who lets in the same again');

        end($t);
        unlike($t->log, qr/\[(alert|emerg|crit)\]/, 'no alerts');
        Proxy::clean($t->dir);
    };
}


sub end {
    my ($t) = @_;

    for my $pid (grep { $_ } map { master($t, $_) } '.oldbin', '') {
        kill 'TERM', $pid;
        poll { Process::gone($pid) } undef, 10 or kill 'KILL', $pid;
    }
}


END {
    if ($$ == $owner) {
        local ($?, $!);
        end($_) for @proxies;
    }
}


stays('a token of the environment', '401 401 200',
      environ => { PROXY_AUTH_TOKEN => $token });
stays('another one in .env', '401 401 200',
      environ => { PROXY_AUTH_TOKEN => $token },
      env => "PROXY_AUTH_TOKEN=$stale\n");
stays('open by the environment', '200 200 200',
      environ => { ALLOW_UNAUTHENTICATED_ACCESS => 'true' });
stays('open by the environment, a token in .env', '200 200 200',
      environ => { ALLOW_UNAUTHENTICATED_ACCESS => 'true' },
      env => "PROXY_AUTH_TOKEN=$token\n");
stays('closed by the environment, open by .env', '401 401 200',
      environ => { ALLOW_UNAUTHENTICATED_ACCESS => 'false' },
      env => "ALLOW_UNAUTHENTICATED_ACCESS=true\nPROXY_AUTH_TOKEN=$token\n");
stays('all of it in .env', '401 401 200', env => "PROXY_AUTH_TOKEN=$token\n");

# an "env" of the configuration itself goes on as it is

my $t = start(environ => { PROXY_AUTH_TOKEN => $token });
my $conf = $t->dir . '/nginx.conf';

Process::spill($conf, "env PROXY_AUTH_TOKEN;\nenv HOME;\n"
                      . Process::slurp($conf));
kill 'HUP', master($t);
poll { $t->log =~ /reconfiguring/ } 'a reload';
poll { workers_of(master($t)) == 1 } 'a new worker';
ok(upgrade($t), 'a configuration that names it, too');
is(lets_in($t), '401 401 200', 'lets in the same');

finish();
