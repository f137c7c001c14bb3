#!/usr/bin/perl

# Lists of prices that are wrong: nginx -t tells file, line and what is expected.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Process;
use Proxy;
use Test::More;

my ($key) = keys_of(1);

Proxy::secret($key);


sub told {
    my ($list, %how) = @_;
    my $t = Proxy->new(cloud => 0, config => "keys:\n  - $key\n",
                       http => 'ollama_prices prices.yaml;', %how);

    Process::spill($t->dir . '/prices.yaml', $list) if defined $list;

    return $t->nginx('-t');
}


sub refused {
    my ($name, $line, $reason, $list) = @_;
    my ($code, $output) = told($list);

    is($code, 1, "$name: refused");
    like($output, qr/\[emerg\] \S+\/prices\.yaml: line $line, column \d+: .*$reason/,
         "line $line, and why") or diag($output);
}


my $good = "date: 2026-08-31\nprices:\n  a: {input: 1, output: 2}\n";
my ($code, $output) = told($good);

is($code, 0, 'a good list') or diag($output);
unlike($output, qr/warn/, 'which is no secret');

refused('nothing', 1, qr/the field "prices"/, '');
refused('no YAML', 4, qr/bad YAML/, "$good  b: }\n");
refused('no such field', 4, qr/known are date, prices/, "${good}currency: EUR\n");
refused('no day', 1, qr/"date" must be a day/, $good =~ s/08-31/02-29/r);
refused('four decimals', 4, qr/at most three decimals/,
        "$good  b: {input: 0.0001, output: 2}\n");
refused('an exponent', 4, qr/"output".* a number such as 0\.15/,
        "$good  b: {input: 1, output: 2e3}\n");
refused('a negative one', 5, qr/"cached".* a number such as 0\.15/,
        "$good  b: {input: 1,\n      cached: -1, output: 2}\n");
refused('no output', 4, qr/no field "output"/, "$good  b: {input: 1}\n");
refused('a model twice', 4, qr/same model.* twice/,
        "$good  a-cloud: {input: 1, output: 1}\n" =~ s/  a:/  a:b:/r
        =~ s/a-cloud/a:b-cloud/r);
refused('a star within', 4, qr/"\*" only at the end/,
        "$good  'b*c': {input: 1, output: 1}\n");
refused('days that do not ascend', 6, qr/"from" later than/,
        "$good  b:\n  - {from: 2026-02-01, input: 1, output: 1}\n"
        . "  - {from: 2026-01-01, input: 1, output: 1}\n");
refused('a factor that leaves a rest', 4, qr/factor has more than three decimals/,
        "$good  b: {input: 0.001, output: 1, peak: {factor: 1.5, hours: 1-2}}\n");
refused('no such hour', 4, qr/"hours".* 12-18/,
        "$good  b: {input: 1, output: 1, peak: {factor: 2, hours: 12-25}}\n");
refused('no such day', 4, qr/"days".* mon-fri/,
        "$good  b: {input: 1, output: 1, peak: {factor: 2, hours: 1-2, days: now}}\n");
refused('two documents', 4, qr/a single one/, "$good---\n$good");

# one's own

($code, $output) = told($good, config => "keys:\n  - $key\nprices:\n  a: 3\n");
is($code, 1, 'prices: of config.yaml, too');
like($output, qr/config\.yaml: line 4, column 6: a price must be an object/,
     'with their line');

# the directive

($code, $output) = told(undef);
is($code, 1, 'a file that is not there');
like($output, qr/\/prices\.yaml" failed \(2: No such file/, 'is told');

($code, $output) = told($good, http => "ollama_prices prices.yaml;\n"
                                       . 'ollama_prices prices.yaml;');
like($output, qr/"ollama_prices" directive is duplicate/, 'one list only');

# fields of a key

for my $field ('tier: 10', 'tier: -1', 'tier: 1.5', 'floor: 101%', 'floor: 5',
               'floor: 5eur', 'floor: 0.0001usd', 'floor: 1.5%')
{
    my ($name) = $field =~ /^(\w+)/;

    ($code, $output) = told($good, config => "keys:\n  - key: $key\n    $field\n");
    is($code, 1, "$field is refused");
    like($output, qr/config\.yaml: line 3, column \d+: "$name" of keys\[0\] must be/,
         'with its line');
}

($code, $output) = told($good, config => "keys:\n  - key: $key\n    tier: 9\n"
                                         . "    floor: 2.5usd\n");
is($code, 0, 'a key with tier and floor') or diag($output);

finish();
