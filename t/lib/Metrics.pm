package Metrics;

# Prometheus' text format (0.0.4), read strictly: what is not right is said.
#
#     my $m = Metrics->new($s->get('/metrics')->{body});
#
#     is_deeply([ $m->faults ], [], 'a page that Prometheus takes');
#     $m->value('ollama_proxy_requests_total', key => 'team-a', outcome => 'ok');
#     $m->sum('ollama_proxy_requests_total');
#     $m->labels('model');              # all values of a label, sorted
#
# Beyond what Prometheus insists on: HELP and TYPE of each family, once and
# before its samples; no empty lines; counters end with _total, are not negative,
# and nothing else ends so.

use warnings;
use strict;

use Encode qw/ decode FB_CROAK /;

my $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*/;
my $number = qr/[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?Inf|NaN/;


sub new {
    my ($class, $body) = @_;
    my $self = bless { families => {}, samples => [], faults => [] }, $class;
    my $text = eval { decode('UTF-8', my $copy = $body, FB_CROAK) };

    if (!defined $text) {
        $self->fault('it is not UTF-8');
        $text = decode('UTF-8', $body);
    }

    $self->fault('no newline at its end') unless $text =~ s/\n\z//;
    $self->line($_) for split /\n/, $text, -1;
    $self->histogram($_) for grep { $self->{families}{$_}{type} eq 'histogram' }
                             sort keys %{ $self->{families} };

    for my $family (sort keys %{ $self->{families} }) {
        $self->fault("$family has no TYPE")
            if $self->{families}{$family}{type} eq '';
    }

    return $self;
}


sub fault { push @{ $_[0]{faults} }, $_[1] }
sub faults { @{ $_[0]{faults} } }
sub families { sort keys %{ $_[0]{families} } }
sub help { $_[0]{families}{ $_[1] }{help} }


sub line {
    my ($self, $line) = @_;

    if ($line =~ /^# HELP ($name) (.+)$/) {
        return $self->fault("HELP again: $1") if $self->{families}{$1};
        $self->{families}{$1} = { type => '', help => $2 };
        $self->{at} = $1;
        $self->fault("an escape in a HELP: $line") if $2 =~ /\\(?![\\n])/;
        return;
    }

    if ($line =~ /^# TYPE ($name) (counter|gauge|histogram)$/) {
        my ($family, $type) = ($1, $2);

        return $self->fault("TYPE does not follow its HELP: $line")
            if ($self->{at} // '') ne $family
               || $self->{families}{$family}{type} ne '';
        $self->{families}{$family}{type} = $type;
        $self->fault("a name that is not a $type\'s: $family")
            if ($type eq 'counter') != ($family =~ /_total$/);
        return;
    }

    my %sample = (line => $line, labels => {});

    return $self->fault("no line: $line") unless $line =~ /\G($name)/gc;
    $sample{name} = $1;

    if ($line =~ /\G\{/gc) {
        while ($line =~ /\G($label)="((?:[^"\\]|\\["\\n])*)"/gc) {
            my ($key, $value) = ($1, $2);

            $self->fault("a label twice: $line") if exists $sample{labels}{$key};
            $self->fault("a label's name: $line") if $key =~ /^__/;
            $value =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
            $sample{labels}{$key} = $value;
            last unless $line =~ /\G,/gc;
        }
        return $self->fault("its labels: $line") unless $line =~ /\G\}/gc;
    }

    return $self->fault("its value: $line") unless $line =~ /\G ($number)\z/gc;
    $sample{value} = $1 eq '+Inf' ? 9**9**9 : $1;

    $self->sample(\%sample);
}


# order does not tell labels apart

sub id {
    my ($sample, @without) = @_;
    my %labels = %{ $sample->{labels} };

    delete @labels{@without};
    return join "\n", map { "$_=$labels{$_}" =~ s/([\\\n])/\\$1/gr }
                      sort keys %labels;
}


sub sample {
    my ($self, $sample) = @_;
    my $at = $self->{at};

    return $self->fault("before any HELP: $sample->{line}") unless defined $at;

    my $type = $self->{families}{$at}{type};
    my $is = $type eq 'histogram' ? qr/^\Q$at\E_(?:bucket|sum|count)$/
                                  : qr/^\Q$at\E$/;

    return $self->fault("not in its family: $sample->{line}")
        unless $sample->{name} =~ $is;
    return $self->fault("twice: $sample->{line}")
        if $self->{seen}{ $sample->{name} . "\n" . id($sample) }++;
    $self->fault("a counter below 0: $sample->{line}")
        if $type ne 'gauge' && $sample->{value} !~ /^\d/ && $sample->{value} != 9**9**9;
    $self->fault("\"le\" in no bucket: $sample->{line}")
        if exists $sample->{labels}{le} && $sample->{name} !~ /_bucket$/;

    push @{ $self->{samples} }, $sample;
}


# of each set of labels: buckets that grow, +Inf, which is _count, and _sum

sub histogram {
    my ($self, $family) = @_;
    my %of;

    for my $sample (grep { $_->{name} =~ /^\Q$family\E_(?:bucket|sum|count)$/ }
                    @{ $self->{samples} })
    {
        my ($part) = $sample->{name} =~ /_(\w[a-z]+)$/;
        push @{ $of{ id($sample, 'le') }{$part} }, $sample;
    }

    for my $id (sort keys %of) {
        my ($bucket, $sum, $count) = map { $of{$id}{$_} // [] }
                                     qw/ bucket sum count /;
        my $where = "$family\{$id\}";
        my ($le, $n) = (-9**9**9, 0);

        for my $sample (@$bucket) {
            my $bound = $sample->{labels}{le};

            $bound = $bound eq '+Inf' ? 9**9**9 : $bound
                if defined $bound;
            return $self->fault("a bucket without le: $sample->{line}")
                unless defined $bound && $bound =~ /^(?:$number|inf)$/i;
            $self->fault("$where: le does not grow") unless $bound > $le;
            $self->fault("$where: less than before") if $sample->{value} < $n;
            ($le, $n) = ($bound, $sample->{value});
        }

        $self->fault("$where: no +Inf") unless $le == 9**9**9;
        $self->fault("$where: no _sum") unless @$sum;
        $self->fault("$where: its _count is not its +Inf")
            unless @$count && $count->[0]{value} == $n;
    }
}


# the samples of a name that have at least these labels

sub samples {
    my ($self, $name, %labels) = @_;

    return grep {
        my $has = $_->{labels};
        $_->{name} eq $name
            && !grep { ($has->{$_} // "\0") ne $labels{$_} } keys %labels;
    } @{ $self->{samples} };
}


# the value of the one that has them, undef if there is none, or more

sub value {
    my ($self, @which) = @_;
    my @samples = $self->samples(@which);

    return @samples == 1 ? $samples[0]{value} : undef;
}


sub sum {
    my ($self, @which) = @_;
    my $sum = 0;

    $sum += $_->{value} for $self->samples(@which);
    return $sum;
}


sub labels {
    my ($self, $label) = @_;
    my %seen = map { $_->{labels}{$label} => 1 }
               grep { exists $_->{labels}{$label} } @{ $self->{samples} };

    return sort keys %seen;
}


1;
