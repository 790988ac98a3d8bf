#!/usr/bin/perl

# The command that tools/demo prints at its end, beside the example that it has
# uploaded by then.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use lib 't/lib';
use Wafcert::Server;

plan skip_all => 'curl or jq is not there'
    if system('command -v curl jq >/dev/null');

my $server = Wafcert::Server->new(workers => 1);
my $url = '/v1/demo/waf/certificate';
my $example = Wafcert::Fixtures::read_file('t/data/create-request.json');

is($server->request(POST => "/$url", $example)->verdict, '200', 'the example');

$server->write_file('chain.pem', Wafcert::Fixtures::text('rsa.chain'));
$server->write_file('key.pem', Wafcert::Fixtures::text('rsa.key'));
$server->write_file('print', "token=x port=$server->{port} url=$url dir=.\n"
    . (Wafcert::Fixtures::read_file('tools/demo') =~ /^(cat <<END\n.*)/ms)[0]);

my ($command) = qx(sh $server->{prefix}/print) =~ /^( +jq -n .*?\| jq \.)$/ms;
ok($command, 'a command is printed');

$server->write_file('upload', $command);

my $answer = qx(cd $server->{prefix} && no_proxy='*' sh ./upload);
is(eval { JSON::PP::decode_json($answer)->{cert_type} }, 'RSA-2048',
   'and it uploads two files') or diag($answer);

# no key stays among the logs
unlink "$server->{prefix}/$_" for qw(key.pem upload);

$server->ends_well;
done_testing;
