package Clocks;

# The clocks of a program, which can be wrong: t/tools/wrongclock.c.
#
#     my $clocks = Clocks->new;
#     my $s = Statsd->start(env => $clocks->env);
#
#     $clocks->day(40 * 86400);       the time of day is so many seconds off
#     $clocks->pass(3600);            as if that time had passed, for all clocks

use warnings;
use strict;

use File::Temp ();
use Statsd;


sub new {
    my ($class) = @_;
    my $self = bless { file => File::Temp->new, day => 0, even => 0 }, $class;

    return $self->set;
}



sub env {
    my ($self) = @_;

    return Statsd::preload('wrongclock.so',
                           WRONGCLOCK => $self->{file}->filename);
}


sub day { $_[0]{day} = $_[1]; $_[0]->set }


sub pass {
    my ($self, $seconds) = @_;

    $self->{$_} += $seconds for qw/ day even /;
    return $self->set;
}


sub set {
    my ($self) = @_;

    sysseek $self->{file}, 0, 0;
    syswrite $self->{file}, pack 'q<q<', map { int($_ * 1000) }
                                               @$self{qw/ day even /};

    return $self;
}


1;
