package Wire1;

# The frames between module and daemon as version 0.1.0 of both wrote and read
# them, by themselves: nothing here follows what core/record.h becomes.  Tests
# play an old module or an old daemon with it.
#
#     print $socket Wire1::hello(instance => 1, keys => 1), Wire1::ready();
#     my ($frames, $wrong) = Wire1::take($buffer);
#
# take() cuts all whole frames off the buffer: { type, seq, and the fields }.
# What 0.1.0 would have skipped or thrown away is told as { wrong => .. }.

use warnings;
use strict;

use Compress::Raw::Zlib ();

our @types = qw/ none hello key ready welcome ack usage request body penalty
                 outbox keystate running running_end /;
our @ends = qw/ done local client_gone upstream_gone stream_error /;
our $none = 0xffffffff;     # a time that did not come

my %number = map { $types[$_] => $_ } 0 .. $#types;
my $magic = "\xffolf";

# fields in their order: a pack() letter, or the greatest length of a text

my @attempt = ([ key => 'V' ], [ ms => 'V' ], [ status => 'v' ],
               [ cause => 'C' ]);
my @request = ((map { [ $_ => 'Q<' ] } qw/ id time prompt completion cached
                                           bytes_in bytes_out /),
               (map { [ $_ => 'V' ] } qw/ key queue connect first_token total /),
               [ status => 'v' ],
               (map { [ $_ => 'C' ] } qw/ certainty end streamed has_body /),
               [ attempts => \@attempt ],
               [ client => 64 ], [ client_name => 128 ], [ method => 16 ],
               [ endpoint => 256 ], [ model => 256 ], [ model_answered => 256 ],
               [ upstream_id => 128 ], [ user_agent => 256 ],
               [ reason => 256 ]);

my %fields = (
    hello => [ [ instance => 'Q<' ], [ started => 'Q<' ], [ pid => 'V' ],
               [ keys => 'V' ], [ version => 64 ], [ server => 64 ] ],
    key => [ (map { [ $_ => 'V' ] } qw/ key index max_concurrent weight /),
             [ enabled => 'C' ], [ name => 128 ], [ account => 128 ] ],
    ready => [],
    welcome => [ (map { [ $_ => 'Q<' ] } qw/ instance last time /),
                 [ version => 64 ] ],
    ack => [ [ last => 'Q<' ] ],
    request => \@request,
    running => \@request,
    running_end => [ [ time => 'Q<' ], [ total => 'V' ], [ waiting => 'V' ] ],
    penalty => [ [ key => 'V' ], (map { [ $_ => 'Q<' ] } qw/ time until extra /),
                 [ max_concurrent => 'V' ], [ http => 'v' ], [ state => 'C' ],
                 [ level => 'C' ], [ model => 256 ], [ status => 64 ],
                 [ reason => 256 ] ],
    outbox => [ (map { [ $_ => 'Q<' ] } qw/ time size used last_seq acked
                    dropped_records dropped_bodies resent /),
                (map { [ $_ => 'V' ] } qw/ lag running waiting workers /) ],
    keystate => [ (map { [ $_ => 'V' ] } qw/ key in_flight slots /),
                  (map { [ $_ => 'Q<' ] } qw/ usage reserved until /),
                  [ state => 'C' ], [ eligible => 'C' ], [ status => 64 ],
                  [ reason => 256 ] ],
);


sub frame {
    my ($type, $seq, $payload) = @_;
    my $head = $magic . pack('CCvVVQ<', 1, $number{$type}, 0, length $payload,
                             Compress::Raw::Zlib::crc32($payload), $seq);

    return $head . pack('V', Compress::Raw::Zlib::crc32($head)) . $payload;
}


# a frame of a type with these fields; what is not given is 0, or empty

sub encode {
    my ($type, %is) = @_;

    return frame($type, $is{seq} // 0, join '', map {
        my ($name, $how) = @$_;

        ref $how ? pack('C', scalar @{ $is{$name} // [] })
                   . join '', map { my $a = $_;
                                    map { pack $_->[1], $a->{$_->[0]} // 0 }
                                        @$how } @{ $is{$name} // [] }
        : $how =~ /^\d+$/ ? pack('v/a*', $is{$name} // '')
                          : pack $how, $is{$name} // 0;
    } @{ $fields{$type} });
}


sub hello { return encode('hello', version => '0.1.0', server => 'nginx/old', @_) }
sub ready { return encode('ready') }


sub body {
    my (%is) = @_;

    return frame('body', $is{seq}, pack('Q<Q<Q<C V/a*', @is{qw/ id time size /},
                                        $is{truncated} // 0, $is{data}));
}


sub usage {
    my ($key, %tokens) = @_;

    return frame('usage', 0, pack('VV', $key, scalar keys %tokens)
                 . join '', map { pack 'VQ<', $_, $tokens{$_} } sort keys %tokens);
}


# the fields of a payload, or undef for what 0.1.0 calls malformed

sub decode {
    my ($type, $payload) = @_;
    my %is;

    if ($type eq 'body') {
        return if length $payload < 29;
        @is{qw/ id time size truncated length /} = unpack 'Q<Q<Q<CV', $payload;
        return if length($payload) < 29 + $is{length};
        $is{data} = substr $payload, 29, $is{length};
        return \%is;
    }

    if ($type eq 'usage') {
        ($is{key}, my $n, my @minutes) = unpack 'VV(VQ<)*', $payload;
        return if $n > 121 || @minutes < 2 * $n;
        $is{minutes} = { @minutes[0 .. 2 * $n - 1] };
        return \%is;
    }

    for my $field (@{ $fields{$type} }) {
        my ($name, $how) = @$field;

        if (ref $how) {
            return unless length $payload;
            my $n = unpack 'C', substr $payload, 0, 1, '';
            return if $n > 16;

            for (1 .. $n) {
                return if length $payload < 11;
                my %attempt;
                @attempt{map { $_->[0] } @$how} =
                    unpack join('', map { $_->[1] } @$how),
                           substr $payload, 0, 11, '';
                push @{ $is{$name} }, \%attempt;
            }

        } elsif ($how =~ /^\d+$/) {
            return if length $payload < 2;
            my $n = unpack 'v', substr $payload, 0, 2, '';
            return if $n > $how || length $payload < $n;
            $is{$name} = substr $payload, 0, $n, '';

        } else {
            my $n = length pack $how, 0;
            return if length $payload < $n;
            $is{$name} = unpack $how, substr $payload, 0, $n, '';
        }
    }

    if ($type =~ /^(request|running)$/) {
        return if $is{certainty} > 3 || $is{end} > 8
                  || ($is{end} > $#ends) != ($type eq 'running');
    }

    return \%is;
}


sub take {
    my @frames;

    while (length $_[0] >= 28) {
        my ($version, $type, $zero, $length, $crc, $seq, $own) =
            unpack 'x4CCvVVQ<V', $_[0];

        if (substr($_[0], 0, 4) ne $magic || $length > 16 * 1024 * 1024
            || $own != Compress::Raw::Zlib::crc32(substr $_[0], 0, 24))
        {
            # one report for all of it: what follows is not looked for
            $_[0] = '';
            push @frames, { wrong => 'a damaged header' };
            last;
        }

        last if length $_[0] < 28 + $length;

        my $payload = substr $_[0], 28, $length;

        substr($_[0], 0, 28 + $length) = '';

        my $name = $types[$type] // "type $type";
        my %frame = (type => $name, seq => $seq);

        if ($crc != Compress::Raw::Zlib::crc32($payload)) {
            $frame{wrong} = "$name: a damaged payload";

        } elsif ($version != 1) {
            $frame{wrong} = "$name: version $version";

        } elsif (!$number{$name}) {
            # told only if it has to be kept: 0.1.0 ignores the others
            next unless $seq;
            $frame{wrong} = "$name is numbered";

        } elsif (my $is = decode($name, $payload)) {
            %frame = (%frame, %$is, payload => $payload);

        } else {
            $frame{wrong} = "$name: malformed";
        }

        push @frames, \%frame;
    }

    return @frames;
}


1;
