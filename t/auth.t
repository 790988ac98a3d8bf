# X-Auth-Token -> project and role

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

# for all blocks that have none of their own
$Wafcert::default{user_files} = <<'END';
>>> tokens
# who        where  may   is called
<sha256 token-of-alice-0123456789> p  write  alice
	<sha256 token-of-bob-0123456789abc>	p	read	bob	and more

   # two projects
<sha256 token-of-carol-0123456789> p  read   carol-p
<sha256 token-of-carol-0123456789> q  write  carol-q
<sha256 token-of-dave-0123456789a> *  write  # no label
<sha256 token-of-erin-0123456789a> *  read   erin-any
<sha256 token-of-erin-0123456789a> p  write  erin-p
<sha256 <token 16000>> p read long
END

$Wafcert::default{config} = <<'END';
location /v1/ {
    wafcert_api zone=certs;
    wafcert_auth tokens=../html/tokens;
}
END

run_tests();

__DATA__

=== TEST 1: no token, and one that is not known
--- requests
GET /v1/p/waf/certificate

GET /v1/p/waf/certificate
X-Auth-Token:

GET /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-0123456789

GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-012345678

GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-01234567890

GET /v1/p/waf/certificate
X-Auth-Token: Token-of-alice-0123456789

GET /v1/p/waf/certificate
X-Auth-Token: <sha256 token-of-alice-0123456789>

GET /v1/p/waf/certificate
X-Subject-Token: token-of-alice-0123456789

GET /v1/p/waf/certificate?X-Auth-Token=token-of-alice

HEAD /v1/p/waf/certificate

--- answers
401 WAF.00012001 invalid.token token_missing: no X-Auth-Token | IAM
401 WAF.00012001 invalid.token token_missing
401 WAF.00012001 invalid.token token_invalid: not known | log in again
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012001 invalid.token token_missing
401 WAF.00012001 invalid.token token_missing
401
Content-Type: application/json



=== TEST 2: a token for one project, that may write
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}
x-auth-token:token-of-alice-0123456789

{"name": "b"}

GET /v1/p/waf/certificate/{id}
X-AUTH-TOKEN:   token-of-alice-0123456789

DELETE /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-alice-0123456789

GET /v1/q/waf/certificate
X-Auth-Token: token-of-alice-0123456789

POST /v1/q/waf/certificate
X-Auth-Token: token-of-alice-0123456789

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/P/waf/certificate
X-Auth-Token: token-of-alice-0123456789

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"id": "{id}"}
401 WAF.00012002 invalid.project token_project: "q" | project
401 WAF.00012002 invalid.project token_project: "q"
401 WAF.00012002 invalid.project token_project: "P"



=== TEST 3: a token that may read
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate
X-Auth-Token: token-of-bob-0123456789abc

GET /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-bob-0123456789abc

POST /v1/p/waf/certificate
X-Auth-Token: token-of-bob-0123456789abc

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate?dry_run=true
X-Auth-Token: token-of-bob-0123456789abc

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-bob-0123456789abc

{"name": "b"}

DELETE /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-bob-0123456789abc

GET /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-alice-0123456789

--- answers
200 {"id": "{id}"}
200 {"total": 1}
200 {"id": "{id}"}
401 WAF.00012003 permission.denied token_role: read | role
401 WAF.00012003 permission.denied token_role
401 WAF.00012003 permission.denied token_role
401 WAF.00012003 permission.denied token_role
200 {"name": "a", "revision": 1}



=== TEST 4: a token with several lines, and for any project
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-carol-0123456789

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate
X-Auth-Token: token-of-carol-0123456789

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/r/waf/certificate
X-Auth-Token: token-of-carol-0123456789

POST /v1/r/waf/certificate
X-Auth-Token: token-of-dave-0123456789a

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-of-erin-0123456789a

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate
X-Auth-Token: token-of-erin-0123456789a

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/q/waf/certificate
X-Auth-Token: token-of-erin-0123456789a

--- answers
401 WAF.00012003 permission.denied token_role
200 {"id": "{q}"}
error.log: \[notice\].*wafcert create: .*token "carol-q"
401 WAF.00012002 invalid.project token_project
200 {"name": "a"}
error.log: \[notice\].*wafcert create: .*token ""
200 {"name": "a"}
error.log: \[notice\].*wafcert create: .*token "erin-p"
401 WAF.00012003 permission.denied token_role
200 {"total": 1, "items": [ {"id": "{q}"} ]}



=== TEST 5: more than one header
--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789
X-Auth-Token: token-of-alice-0123456789

GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789
x-auth-token: token-of-nobody-0123456789

GET /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-0123456789
x-auth-token: token-of-alice-0123456789

--- answers
401 WAF.00012001 invalid.token token_invalid: 2 X-Auth-Token headers
401 WAF.00012001 invalid.token token_invalid: 2 X-Auth-Token headers
401 WAF.00012001 invalid.token token_invalid: 2 X-Auth-Token headers



=== TEST 6: wafcert_denied_status 403
--- config
    wafcert_denied_status 403;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
    }

--- requests
GET /v1/p/waf/certificate

GET /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-0123456789

GET /v1/q/waf/certificate
X-Auth-Token: token-of-alice-0123456789

DELETE /v1/p/waf/certificate/0123456789abcdef0123456789abcdef
X-Auth-Token: token-of-bob-0123456789abc

--- answers
401 WAF.00012001 invalid.token token_missing
401 WAF.00012001 invalid.token token_invalid
403 WAF.00012002 invalid.project token_project
403 WAF.00012003 permission.denied token_role



=== TEST 7: off, beside tokens, and inherited
--- config
    wafcert_auth tokens=../html/tokens;

    location /v1/ {
        wafcert_api zone=certs;
    }

    location /open/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

--- requests
GET /v1/p/waf/certificate

GET /open/v1/p/waf/certificate

GET /open/v1/p/waf/certificate
X-Auth-Token: token-of-nobody-0123456789

GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789

--- answers
401 WAF.00012001 invalid.token token_missing
200 {"total": 0}
200 {"total": 0}
200 {"total": 0}



=== TEST 8: tokens as long as this cloud's
--- http_config
    wafcert_zone zone=certs:1m;
    large_client_header_buffers 4 32k;

--- requests
GET /v1/p/waf/certificate
X-Auth-Token: <token 16000>

GET /v1/p/waf/certificate
X-Auth-Token: <token 15999>

GET /v1/p/waf/certificate
X-Auth-Token: <token 9000>

--- answers
200 {"total": 0}
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012001 invalid.token token_invalid



=== TEST 9: judged before the body, which never comes
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
        lingering_timeout 100ms;
    }

--- requests
POST /v1/p/waf/certificate
Content-Length: 1000

POST /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-0123456789
Content-Length: 1000

{"name":

POST /v1/q/waf/certificate
X-Auth-Token: token-of-alice-0123456789
Content-Length: 1000

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef
X-Auth-Token: token-of-bob-0123456789abc
Content-Length: 100000

POST /v1/p/waf/certificate
X-Auth-Token: token-of-bob-0123456789abc
Content-Length: 4000000000

POST /v1/p/waf/certificate
Transfer-Encoding: chunked

--- answers
401 WAF.00012001 invalid.token token_missing
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012002 invalid.project token_project
401 WAF.00012003 permission.denied token_role
401 WAF.00012003 permission.denied token_role
401 WAF.00012001 invalid.token token_missing



=== TEST 10: the route and the method come first, as for "GET /"
--- config
    location / {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
    }

--- requests
GET /

GET /v1/!/waf/certificate

GET /v1/p/waf/certificate/x

PATCH /v1/p/waf/certificate

GET /v1/p/waf/certificate?page=0

--- answers
404 WAF.00014009 api.not.found api_not_found
400 WAF.00011002 url.param.illegal project_illegal
400 WAF.00011004 id.illegal id_illegal
405 WAF.00014009 api.not.found method_not_allowed
401 WAF.00012001 invalid.token token_missing



=== TEST 11: a tokens file with CRLF, and no newline at its end
--- user_files eval
[ [ tokens => "# CRLF\r\n\r\n" . Wafcert::expand(
        "<sha256 token-of-alice-0123456789> p write alice\r\n"
        . "<sha256 token-of-bob-0123456789abc> p read") ] ]
--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789

GET /v1/p/waf/certificate
X-Auth-Token: token-of-bob-0123456789abc

--- answers
200 {"total": 0}
200 {"total": 0}



=== TEST 12: a tokens file that is empty lets nobody in
--- user_files
>>> tokens
# nobody yet

--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789

--- answers
401 WAF.00012001 invalid.token token_invalid



=== TEST 13: no tokens file
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/none;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*open\(\) ".*/html/none" failed \(2: No such file}



=== TEST 14: a directory instead of a tokens file
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*/html" is not a file}



=== TEST 15: a line with too few words
--- user_files
>>> tokens
# the second line has no access
<sha256 token-of-alice-0123456789> p

--- must_die
--- error_log eval
qr{\[emerg\] .*too few words for a token in ".*/html/tokens", line 2}



=== TEST 16: the token itself instead of its digest, which no log quotes
--- user_files
>>> tokens
token-of-alice-0123456789 p write alice

--- must_die
--- error_log eval
qr{\[emerg\] .*64 hex digits in ".*/html/tokens", line 1}
--- no_error_log
token-of-alice



=== TEST 17: a digest that is not hex
--- user_files
>>> tokens
<x 64> p write alice

--- must_die
--- error_log eval
qr{\[emerg\] .*64 hex digits in ".*/html/tokens", line 1}



=== TEST 18: an access that there is not
--- user_files
>>> tokens
<sha256 token-of-alice-0123456789> p admin alice

--- must_die
--- error_log eval
qr{\[emerg\] .*neither "read" nor "write" in ".*/html/tokens", line 1}



=== TEST 19: an IAM service, with a body, and over HTTP/2
--- http2
--- config
    wafcert_auth_roles write=writer;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/writer;
    }

    location /other/ {
        wafcert_api zone=certs;
        wafcert_auth request=/reader;
    }

    location = /writer {
        return 200 '{"token": {"project": {"id": "p"},
                               "roles": [{"name": "writer"}],
                               "expires_at": "2999-01-01T00:00:00Z",
                               "user": {"name": "a\u0022b\u000a"}}}';
    }

    location = /reader {
        return 200 '{"token": {"project": {"id": "p"},
                               "roles": [{"name": "x"}],
                               "expires_at": "2999-01-01T00:00:00Z"}}';
    }

--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789
Content-Type: application/json

{"name": "a", "x": "<x 100000>", "content": <ec.chain>, "key": <ec.key>}

DELETE /other/v1/p/waf/certificate/0123456789abcdef0123456789abcdef
X-Auth-Token: token-of-alice-0123456789

GET /v1/q/waf/certificate
X-Auth-Token: token-of-alice-0123456789

GET /other/v1/p/waf/certificate
X-Auth-Token: token-of-alice-0123456789

--- answers
200 {"name": "a"}
error.log: \[notice\].*wafcert create: .*token "a\?b\?", client
401 WAF.00012003 permission.denied token_role: no role | role
401 WAF.00012002 invalid.project token_project: "q"
200 {"total": 1}
