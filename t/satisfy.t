#!/usr/bin/perl

# Tests for "satisfy any": who is let in by another of nginx's access modules is
# served like everybody else, and a refusal that did not count is forgotten.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Proxy;
use Records;
use Test::More;

my $absent = qr/statsd|http\.sock/;
my $cloud = Cloud->start;
my @token = (Authorization => "Bearer $Proxy::token");
my @user = (Authorization => 'Basic ' . encode_base64('ada:lovelace', ''));
my $n = 0;


# whoever comes with these headers is let in, and nothing is the worse for it

sub served {
    my ($name, $t, @headers) = @_;

    subtest $name => sub {
        my @how = (only => 1, headers => \@headers);
        my $model = 'satisfied-' . ++$n;

        $cloud->reset;
        my $before = booked($t);

        my $r = $t->chat(@how, model => "$model.plain");

        is($r->status, 200, 'a chat');
        ok($r->header('x-ollama-key'), 'with a key');
        is($r->header('www-authenticate'), undef, 'and without a question');

        $r = $t->chat(@how, uri => '/v1/chat/completions', stream => 1,
                      model => "$model.stream");

        is($r->status, 200, 'a stream');
        like($r->body, qr/data: \[DONE\]\n\n\z/, 'to its end');
        unlike($r->body, qr/"choices":\[\]/, 'without what it did not ask for');

        for my $kind ('plain', 'stream') {
            my $q = record($t, "$model.$kind") // {};

            is(tokens($q), told_of($cloud, "$model.$kind") . ' exact done',
               "$kind: tokens on record");
            is($q->{reason}, undef, 'and nothing against it');
        }

        is(booked($t) - $before, told($cloud), 'tokens are booked to the keys');

        for my $status (400, 404, 401) {
            my $text = qq({"error":"words of the cloud, $status"});

            $cloud->rules({ match => { model => "$model.$status" }, times => -1,
                            status => $status, body => $text });
            $r = $t->chat(@how, model => "$model.$status");
            is($r->status, $status, "the cloud's own $status");
            is($r->body, $text, 'as it came');

            my $q = record($t, "$model.$status") // {};
            is($q->{reason}, "words of the cloud, $status", 'and on record');
            is($q->{end}, 'done', 'as an answer');
        }

        $t->post("/health/keys/$_/reset", '') for 0 .. 2;
    };
}


sub turned_away {
    my ($name, $t, @headers) = @_;

    subtest $name => sub {
        $cloud->reset;

        my %error = map { $_ => $t->chat(only => 1, headers => \@headers,
                                         uri => $_)->json->{error} }
                    qw! /api/chat /v1/chat/completions /v1/messages !;

        is($t->chat(only => 1, headers => \@headers)->status, 401, 'refused');
        like($error{'/api/chat'}, qr/proxy's token/, 'as /api says it');

        for my $uri (qw! /v1/chat/completions /v1/messages !) {
            like(ref $error{$uri} && $error{$uri}{message}, qr/proxy's token/,
                 "as $uri says it");
        }

        is($error{'/v1/messages'}{type}, 'authentication_error', 'by its type');
        is_deeply([ $cloud->requests ], [], 'the cloud is not asked');
    };
}


# by address: in one order of the directives and in the other

my $allow = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud, server =>
    'allow 127.0.0.1; deny all; ollama_access on; satisfy any;')->run;

served('an address', $allow);
served('an address and the token', $allow, @token);
served('an address and a wrong token', $allow, Authorization => 'Bearer x');

my $other = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud, server =>
    'satisfy any; ollama_access on; deny 127.0.0.2; allow 127.0.0.0/8; '
    . 'deny all;')->run;

served('the other order', $other);

# by a user's password or by the token, from no address at all

my $closed = Proxy->new(daemon => 1, allow => $absent, cloud => $cloud,
    server => 'satisfy any; deny all; auth_basic "who"; '
              . 'auth_basic_user_file %DIR%/users;');

Process::spill($closed->dir . '/users', "ada:{PLAIN}lovelace\n");
$closed->run;

served("a user's password", $closed, @user);
served('the token', $closed, @token);
turned_away('neither', $closed);
turned_away('another password', $closed,
            Authorization => 'Basic ' . encode_base64('ada:byron', ''));
turned_away('another token', $closed, Authorization => 'Bearer x');

# all of them are asked for where nothing else is said

my $all = Proxy->new(cloud => $cloud,
                     server => 'allow 127.0.0.1; deny all;')->run;

is($all->chat->status, 200, 'satisfy all: address and token');
turned_away('satisfy all: the address alone', $all);

finish();
