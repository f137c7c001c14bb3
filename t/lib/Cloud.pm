package Cloud;

# The simulator of the cloud (t/cloud), started on a free port and steered
# through its /_sim/ pages.
#
#     my $cloud = Cloud->start(accounts => [ { name => ..., keys => [...] } ]);
#
#     $cloud->rules({ match => { key => $k }, preset => 'quota_session' });
#     $cloud->ledger->{total}{requests}
#     $cloud->requests(3)      the last three as they arrived, newest last
#     $cloud->last             the last one
#
#     $cloud->pass(3600)       its time of day goes on by an hour; at() sets it
#     $cloud->bill->{accounts}{alice}{nano_usd}
#     $cloud->asked('alice', '/api/balance')    when it was, in milliseconds

use warnings;
use strict;

use Http;
use Poll;
use Process;


sub start {
    my ($class, %self) = @_;

    my $self = bless \%self, $class;

    $self->{port} //= Process::port();
    $self->{http} = Http->new(port => $self->{port}, trusted => 1);
    $self->{process} = Process->start([ Process::build('cloud-sim'),
                                        '--port', $self->{port},
                                        @{ $self->{arguments} // [] } ],
                                      name => 'cloud-sim',
                                      env => $self->{env});

    $self->{process}->says(qr/listening on \S+:$self->{port}/)
        or Test::More::BAIL_OUT("the simulator does not start: "
                                . $self->{process}->output);

    $self->accounts(@{ $self->{accounts} }) if $self->{accounts};

    return $self;
}


sub port { $_[0]{port} }


sub control {
    my ($self, $method, $page, $value) = @_;

    my $answer = $self->{http}->request($method, "/_sim/$page",
                                        defined $value ? (json => $value) : ());

    die "/_sim/$page: " . $answer->status . ' ' . $answer->body . "\n"
        if $answer->status != 200;

    return $answer->json;
}


sub accounts {
    my ($self, @accounts) = @_;

    return $self->control('POST', 'accounts', { accounts => \@accounts,
                                                any_key => JSON::PP::false });
}


sub any_key {
    my ($self) = @_;

    return $self->control('POST', 'accounts', { accounts => [],
                                                any_key => JSON::PP::true });
}


sub rules {
    my ($self, @rules) = @_;
    return $self->control('POST', 'rules', { rules => \@rules });
}


sub reset { $_[0]->control('POST', 'reset') }
sub knobs { $_[0]->control('POST', 'knobs', $_[1]) }
sub ledger { $_[0]->control('GET', 'ledger') }

sub prices { $_[0]->control('POST', 'prices', { prices => $_[1] // {} }) }
sub bill { $_[0]->control('GET', 'bill') }
sub balances { $_[0]->control('GET', 'balances') }
sub pass { $_[0]->control('POST', 'clock', { pass => $_[1] + 0 }) }
sub at { $_[0]->control('POST', 'clock', { at => $_[1] + 0 }) }
sub now { $_[0]->control('GET', 'clock')->{now} / 1000 }


# when an account was asked for a page that is no model's answer

sub asked {
    my ($self, $account, $path) = @_;
    my $asked = $self->control('GET', 'asked')->{$account}{$path};

    return $asked ? @{ $asked->{at} } : ();
}


sub requests {
    my ($self, $last) = @_;
    my $list = $self->control('GET', 'requests?last=' . ($last // 1000));

    return @$list;
}


sub last {
    my ($self) = @_;
    return ($self->requests(1))[-1];
}


# a recorded request's headers of one name

sub headers {
    my ($request, $name) = @_;

    return map { $_->[1] }
           grep { lc $_->[0] eq lc $name } @{ $request->{headers} };
}


# how many inference requests each of the keys has seen since the reset

sub spread {
    my ($self, @keys) = @_;
    my $ledger = $self->ledger;

    return map { $ledger->{keys}{$_}{requests} // 0 } @keys;
}


sub stop { $_[0]{process}->stop }


1;
