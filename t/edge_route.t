#!/usr/bin/perl

# Which requests an edge judges: what goes to the WAF is what was judged, and
# nothing that some server could take for a certificate's goes there unjudged.

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use Wafcert::Cgi;
use Wafcert::Fixtures ();
use Wafcert::Server;
use Wafcert::Upstream qw(http);

my $id = '0123456789abcdef0123456789abcdef';
my $list = 'v1/p/waf/certificate';
my $item = "$list/$id";
my $token = 'token-of-the-edges-user-0';

my $waf = Wafcert::Upstream->new(
    default => sub {
        my ($name) = $_[1] =~ /"name": "([^"]*)"/;
        Wafcert::Server::write_all($_[0], http(200,
            sprintf '{"id":"%s","name":"%s"}', $id, $name // 'x'));
    },
    down => sub { 0 },
);

my $port = Wafcert::Server::free_port();
my $http2 = Wafcert::Server::free_port();
my $grpc = Wafcert::Server::free_port();
my $closed = Wafcert::Server::free_port();

my $pass = "proxy_pass http://127.0.0.1:$waf->{port}";
my $edge = 'wafcert_validate zone=edge record=on';
my $down = "proxy_pass http://127.0.0.1:$closed;";

my %cgi = map { $_ => Wafcert::Cgi->new($_ => $waf->{port}) }
          qw(fastcgi scgi uwsgi);

# how else than by proxy_pass a request gets to the WAF
my %ways = (
    grpc => "grpc_pass grpc://127.0.0.1:$grpc;",
    map { my $way = $_;
          $way => join ' ', "${way}_pass 127.0.0.1:$cgi{$way}{port};",
                  map { "${way}_param $_ \$\L$_;" }
                      qw(REQUEST_METHOD REQUEST_URI CONTENT_LENGTH) }
        keys %cgi,
);

# by name, as $port has them
my %servers = (
    root => "location / { $edge; $pass; }",
    waf => "location /waf/ { $edge; $pass; }",
    strip => "location /waf/ { $edge; $pass/; }",
    same => "location /waf/ { $edge; $pass/waf/; }",
    v1 => "location /v1/ { $edge; $pass; }",
    v => "location /v { $edge; $pass; }",
    short => "location /waf { $edge; $pass; }",
    tenant => "location /v1/p/waf/ { $edge; $pass; }",
    below => "location /v1/p/ { $edge; $pass; }",
    atroot => "location /v1/p/ { $edge path=/; $pass; }",
    api => "location /api/v1 { $edge; $pass; }",
    exact => "location = /$list { $edge; $pass; }",
    regex => "location ~ ^/ { $edge; $pass; }",
    path => "location ~ ^/ { $edge path=/waf/; $pass; }",
    cut => "location /waf/ { $edge; rewrite ^/waf(/.*) \$1 break; $pass; }",
    within => "location /waf/ { $edge; rewrite ^/waf/old(/.*) /waf\$1 break;"
              . " $pass; }",
    cutpath => "location /waf/ { $edge path=/api/;"
               . " rewrite ^/waf(/.*) /api\$1 break; $pass; }",
    lead => "rewrite ^/old(/.*) /waf\$1 break; rewrite ^/none /waf break;"
            . " rewrite ^/older(/.*) /waf\$1;"
            . " location /waf/ { $edge path=/waf/; $pass; }",
    warned => "rewrite ^/old(/.*) /warned\$1 break; rewrite ^/n /warned last;"
              . " location /warned/ { $edge; $pass; }",
    raw => "location / { $edge; $pass\$request_uri; }",
    rawcut => "location /waf/ { $edge; rewrite ^/waf(/.*) \$1 break;"
              . " $pass\$request_uri; }",
    uri => "location / { $edge; $pass\$uri\$is_args\$args; }",
    host => "location / { $edge; set \$waf 127.0.0.1:$waf->{port};"
            . ' proxy_pass http://$waf; }',
    capture => "location ~ ^/waf/(.*) { $edge path=/waf/;"
               . " $pass/\$1\$is_args\$args; }",
    nested => "location / { $edge; location /v1/p/ { $pass; }"
              . " location ~ certificate { $pass; } $pass; }",
    named => "location / { $edge; proxy_pass http://127.0.0.1:$closed;"
             . " error_page 502 504 = \@waf; } location \@waf { $pass; }",
    try => "location / { $edge; try_files /none \@waf; }"
           . " location \@waf { $pass; }",
    tokens => "location / { $edge; wafcert_auth tokens=tokens; $pass; }",
    all => "location / { $edge; wafcert_auth tokens=tokens all=on; $pass; }",
    admit => "location / { $edge; proxy_pass http://127.0.0.1:$closed;"
             . " error_page 502 504 = \@waf; } location \@waf { $edge;"
             . " wafcert_auth tokens=tokens; $pass; }",
    mapped => "location / { $edge; proxy_pass http://127.0.0.1:$closed/;"
             . " error_page 502 504 = \@waf; } location \@waf { $pass; }",
    mappedraw => "set \$seen \$request_uri; location / { $edge;"
                 . " proxy_pass http://127.0.0.1:$closed/;"
                 . " error_page 502 504 = \@waf; }"
                 . " location \@waf { $pass\$request_uri; }",
    back => "location / { $edge; $down error_page 502 504 = \@back; }"
            . " location \@back { rewrite ^/v1/p/(.*) /v1/q/\$1 break;"
            . " $pass; }",
    backif => "location / { $edge; $down error_page 502 504 = \@back; }"
              . " location \@back { if (\$uri) { set \$q q;"
              . " $pass/v1/\$q/waf/certificate; } }",
    backurl => "location / { $edge; $down error_page 502 504 = \@back; }"
               . " location \@back { $pass/v1/q\$is_args\$args; }",
    backseen => "location / { $edge; $down error_page 502 504 = \@back; }"
                . " location \@back { set \$seen \$wafcert_project;"
                . " rewrite ^/v1/p/(.*) /v1/q/\$1; return 200 '{\"id\":"
                . "\"$id\",\"name\":\"backseen\"}'; }",
    backtry => "location / { $edge; try_files /none \@back; }"
               . " location \@back { $pass/waf\$request_uri; }",
    backcut => "location /waf/ { $edge; $down error_page 502 504 = \@back; }"
               . " location \@back { rewrite ^/waf(/.*) \$1 break; $pass; }",
    backsame => "location / { $edge; $down error_page 502 504 = \@back; }"
                . " location \@back { $pass\$request_uri; }",
    backpage => "location / { $edge; $down error_page 502 504 = \@back; }"
                . " location \@back { rewrite ^ /index.html break; }",
    limit => "location / { $edge; limit_req zone=project; $pass; }",
    backlimit => "location / { $edge; limit_req zone=project; $pass;"
                 . " error_page 503 = \@back; } location \@back { $pass; }",
    backlarge => "location / { $edge; client_max_body_size 1; $pass;"
                 . " error_page 413 = \@back; } location \@back { $pass; }",
    backreturn => "location / { $edge; if (\$uri) { return 502; }"
                  . " error_page 502 = \@back; } location \@back { $pass; }",
    backifreturn => "location / { $edge; return 502; error_page 502 = \@back; }"
                    . " location \@back { if (\$uri) { set \$q q; } $pass; }",
    allback => "location / { $edge; wafcert_auth tokens=tokens all=on; $down"
               . " error_page 502 504 = \@back; } location \@back { $pass; }"
               . " location /early { $edge; return 502;"
               . " wafcert_auth tokens=tokens all=on;"
               . " error_page 502 = \@back; } location /open {"
               . " return 502; error_page 502 = \@open; }"
               . " location \@open { wafcert_auth off; $pass; }",
    open => "location / { return 502; error_page 502 = \@back; }"
            . " location \@back { $pass; }",
    return => "location / { $edge; }",
    (map { ("in$_" => "location / { $edge; $ways{$_} }",
            "back$_" => "location / { $edge; $down error_page 502 504 = \@back;"
                        . " location /v1/early/ { return 502; } }"
                        . " location \@back { $ways{$_} }",
            "cut$_" => "location / { $edge; $down"
                       . " error_page 502 504 = \@back; } location \@back {"
                       . " rewrite ^/v1/p/(.*) /v1/q/\$1 break; $ways{$_} }") }
         keys %ways),
    grpc => "location / { $pass; }",
    backgate => "location / { $edge; return 502; error_page 502 = \@back; }"
                . " location \@back { wafcert_api zone=edge write=off;"
                . " wafcert_auth off; }",
);

my $server = Wafcert::Server->new(
    size => '4m', workers => 1, level => 'info', start => 0,
    http => join '', <<'END', map { <<"END" } sort keys %servers);
    wafcert_zone zone=edge:4m;
    limit_req_zone $wafcert_project zone=project:1m rate=1r/m;

    log_format edge '$host $status [$wafcert_project] [$wafcert_id]'
                    ' [$wafcert_reason]';

    server {
        listen 127.0.0.1:0;
        server_name none;
    }

    server {
        listen 127.0.0.1:0;
        server_name known;

        location / {
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }
    }
END

    server {
        listen 127.0.0.1:0;
        server_name $_;
        access_log logs/access.log edge;
        root html;
        $servers{$_}
    }
END

$server->{http} =~ s/127\.0\.0\.1:0/127.0.0.1:$port/g;
$server->{http} =~ s/(server_name root;)/listen 127.0.0.1:$http2 http2; $1/;
$server->{http} =~ s/(server_name grpc;)/listen 127.0.0.1:$grpc http2; $1/;
$server->configure;
$server->write_file('tokens', Digest::SHA::sha256_hex($token) . " p write\n");
$server->start;


# nginx 1.25 and newer have another way to say it
my @warnings = grep { !/"listen ... http2"/ }
               $server->log =~ /\[warn\] (.*)/g;

is(@warnings, 1, 'one warning');
like($warnings[0], qr{"rewrite \.\.\. /warned\$1 break" leads to (?#
                     )location "/warned/"}, 'of what is judged elsewhere');


# What comes back, and the request lines that the WAF has got meanwhile.
sub ask {
    my ($host, $line, $body, @headers) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "connect: $!\n";

    push @headers, 'Content-Length: ' . length $body if defined $body;

    Wafcert::Server::write_all($socket, join "\r\n", "$line HTTP/1.1",
                               "Host: $host", 'Connection: close', @headers,
                               '', $body // '');

    my $answer = Wafcert::Server::read_answer($socket);

    return ($answer, map { (split / /)[0, 1] } $waf->requests);
}


# The verdict of an edge, or the path that the WAF has got.
sub comes_to {
    my ($answer, undef, $path) = ask(@_);

    return $path // eval { $answer->verdict } // $answer->{status};
}


sub is_judged {
    my ($host, $path, $sent, $what) = @_;

    is(comes_to($host, "POST $path", 'x'), '400 json_syntax', $what);
    is(comes_to($host, "GET $path"), $sent, 'and what is judged is sent')
        if $sent;
}


# Where a route stands.

is_judged(root => "/$list", "/$list", 'location /');
is_judged(root => "/$list/", "/$list/", 'with a slash');
is_judged(root => "/$list?a=%2f..&b", "/$list?a=%2f..&b", 'with parameters');
is_judged(root => "/$list?", "/$list?", 'with a question mark');
is_judged(root => "http://root/$list", "/$list", 'an absolute URL');
is_judged(waf => "/waf/$list", "/waf/$list", 'location /waf/');
is_judged(strip => "/waf/$list", "/$list", 'whose prefix is cut off');
is_judged(same => "/waf/$list", "/waf/$list", 'or put again');
is_judged(v1 => "/$list", "/$list", 'location /v1/');
is_judged(v => "/$list", "/$list", 'a prefix that ends within');
is_judged(short => "/waf/$list", "/waf/$list", 'one without a slash');
is_judged(tenant => "/$list", "/$list", 'one that has a part of the route');
is_judged(below => "/v1/p/$list", "/v1/p/$list", 'not a part of it');
is_judged(atroot => "/$list", "/$list", 'a part of it, with path=');
is_judged(api => "/api/$list", "/api/$list", 'one that ends with "v1"');
is_judged(exact => "/$list", "/$list", 'one that is all of it');
is_judged(regex => "/$list", "/$list", 'a regular expression');
is_judged(path => "/waf/$list", "/waf/$list", 'path=');
is_judged(cut => "/waf/$list", "/$list", 'a rewrite');
is_judged(within => "/waf/old/$list", "/waf/$list", 'within the prefix');
is_judged(cutpath => "/waf/$list", "/api/$list", 'with path=');
is_judged(lead => "/old/$list", "/waf/$list", 'a rewrite of the server');
is_judged(lead => "/older/$list", "/waf/$list", 'one that goes on');
is_judged(host => "/$list", "/$list", 'a WAF in a variable');
is_judged(uri => "/$list?a=b", "/$list?a=b", '$uri');
is_judged(raw => "/$list?a=b", "/$list?a=b", '$request_uri');
is_judged(capture => "/waf/$list?a=b", "/$list?a=b", '$1');
is_judged(nested => "/$list", "/$list", 'a nested location');
is_judged(nested => '/v1/q/waf/certificate', '/v1/q/waf/certificate',
          'a nested regular expression');
is_judged(try => "/$list", "/$list", 'try_files');
is_judged(named => "/$list", "/$list", 'error_page');

for ([ root => "/waf/$list" ], [ root => "/x/v1/$list" ],
     [ waf => '/waf/x/v1/p/waf/certificate' ], [ waf => "/waf/waf/$list" ],
     [ strip => "/waf/waf/$list" ], [ short => "/waf$list" ],
     [ below => "/$list" ], [ atroot => "/v1/p/$list" ],
     [ v1 => "/v1/$list" ], [ regex => "/waf/$list" ], [ path => "/$list" ],
     [ cut => "/waf/waf/$list" ], [ within => "/waf/old/old/$list" ],
     [ cutpath => "/waf/api/$list" ], [ nested => "/v1/p/$list" ])
{
    my ($host, $path) = @$_;

    is(comes_to($host, "GET $path"), '404 api_not_found',
       "$host: nothing stands at $path");
}


# What is sent for it.

my @spelled = ("/v1/%70/waf/certificate", "//$list", "/v1/p/waf//certificate",
               "/v1/./p/waf/certificate", "/v1/q/../p/waf/certificate",
               "/v1/p/waf/certificate%2f$id", "/$list#x", "/$list?a#b",
               "/v1/q/waf/certificate/x%2f..%2f..%2f..%2f..%2fp%2fwaf"
               . "%2fcertificate", '/v1/q;%2f..%2fp/waf/certificate');

for my $path (@spelled) {
    is(comes_to(root => "GET $path"), '400 path_encoded', "$path is refused");
    is(comes_to(raw => "GET $path"), '400 path_encoded', 'from $request_uri');
    is(comes_to(host => "GET $path"), '400 path_encoded',
       'and where the WAF is a variable');
}

is(comes_to(strip => "GET /waf//v1/%70/waf/certificate"), "/$list",
   'a decoded path is sent where the prefix is cut off');
is(comes_to(cut => "GET /waf//v1/%70/waf/certificate"), "/$list",
   'and after a rewrite');
is(comes_to(uri => "GET //v1/%70/waf/certificate"), "/$list", 'and from $uri');
is(comes_to(mapped => "GET //v1/%70/waf/certificate"), "/$list",
   'and from a named location after that');
is(comes_to(mappedraw => "GET $_"), "/$list",
   "and by \$request_uri after that: $_")
    for "//v1/%70/waf/certificate", '/v1/q;%2f..%2fp/waf/certificate';
is(comes_to(mappedraw => 'GET /v1/q/waf/certificate/x%2f..%2f..%2f..%2f..%2fp'
                         . '%2fwaf%2fcertificate?a=%2f'), "/$list?a=%2f",
   'with its arguments');
is(comes_to(mapped => "GET /$list/../x"), '404 api_not_found',
   'where something else may arrive as it came');
is(comes_to(rawcut => "GET /waf/$list"), '400 path_encoded',
   'but not where another one is sent than was judged');

# By a named location that judges nothing itself.
for my $host (qw(back backif backurl backtry)) {
    is(comes_to($host, "GET /$list"), '400 path_encoded',
       "$host: a named location sends what was judged, or nothing");
    is(comes_to($host, "POST /$list", upload($host)), '400 path_encoded',
       'uploads, too');
}

# What was refused before it was judged.
comes_to(backlimit => "GET /v1/c/waf/certificate");

for ([ backlimit => '/v1/c/waf/certificate' ], [ backlarge => "/$list" ],
     [ backreturn => "/$list" ], [ backreturn => "/v1/%70/waf/certificate" ],
     [ backifreturn => "/$list" ])
{
    my ($host, $path) = @$_;

    is(comes_to($host, "POST $path", 'xy'), 503,
       "$host: $path is not sent unjudged");
}

for my $way (sort keys %ways) {
    is_judged("in$way", "/$list", "/$list", $way);
    is_judged("back$way", "/$list", "/$list", "a named location's $way");
    is(comes_to("cut$way", "GET /$list"), '400 path_encoded',
       'which sends what was judged');
    is(comes_to("cut$way", "POST /$list", upload('cut')), '400 path_encoded',
       'uploads, too');
    is(comes_to("back$way", 'POST /v1/early/waf/certificate', 'x'), 503,
       'and nothing unjudged');
    is(comes_to("back$way", 'GET /v1/early/x'), '/v1/early/x',
       'but what is none of ours');
}

is((ask(backgate => "GET /$list"))[0]{status}, 200,
   'a gateway judges for itself');

is(comes_to(backreturn => 'GET /x'), '/x', 'what is none of ours is');
is(comes_to(open => "GET /$list"), "/$list",
   'and what no edge of the server judges');

is(comes_to(back => 'GET /x'), '/x', 'but for what is none of ours');
is((ask(backpage => "GET /$list"))[0]{status}, 404, 'and what it has itself');
is(comes_to(backcut => "GET /waf/$list"), "/$list",
   'without the prefix it is the same');
is(comes_to(backsame => "GET /$list?a=b"), "/$list?a=b",
   'and so it is by $request_uri');


# Methods.

for ([ PATCH => $item ], [ POST => $item ], [ PUT => $list ],
     [ DELETE => $list ], [ OPTIONS => $list ], [ BREW => $list ],
     [ GET => "$item/apply-to-hosts" ], [ PUT => "$item/apply-to-hosts" ])
{
    is(comes_to(root => "$_->[0] /$_->[1]", 'x'), '405 method_not_allowed',
       "$_->[0] is refused");
}

is(comes_to(root => "POST /$item/apply-to-hosts", '{}'),
   "/$item/apply-to-hosts", 'hosts may be applied to');

for my $header (qw(X-HTTP-Method-Override X-HTTP-Method X-Method-Override
                   x-http-method-OVERRIDE))
{
    for my $route ("GET /$item", "POST /$item/apply-to-hosts") {
        is(comes_to(root => $route, undef, "$header: DELETE"),
           '400 method_override', "$route: $header is refused");
    }
}

for my $args (qw(_method=DELETE a=b&_method=PUT x;_METHOD=PUT %5fmethod=PUT
                 %5f%6d%65%74%68%6f%64=PUT a&_method[]=PUT a&_method
                 _method%00x=PUT %20_method=PUT +%20_method=PUT .method=PUT
                 %2emethod=PUT [method=PUT %5Bmethod %20.method=PUT
                 [_method]=PUT a;[[_method]]=PUT a&%20[Method))
{
    is(comes_to(root => "GET /$item?$args"), '400 method_override',
       "?$args is refused");
}

is(comes_to(root => "GET /$item?$_"), "/$item?$_", "but not ?$_")
    for qw(method=PUT a_method=PUT _methods=PUT a=_method _metho %20method=PUT
           a=.method %5 a[_method]=PUT _meth%6 _ . ___ &&;=);

for my $header (qw(X-Original-URL X-Rewrite-URL x-original-uRL)) {
    is(comes_to(root => "GET /$item", undef, "$header: /v1/q/waf/certificate"),
       '400 method_override', "$header with another path is refused");
    is(comes_to(root => "GET /$item?a=b", undef, "$header: /$item?a=b"),
       "/$item?a=b", 'with the same it is not');
    is(comes_to(root => 'POST /x', '{}', "$header: /v1/q/waf/certif%69cate"),
       '404 api_not_found', 'nor is it a way around');
    is(comes_to(root => 'GET /x', undef, "$header: /y"), '/x',
       'what is none of ours is not touched');
}

is(comes_to(root => 'GET /', undef, 'X-HTTP-Method-Override: PUT'), '/',
   'but not in what is none of ours');


# Tokens.

my $auth = "X-Auth-Token: $token";

is(comes_to(tokens => "POST /$item/apply-to-hosts", '{}'),
   '401 token_missing', 'hosts are not applied to without a token');
is(comes_to(tokens => "POST /v1/q/waf/certificate/$id/apply-to-hosts", '{}',
            $auth), '401 token_project', 'nor for another project');
is(comes_to(tokens => "POST /$item/apply-to-hosts", '{}', $auth),
   "/$item/apply-to-hosts", 'but with a token');
is(comes_to(tokens => 'GET /x'), '/x', 'other paths need none');
is(comes_to(all => 'GET /x'), '401 token_missing', 'but with all=on');
is(comes_to(all => 'GET /x', undef, 'X-Auth-Token: x'), '401 token_invalid',
   'a good one');
is(comes_to(allback => 'GET /early'), 503,
   'also by a named location, of what was not judged');
is(comes_to(allback => 'GET /early%20on', undef, $auth), 503,
   'whatever token it has');
is(comes_to(allback => 'GET /open'), '/open', 'unless that is open');
is(comes_to(allback => "GET /open/waf/certificate"), 503,
   'which is not so for what might be a certificate\'s');
is(comes_to(allback => 'GET /x'), '401 token_missing', 'judged');
is(comes_to(allback => 'GET /a%20b', undef, $auth), '/a%20b',
   'and sent by the named location');
is(comes_to(all => 'PUT /v1/q/x', 'x', $auth), '/v1/q/x',
   'whichever project it is for');
is(comes_to(all => 'GET /v1/q/waf/certificate', undef, $auth),
   '401 token_project', 'unless there is a project');
is(comes_to(admit => "GET /$list"), '401 token_missing',
   'a named location may want a token');
is(comes_to(admit => "GET /$list", undef, $auth), "/$list", 'and gets it');


# What was judged is recorded, by whichever way it went.

sub known {
    my ($answer) = ask(known => "GET /$list");

    return join ' ', map { $_->{name} } @{$answer->json->{items}};
}

is((ask(backseen => "POST /$list", upload('backseen')))[0]{status}, 200,
   'where something else answers after a rewrite');
is(known(), '', 'nothing is recorded');

for my $host (qw(root named try nested strip cut host raw capture backcut
                 backsame), map { ("in$_", "back$_") } sort keys %ways)
{
    my $path = ($host =~ /strip|cut|capture/ ? '/waf/' : '/') . $list;

    like(comes_to($host, "POST $path", upload($host)), qr{/$list$},
         "$host: an upload is sent");
    $server->wait_for("$host: it is recorded", sub { known() eq $host });
}


# A project is known before it is judged.

comes_to(limit => 'GET /v1/a/waf/certificate');
is((ask(limit => 'GET /v1/a/waf/certificate'))[0]{status}, 503,
   'requests of a project are limited');
is(comes_to(limit => 'GET /v1/b/waf/certificate'), '/v1/b/waf/certificate',
   'not those of another one');


# Spellings.  What arrives is read as servers may read it.

my @readings = (
    sub { s/%([0-9a-f]{2})/chr hex $1/gier },
    sub { s/%u([0-9a-f]{4})/hex $1 < 256 ? chr hex $1 : chr(hex($1) & 255)/gier },
    sub { s{;[^/]*}{}gr },
    sub { s{\\}{/}gr },
    sub { s{//+}{/}gr },
    sub { s{/\.(?=/|\z)}{}gr },
    sub { 1 while s{/(?!\.\.?/)[^/]*/\.\.(?=/|\z)}{}; $_ },
    sub { s{/\.\.(?=/)}{}gr },
    sub { tr/A-Z/a-z/r },
    sub { s/[\x00-\x1f\x7f]//gr },
    sub { s/[\x80-\xff]//gr },
    sub { s{[. ]+(?=/|\z)}{}gr },
    sub { s/([\xc0\xc1])([\x80-\xbf])/chr((ord($1) & 1) << 6 | ord($2) & 63)/ger },
    sub { s/\xe0([\x80\x81])([\x80-\xbf])/chr((ord($1) & 1) << 6 | ord($2) & 63)/ger },
    sub { s/\xef([\xbc\xbd])([\x80-\xbf])/chr((ord($1) & 1) * 64 + (ord($2) & 63) + 32)/ger },
);

sub a_certificate_to_some {
    my %seen = (shift =~ s/\?.*//sr => 1);
    my @todo = keys %seen;

    while (defined(my $path = shift @todo)) {
        return $path if $path =~ m{/waf/certificate};

        for my $reading (@readings) {
            local $_ = $path;
            my $read = $reading->();
            push @todo, $read unless $seen{$read}++ || keys %seen > 3000;
        }
    }

    return;
}

my @parts = ('/', 'v1', '/', 'p', '/', 'w', 'a', 'f', '/', 'c', 'e',
             'rtificate', '/', $id);

sub encoded {
    my ($text, $times) = @_;

    for (1 .. $times) {
        $text = $_ == 1 ? join '', map { sprintf '%%%02x', ord } split //, $text
                        : $text =~ s/%/%25/gr;
    }

    return $text;
}

my @odd = (
    (map { my $n = $_; sub { encoded($_[0], $n) } } 1 .. 4),
    sub { $_[0] =~ s/^(.)/sprintf '%%u%04x', ord $1/er },
    sub { $_[0] =~ s/^(.)/sprintf '%%%02x%%%02x', 0xc0 | ord($1) >> 6,
                                                  0x80 | ord($1) & 63/er },
    sub { $_[0] =~ s/^(.)/sprintf '%%e0%%%02x%%%02x', 0x80 | ord($1) >> 6,
                                                      0x80 | ord($1) & 63/er },
    sub { $_[0] =~ s/^(.)/sprintf '%%ef%%%02x%%%02x',
                          0xbc + (ord($1) - 32 >> 6),
                          0x80 | ord($1) - 32 & 63/er },
    sub { uc $_[0] },
    sub { $_[0] =~ s{^/}{\\}r },
    sub { $_[0] =~ s{^/}{%5C}r },
    sub { $_[0] =~ s{^/}{%255c}r },
    (map { my $odd = $_; sub { "$odd$_[0]" } }
         '#', qw{; ;a=b ;a/ ;/.. %3b %253bx . .. %2e %252e %20 %09 %00 %2500 %0d
            %80 %ff / /. /x/.. /x/%2e%2e /x/..; /x/..%3b /x/%252e%252e
            /.%2e/ ? %3f %23 ;%2f ;%252f ;%2f..%2fx/..}),
);

sub variants {
    my @variants = ("/$item.json", "/${list}s", "/$item/x", "/v1/p.1/waf/"
                    . 'certificate', "/v2/p/waf/certificate", '/waf/certificate',
                    "/v1/p/waf/certificate/../policy", "/$list%00",
                    "/$list/../certificate", '*', "http://root$list",
                    "http://root//$list", "/v1/p/waf/certificate/" . uc $id);

    for my $i (0 .. $#parts) {
        for my $odd (@odd) {
            my @spelled = @parts;
            $spelled[$i] = $odd->($spelled[$i]);
            push @variants, join '', @spelled;
        }
    }

    for (1 .. 100) {
        my @spelled = @parts;
        for (0 .. rand 4) {
            my $i = int rand @parts;
            $spelled[$i] = $odd[rand @odd]->($spelled[$i]);
        }
        push @variants, join '', @spelled;
    }

    return @variants;
}

seeded();

my $n = 0;
my @variants = grep { !under_valgrind() || $n++ % 8 == 0 } variants();
my @open;

for my $path (@variants) {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "connect: $!\n";

    Wafcert::Server::write_all($socket, join "\r\n", "DELETE $path HTTP/1.1",
                               'Host: root', 'Connection: close', '', '');
    push @open, $socket;
    Wafcert::Server::read_answer(shift @open) if @open > 16;
}

Wafcert::Server::read_answer($_) for @open;

my @arrived = map { (split / /)[1] } $waf->requests;
my @through = grep { !m{^/v1/\w+/waf/certificate/$id\z}
                     && a_certificate_to_some($_) } @arrived;

cmp_ok(scalar @variants, '>', under_valgrind() ? 80 : 700,
       'many spellings are tried');
cmp_ok(scalar @arrived, '>', 5, 'some arrive');
is(join("\n", @through), '', 'none that was not judged');

SKIP: {
    skip 'curl has no HTTP/2', 1 unless `curl -V` =~ /HTTP2/;

    my @got;

    for my $path ("/v1/%70/waf/certificate", "/v1/p/waf;x/certificate",
                  "/v1/p/waf/%2563ertificate", "/v1/p/WAF/certificate",
                  "/v1/p/waf%5ccertificate", "//$list", '*')
    {
        system "curl -sS --noproxy '*' --http2-prior-knowledge --path-as-is"
               . " -X DELETE -o /dev/null -H 'Host: root'"
               . " --request-target '$path' http://127.0.0.1:$http2/";
        push @got, $waf->requests;
    }

    is(join('', @got), '', 'nor does one of HTTP/2');
}


# What is none of ours passes as it is.

for my $path ('/', '/index.html', '/v1/p/waf/policy', '/v1/p/waf/x/certificate',
              '/docs/certificate', '/waf/', '/wafs/certificate', '/a//b;c/%2f',
              '/%e4%b8%ad/../x', '/waf/a%20b/certificate', '/a/../b?/waf/certificate',
              '/waf/certific%61', "/v1/p/premium-waf/host/$id")
{
    is(comes_to(root => "GET $path"), $path, "$path passes");
}

$server->ends_well;

done_testing();
