#!/usr/bin/perl

# Tests for the names of keys over reloads that change them: whatever a client,
# the log or a record is told is a name of the key that served, and a whole one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my @k = keys_of(6);
my $generation = 0;
my %index = map { $k[$_] => $_ } 0 .. $#k;


# names of all lengths; no two keys ever have the same

sub name {
    my ($n, $g) = @_;
    return "n$n-g$g-" . 'x' x (($n * 7 + $g * 13) % 40);
}


sub keys_now {
    return map { { key => $k[$_], name => name($_, $generation) } } 0 .. $#k;
}


my $t = Proxy->new(daemon => 1, allow => $absent, workers => 2,
                   keys => [ keys_now() ])->run;
my $cloud = $t->cloud;
my @live;
my @done;
my $n = 0;


# one look at all connections; a chat that has ended is followed by another

sub keep_busy {
    my ($more) = @_;

    Http::turn(0.02, @live);

    push @done, grep { $_->{ended} } @live;
    @live = grep { !$_->{ended} } @live;

    while ($more && @live < 16) {
        push @live, $t->start_chat(model => 'named-' . ++$n, timeout => 30,
            sim => { first_delay_ms => 5 + int rand 60 });
    }
}


for (1 .. 8) {
    my $enough = @done + 24;

    keep_busy(1) while @done < $enough;

    my %old = map { $_ => 1 } $t->workers;

    $generation++;
    $t->write_config(keys_now());
    $t->nginx('-s', 'reload');

    # the old workers go on with what they have: their requests are not waited
    # for, the new ones' names are
    poll {
        keep_busy(1);
        2 <= grep { !$old{$_} } $t->workers;
    } "new workers, reload $generation";
}

keep_busy(0) while @live;

is(scalar(grep { $_->status != 200 } @done), 0, 'all are served: ' . @done);

# which key has served which request, and what the clients were told

my %served = map { $_->{model} => $index{ $_->{key} } } $cloud->requests;
my (@wrong, %told);

for my $r (@done) {
    my ($model) = $r->{request} =~ /"model":"(named-\d+)"/;
    my $name = $r->header('x-ollama-key') // '';
    my $key = $served{$model} // next;

    $told{$model} = $name;
    push @wrong, "$model by key $key: \"$name\""
        unless grep { $name eq name($key, $_) } 0 .. $generation;
}

cmp_ok(scalar keys %told, '>', 100, 'requests whose key is known');
is(join(', ', @wrong), '', 'clients are told names of that key');

# the log says the same

my %logged = reverse map { (split)[3, 5] }
             grep { / named-\d+$/ }
             split /\n/, Process::slurp($t->dir . '/access.log');

is(join(', ', grep { ($logged{$_} // '') ne $told{$_} } sort keys %told), '',
   'so does the log');

# afterwards, the names are the last ones

my %now = map { $_ => 1 } map { name($_, $generation) } 0 .. $#k;

is(join(', ', grep { !$now{$_} } $t->answered_by(12)), '', 'the last names');
is_deeply({ map { $_ => 1 } keys %{ $t->health } }, \%now,
          'as /health/keys has them') if !grep { /^key_/ } keys %{ $t->health };

my ($q, $r) = recorded($t);

is($q->{key}, $r->header('x-ollama-key'), 'and records');

# a request that began under the old names, in a worker that was to leave

my $slow = $t->start_chat(model => 'slow', sim => { first_delay_ms => 1500 },
                          timeout => 30);

poll { Http::turn(0.01, $slow); $t->in_flight } 'it has a key';
$generation++;
$t->write_config(keys_now());
ok($t->reload, 'a reload while it waits');
Http::finish($slow);

my $key = $index{ (grep { $_->{model} eq 'slow' } $cloud->requests)[0]{key} };

is($slow->status, 200, 'it is served');
is(scalar(grep { $slow->header('x-ollama-key') eq name($key, $_) }
          $generation - 1, $generation), 1, 'by a name of its key');

finish();
