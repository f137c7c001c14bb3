# Out of descriptors: with few of them and many connections the daemon waits
# until there is one, instead of asking again and again; records and their
# bodies have their own.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Poll;
use Statsd;
use Test::More;

Statsd::tool('ollama-statsd');

plan(skip_all => 'there is no prlimit') if system('prlimit > /dev/null 2>&1');

raised();
many_readers();
many_pages();
many_proxies();
none_left();

done_testing();


# the limit is raised as far as it may be

sub raised {
    my $s = daemon('64:1024');

    like(Process::slurp('/proc/' . $s->pid . '/limits'),
         qr/^Max open files\s+1024\s+1024\s/m, 'raised: the limit');
    end($s);
}


# more of HTTP than there may be, who say nothing and stay

sub many_readers {
    my $s = daemon('128:128');
    my $readers = $s->health->{readers};

    cmp_ok($readers->{most}, '>=', 10, 'readers: some are served');
    cmp_ok($readers->{most}, '<', 100, '.. as far as descriptors go');

    my @clients = map { client($s, 'http') } 1 .. $readers->{most};

    eventually { client($s, 'http', 1) } 'one more is told at once';

    my $answer = $s->get('/health');

    is($answer->{status}, 503, '.. it is refused');
    like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, '.. for a while');
    like($answer->{headers}{'content-type'} // '', qr/json/, '.. in JSON');
    like(eval { $Statsd::json->decode($answer->{body})->{error} } // '',
         qr/too many connections/, '.. in words');

    push @clients, map { client($s, 'http') } 1 .. 300;
    quiet($s, 'readers');

    my $open = () = glob '/proc/' . $s->pid . '/fd/*';

    cmp_ok($open, '<', 128 - 25, '.. some descriptors are kept');

    # records, bodies and the log go on

    my $f = $s->frames;

    for my $n (1 .. 20) {
        $f->request(seq => 2 * $n - 1, id => $n, prompt => 1);
        $f->body(seq => 2 * $n, id => $n, fill => 10_000);
    }

    ok($f->acked(40), 'records come in');

    rename $s->dir . '/proxy.log', $s->dir . '/moved.log';
    $s->{process}->signal('HUP');
    eventually { -s $s->dir . '/proxy.log' } 'the log can be opened';

    # when the first ones go, others are served

    eventually { ($s->get('/health', timeout => 5)->{status}) == 503 }
               'whoever asks is told, after those who say nothing', 60;
    @clients = ();
    eventually { $s->get('/health', timeout => 5)->{status} == 200 }
               'readers leave: others are served', 60;
    eventually { eval { $s->health->{readers}{connections} } == 1 }
               '.. and no place is lost', 20;

    my $health = $s->health;

    is($health->{store}{bodies_lost}, 0, 'no body was lost');
    is($health->{totals}{requests}, 20, 'no record either');
    cmp_ok($health->{readers}{refused}, '>=', 1, 'who was refused is counted');
    like("@{ $health->{problems} }", qr/readers are refused/, '.. and said');
    like($s->get('/queries/1/body')->{body}, qr/^.{10000}/s,
         'a body is there');

    # answered and gone, many times

    $s->get('/health') for 1 .. 200;
    is($s->health->{readers}{connections}, 1, 'places are given back');
    end($s);
}


# pages that listen leave room for questions

sub many_pages {
    my $s = daemon('64:64');
    my @pages;

    for (1 .. 30) {
        my $page = client($s, 'http');

        print $page "GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
        push @pages, $page;
    }

    # each has heard whether it may: those that may not are gone again

    my @said = map { scalar readline $_ } @pages;

    like($said[0] // '', qr/ 200 /, 'pages: some may listen');
    is($s->get('/health')->{status}, 200, '.. and questions are answered');
    @pages = ();
    eventually { $s->health->{readers}{connections} == 1 }
               '.. no place is lost', 20;
    end($s);
}


# more proxies than there may be: they wait for each other, and say so

sub many_proxies {
    my $s = daemon('128:128');
    my $f = $s->frames;
    my @waiting = map { client($s, 'statsd') } 1 .. 100;

    $f->request(seq => 1, prompt => 1);
    ok($f->acked(1), 'proxies: who is there is served');
    eventually { "@{ $s->health->{problems} }" =~ /of proxies are open/ }
               '.. others wait, which is said';

    my $open = $s->health->{ingest}{connections};

    cmp_ok($open, '<', 64, '.. and are bounded');
    quiet($s, 'proxies');

    shift(@waiting)->close for 1 .. 100 - $open / 2;

    my $g = $s->frames(instance => '2');

    $g->request(seq => 1, prompt => 1);
    ok($g->acked(1), '.. until some leave');
    @waiting = ();
    eventually { $s->health->{ingest}{connections} == 2 }
               '.. no place is lost', 20;
    eventually { "@{ $s->health->{problems} }" !~ /of proxies are open/ }
               '.. and all is well', 20;
    end($s);
}


# the system has none, whatever we had reckoned with

sub none_left {
    my $s = daemon('256:256');
    my $pid = $s->pid;
    my $f = $s->frames;
    my @open = map { client($s, 'http') } 1 .. 5;

    eventually { $s->health->{readers}{connections} == 6 } 'none left: 5 and one';

    my $next = () = glob "/proc/$pid/fd/*";

    system("prlimit --pid $pid --nofile=$next:256") == 0 or die;

    my @clients = map { client($s, 'http') } 1 .. 50;
    my @proxies = map { client($s, 'statsd') } 1 .. 2;

    quiet($s, 'none left');
    like($s->output, qr/connections of readers have to wait: Too many open/,
         '.. it is said');
    like($s->output, qr/connections of proxies have to wait: Too many open/,
         '.. for each');

    $f->request(seq => 1, prompt => 1);
    ok($f->acked(1), '.. records go on');

    # one leaves: another one comes, at once

    $_->close for @clients, @open;
    is(eval { $s->get('/health')->{status} }, 200,
       '.. one is served when another one leaves');

    # or there are some again, and nobody has left

    @clients = map { client($s, 'http') } 1 .. 50;
    quiet($s, 'again');
    system("prlimit --pid $pid --nofile=256:256") == 0 or die;

    my $answer = eval { $s->get('/health') };

    is($answer->{status}, 200, '.. or when the system has some again');
    end($s);
}


sub daemon {
    my ($limits) = @_;

    # before it starts, so that the daemon finds it so

    return Statsd->start(under => [ 'prlimit', "--nofile=$limits" ]);
}


# a connection that says nothing; with ask => one whose answer is waited for

sub client {
    my ($s, $socket, $ask) = @_;
    my $client = IO::Socket::UNIX->new(Peer => $s->path($socket)) or die;

    return $client unless $ask;

    print $client "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

    my $line = readline $client;

    return ($line // '') =~ / 503 /;
}


# it neither burns the CPU nor writes a book

sub quiet {
    my ($s, $name) = @_;
    my ($cpu, $said) = (cpu($s), length $s->output);

    sleep 2;
    cmp_ok(cpu($s) - $cpu, '<', 0.6, "$name: it is quiet");
    cmp_ok(length($s->output) - $said, '<', 2000, '.. and says little');
}


sub cpu {
    my ($s) = @_;
    my @fields = split ' ', Process::slurp('/proc/' . $s->pid . '/stat')
                            =~ s/^.*\)//sr;

    return ($fields[11] + $fields[12]) / 100;
}


sub end {
    my ($s) = @_;

    is($s->stop, 0, 'a clean end');
    unlike($s->output, qr/Sanitizer|runtime error/, 'no sanitizer spoke');
}
