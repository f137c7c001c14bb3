package PowerCut;

# What is left of a folder when the power fails: t/tools/powercut.c has noted
# what a program asked of the disk.
#
#     my $cut = PowerCut->new($dir);            as it is now, all of it safe
#     $s->{env} = $cut->env;                    for who works on it
#     ..
#     $cut->fail($seed);                        makes the folder what is left
#
# A file has what it had at its last fsync or fdatasync; each write and each
# truncation since then was done or was not, as the seed has it.  A folder has
# the names of its last fsync; each that has come or gone since then has come or
# gone, or has not.  What was mapped is lost.

use warnings;
use strict;

use File::Basename qw/ dirname /;
use File::Find qw/ find /;
use File::Path qw/ make_path remove_tree /;
use File::Temp qw/ tempdir /;
use Process;
use Statsd;


sub new {
    my ($class, $dir) = @_;
    my $notes = tempdir('power-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    return bless { dir => $dir, journal => "$notes/journal" }, $class;
}


sub env {
    my ($self) = @_;

    return Statsd::preload('powercut.so', POWERCUT_DIR => $self->{dir},
                           POWERCUT_JOURNAL => $self->{journal});
}


# takes what is there as safe; to be called while nobody works on it

sub safe {
    my ($self) = @_;

    unlink $self->{journal};
    $self->{names} = {};    # path => a file, or a folder
    find({ no_chdir => 1, wanted => sub {
        my $path = substr $_, length $self->{dir};
        $path =~ s!^/!!;
        return if $path eq '';
        if (-d $_) {
            $self->{names}{$path} = { folder => 1 };
        } elsif (-f _) {
            $self->{names}{$path} = { data => Process::slurp($_),
                                      pending => [] };
        }
    } }, $self->{dir});

    return $self;
}


sub fail {
    my ($self, $seed) = @_;
    my %safe = %{ $self->{names} };
    my %live = %safe;
    my (%fd, %pending, %files);

    open my $journal, '<:raw', $self->{journal} or die;

    my $rename = sub {
        my ($names, $from, $to) = @_;
        $names->{$to} = delete $names->{$from} if $names->{$from};
    };

    my $name = sub {
        my ($path, $do) = @_;
        $do->(\%live);
        push @{ $pending{dirname($path)} }, $do;
    };

    while (defined(my $line = <$journal>)) {
        chomp $line;
        my ($what, @args) = split ' ', $line;

        if ($what eq 'open') {
            $fd{$args[0]} = $live{$args[1]};
        } elsif ($what eq 'create') {
            my $path = $args[1];
            my $file = $fd{$args[0]} = { data => '', pending => [] };
            $name->($path, sub { $_[0]{$path} = $file });
        } elsif ($what eq 'close') {
            delete $fd{$args[0]};
        } elsif ($what eq 'write') {
            my $len = $args[2];
            # it was killed while it noted this
            last if read($journal, my $data, $len + 1) != $len + 1;
            chop $data;
            push @{ $fd{$args[0]}{pending} }, [ $args[1], $data ];
        } elsif ($what eq 'truncate') {
            push @{ $fd{$args[0]}{pending} }, [ $args[1] ];
        } elsif ($what eq 'sync') {
            settle($fd{$args[0]}, 1);
        } elsif ($what eq 'syncdir') {
            $_->(\%safe) for @{ delete $pending{$args[0]} // [] };
        } elsif ($what eq 'mkdir') {
            $name->($args[0], sub { $_[0]{$args[0]} = { folder => 1 } });
        } elsif ($what eq 'unlink' || $what eq 'rmdir') {
            $name->($args[0], sub { delete $_[0]{$args[0]} });
        } elsif ($what eq 'rename') {
            $name->($args[1], sub { $rename->($_[0], @args[0, 1]) });
        } else {
            die "the journal says: $line";
        }
    }

    srand $seed;

    for my $folder (sort keys %pending) {
        for (@{ $pending{$folder} }) { $_->(\%safe) if rand() < 0.5 }
    }

    remove_tree($self->{dir}, { keep_root => 1 });

    for my $path (sort keys %safe) {
        my $file = $safe{$path};
        my $parent = dirname($path);

        # a folder whose name is lost takes with it what is in it
        next if $parent ne '.' && !-d "$self->{dir}/$parent";

        if ($file->{folder}) {
            mkdir "$self->{dir}/$path" or die "$path: $!";
        } elsif ($path !~ /-shm$/) {
            settle($file);
            Process::spill("$self->{dir}/$path", $file->{data});
        }
    }
}


# what is pending is done, all of it or by chance

sub settle {
    my ($file, $all) = @_;

    for my $change (@{ $file->{pending} }) {
        my ($at, $data) = @$change;

        next if !$all && rand() < 0.5;

        my $size = length $file->{data};

        $file->{data} .= "\0" x ($at - $size) if $at > $size;
        if (defined $data) {
            substr($file->{data}, $at, length $data) = $data;
        } else {
            substr($file->{data}, $at) = '';
        }
    }
    $file->{pending} = [];
}


1;
