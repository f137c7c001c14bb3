# Whose records are taken: the kernel says who is at the other end, and who
# only shares the sockets' group forges nothing.

use warnings;
use strict;

use File::Copy qw/ copy /;
use File::Temp qw/ tempdir /;
use FindBin;
use lib "$FindBin::Bin/lib";

use Poll;
use Statsd;
use Test::More;

my $daemon = Statsd::tool('ollama-statsd');

my ($code, $said) = Process::run([ $daemon, '--data', tempdir(CLEANUP => 1),
                                   '--allow-user', 'no-such-user' ]);

is($code, 1, 'a user that is not there');
like($said, qr/--allow-user: there is no user "no-such-user"/, '.. in words');

plan(skip_all => 'only root can become somebody') if $>;

my $group = 65534;          # that they have in common
my $bin = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

chmod 0755, $bin;
copy(Statsd::tool('frames'), "$bin/frames") or die;
chmod 0755, "$bin/frames";


# somebody refused: nothing is taken, it is said and seen

my $s = daemon();

refused($s, 4242, 'somebody of the group');
refused($s, 4242, 'the same again') for 1 .. 20;
refused($s, 4243, 'somebody else');

my $health = $s->health;

is($health->{totals}{requests}, 0, '.. leave no record');
is($health->{ingest}{peers_refused}, 22, '.. are counted');
is($health->{status}, 'degraded', '.. and a problem');
like("@{ $health->{problems} }", qr/records of uid 4243 .*are refused.*22 times/,
     '.. in words');

my @lines = grep { $_->{message} =~ /records of uid/ } @{ $s->json('/logs') };

cmp_ok(scalar @lines, '<=', 2, '.. and in the log once a minute');
like($lines[0]{message}, qr/uid 4242 .*--allow-user/, '.. with what to do');

taken($s, 0, 'root');
$s->stop;

# the usual users of nginx need not be named; when somebody is, they do

my ($nginx) = grep { defined } map { scalar getpwnam $_ } qw/ www-data nginx /;

SKIP: {
    skip 'there is no user of nginx here', 2 unless defined $nginx;

    $s = daemon();
    taken($s, $nginx, 'nginx\'s own user');
    $s->stop;

    $s = daemon('--allow-user', 4242);
    refused($s, $nginx, 'nginx\'s own user, not being named');
    $s->stop;
}

# by number, by name, several; the user that the daemon becomes

$s = daemon(qw/ --allow-user 4242 --allow-user daemon --user nobody /);
taken($s, 4242, 'a number');
taken($s, scalar getpwnam 'daemon', 'a name');
taken($s, scalar getpwnam 'nobody', 'its own user');
taken($s, 0, 'root');
refused($s, 4243, 'anybody else');
is($s->health->{totals}{requests}, 4, 'all of whom have sent a record');

# questions are for the group

my $answer = as(4243, sub { $s->get('/health')->{status} });

is($answer, 200, 'who asks is the business of the socket\'s mode');

is($s->stop, 0, 'a clean end');
unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');

done_testing();


sub daemon {
    my @args = @_;
    my $dir = tempdir('statsd-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    mkdir "$dir/run";
    chmod 0755, $dir, "$dir/run";
    chown scalar getpwnam('nobody'), -1, $dir, "$dir/run"
        if grep { $_ eq '--user' } @args;

    my $name = getgrgid $group;

    return Statsd->start(dir => $dir, args => [ '--group', $name, @args ]);
}


sub frames_of {
    my ($s, $uid, $hello) = @_;

    return $s->frames(instance => sprintf('%x', $uid + 1), hello => $hello,
                      tool => [ 'setpriv', "--reuid=$uid", "--regid=$group",
                                '--clear-groups', "$bin/frames" ]);
}


sub taken {
    my ($s, $uid, $who) = @_;
    my $f = frames_of($s, $uid, 1);

    $f->request(seq => 1, prompt => 1);
    ok($f->acked(1), "taken: $who");
}


sub refused {
    my ($s, $uid, $who) = @_;
    my $f = frames_of($s, $uid, 0);

    ok($f->closed(10000), "refused: $who");
}


# what a sub returns in a process of another user

sub as {
    my ($uid, $sub) = @_;
    my $pid = open(my $out, '-|') // die;

    if ($pid == 0) {
        $( = $) = "$group $group";
        ($<, $>) = ($uid, $uid);
        print $sub->();
        close STDOUT;
        require POSIX;
        POSIX::_exit(0);
    }

    return scalar <$out>;
}
