#!/usr/bin/perl

# Tests for config.yaml and .env: a wrong one is told with its line and the
# reason, and never with a key.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Proxy;
use Test::More;

my ($k1, $k2, $k3) = keys_of(3);

Proxy::secret($k1, $k2, $k3);


sub refused {
    my ($name, $reason, %conf) = @_;

    subtest $name => sub {
        my $t = Proxy->new(cloud => 0, %conf);
        my ($code, $output) = $t->nginx('-t');

        is($code, 1, 'nginx -t fails');
        like($output, $reason, 'and says why');
        unlike($output . $t->log, Proxy::secrets(), 'without a key');
    };
}


sub accepted {
    my ($name, $warning, %conf) = @_;

    subtest $name => sub {
        my $t = Proxy->new(cloud => 0, %conf);

        chmod $conf{mode}, $t->dir . '/config.yaml' if $conf{mode};

        my ($code, $output) = $t->nginx('-t');

        is($code, 0, 'nginx -t is content') or diag($output);
        $warning ? like($output, $warning, 'and warns')
                 : unlike($output, qr/\[warn\]/, 'and warns of nothing');
        unlike($output . $t->log, Proxy::secrets(), 'without a key');
    };
}


# config.yaml

refused('bad YAML', qr/config\.yaml.*line 3/,
        config => "keys:\n  - $k1\n \t- [\n");
refused('an unclosed quote', qr/config\.yaml.*line \d/,
        config => "keys:\n  - \"$k1\n");
refused('an empty file', qr/config\.yaml.*keys/, config => '');
refused('no keys at all', qr/config\.yaml.*keys/,
        config => "auth_token: abcdefgh\n");
refused('an empty list', qr/config\.yaml.*line 1.*key/, config => "keys: []\n");
refused('keys is not a list', qr/config\.yaml.*line 1.*list/,
        config => "keys: $k1\n");
refused('a duplicate key', qr/config\.yaml.*line 4.*line 2/,
        config => "keys:\n  - $k1\n  - $k2\n  - $k1\n");
refused('a name used twice', qr/config\.yaml.*line [45].*name/, config =>
        "keys:\n  - key: $k1\n    name: a\n  - key: $k2\n    name: a\n");
refused('a name given by position', qr/config\.yaml.*line 3.*name/, config =>
        "keys:\n  - key: $k1\n    name: key_1\n  - $k2\n");
refused('a key in a name', qr/config\.yaml.*line 3.*name/, config =>
        "keys:\n  - key: $k1\n    name: $k1\n");
refused('an unknown field', qr/config\.yaml.*line 3.*unknown/,
        config => "keys:\n  - key: $k1\n    wieght: 5\n");
refused('an unknown field at the top', qr/config\.yaml.*line 3.*unknown/,
        config => "keys:\n  - $k1\nsecret: $k2\n");
refused('a field twice', qr/config\.yaml.*line 4/,
        config => "keys:\n  - key: $k1\n    weight: 1\n    weight: 2\n");
refused('an object without a key', qr/config\.yaml.*line 2.*key/,
        config => "keys:\n  - name: a\n");
refused('a weight of zero', qr/config\.yaml.*line 3.*weight/,
        config => "keys:\n  - key: $k1\n    weight: 0\n");
refused('max_concurrent in words', qr/config\.yaml.*line 3.*max_concurrent/,
        config => "keys:\n  - key: $k1\n    max_concurrent: many\n");
refused('enabled is neither', qr/config\.yaml.*line 3.*enabled/,
        config => "keys:\n  - key: $k1\n    enabled: perhaps\n");
refused('a key with a space', qr/config\.yaml.*line 2/,
        config => "keys:\n  - $k1 $k2\n");
refused('an unreadable file', qr/nowhere\.yaml.*No such file/,
        conf => Proxy->new(cloud => 0)->default_conf
                =~ s/ollama_config config/ollama_config nowhere/r);

accepted('strings', undef, config => "keys:\n  - $k1\n  - '$k2'\n");
accepted('objects', undef, config => <<"EOF");
# all that may be said of a key
keys:
  - key: $k1
    name: team-a
    account: alice
    max_concurrent: 3
    weight: 5
    enabled: true
  - key: $k2
    enabled: false
  - $k3
EOF
accepted('a world-readable file', qr/\[warn\].*config\.yaml/, mode => 0644);


# access: somebody has to decide

refused('neither token nor leave', qr/PROXY_AUTH_TOKEN/, token => undef);
refused('an empty token', qr/PROXY_AUTH_TOKEN/, env => "PROXY_AUTH_TOKEN=\n");
refused('leave refused', qr/PROXY_AUTH_TOKEN/,
        env => "ALLOW_UNAUTHENTICATED_ACCESS=false\n");
refused('leave in unknown words', qr/ALLOW_UNAUTHENTICATED_ACCESS/,
        env => "ALLOW_UNAUTHENTICATED_ACCESS=perhaps\n");
refused('a broken .env', qr/\.env.*line 2/,
        env => "PROXY_AUTH_TOKEN=$Proxy::token\nthis is not a variable\n");

accepted('leave in .env', undef, env => "ALLOW_UNAUTHENTICATED_ACCESS=true\n");
accepted('leave in the environment', undef, token => undef,
         environ => { ALLOW_UNAUTHENTICATED_ACCESS => 'true' });
accepted('the token in the environment', undef, token => undef,
         environ => { PROXY_AUTH_TOKEN => $Proxy::token });
accepted('the token in config.yaml', undef, token => undef,
         config => "auth_token: $Proxy::token\nkeys:\n  - $k1\n");
accepted('leave in config.yaml', undef, token => undef,
         config => "allow_unauthenticated_access: true\nkeys:\n  - $k1\n");

finish();
