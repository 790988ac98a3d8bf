# what is logged of changes and refusals.  That no token and no key is, whatever
# the level, is looked at after each block of all files (the level is "debug").

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

$Wafcert::default{config} = <<'END';
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
    }
END

$Wafcert::default{user_files} = <<'END';
>>> tokens
<sha256 token-of-log-t-that-is-long-enough> p write auditor
<sha256 <token 7000>> * read reader
END

run_tests();

__DATA__

=== TEST 1: one [notice] for each change
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-log-t-that-is-long-enough

GET /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

DELETE /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-log-t-that-is-long-enough

--- answers
200 {"id": "{id}", "fingerprint": "{rsa}"}
error.log: \[notice\] [^,]* wafcert create: project "p", id {id}, name "a", revision 1, fingerprint {rsa}, token "auditor", client: 127.0.0.1
200 {"fingerprint": "{ec}"}
error.log: \[notice\] [^,]* wafcert modify: project "p", id {id}, name "b", revision 2, fingerprint {ec}, token "auditor", client: 127.0.0.1
200 {"id": "{id}"}
! error.log: \[(notice|info|warn|error|crit|alert|emerg)\].*wafcert
200 {"total": 1}
! error.log: \[(notice|info|warn|error|crit|alert|emerg)\].*wafcert
200 {"id": "{id}"}
error.log: \[notice\] [^,]* wafcert delete: project "p", id {id}, name "b", revision 2, fingerprint {ec}, token "auditor", client: 127.0.0.1



=== TEST 2: one [info] for each refusal
--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-that-is-long-enough

GET /v1/q/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "a", "content": <rsa.chain>, "key": <other.key>}

POST /v1/q/waf/certificate
X-Auth-Token: <token 7000>

GET /v1/p%0aq/waf/certificate

--- answers
401 WAF.00012001 invalid.token token_invalid
error.log: \[info\] [^,]* wafcert refused: token_invalid, project "p", token "", client: 127.0.0.1
401 WAF.00012002 invalid.project token_project
error.log: \[info\] [^,]* wafcert refused: token_project, project "q", token "auditor", client: 127.0.0.1
400 WAF.00021013 cert.illegal key_mismatch
error.log: \[info\] [^,]* wafcert refused: key_mismatch, project "p", token "auditor", client: 127.0.0.1
401 WAF.00012003 permission.denied token_role
error.log: \[info\] [^,]* wafcert refused: token_role, project "q", token "reader", client: 127.0.0.1
400 WAF.00011002 url.param.illegal project_illegal
error.log: \[info\] [^,]* wafcert refused: project_illegal, project "", token "", client: 127.0.0.1



=== TEST 3: nothing worse than [notice], and no [warn] of a temporary file
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "a", "x": "<x 100000>", "content": <rsa.full>, "key": <rsa.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "a", "x": "<x 200000>", "content": <rsa.full>, "key": <rsa.key>}

--- answers
200 {"name": "a"}
! error.log: \[(warn|error|crit|alert|emerg)\]
413 WAF.00011003 request.body.illegal body_too_large
! error.log: \[(warn|error|crit|alert|emerg)\]



=== TEST 4: at [notice], no refusals
--- log_level: notice
--- requests
GET /v1/p/waf/certificate

POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

--- answers
401 WAF.00012001 invalid.token token_missing
! error.log: wafcert
200 {"name": "a"}
error.log: wafcert create



=== TEST 5: the debug log is one, and has the header without the token
--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

GET /v1/p/waf/certificate
x-auth-token:token-of-log-t-that-is-long-enough

GET /v1/p/waf/certificate
X-Subject-Token: token-of-log-t-that-is-long-enough
X-Auth-Token: token-of-log-t-that-is-long-enough

GET /v1/p/waf/certificate
X-Auth-Token: <token 7000>

--- answers
200 {"total": 0}
error.log: \[debug\].*http header: "X-Auth-Token: \*+"
200 {"total": 0}
error.log: \[debug\].*http header: "x-auth-token: \*+"
200 {"total": 0}
error.log: \[debug\].*http header: "X-Auth-Token: \*+"
! error.log: token-of-log-t
200 {"total": 0}
error.log: \[debug\].*http header: "X-Auth-Token: \*+



=== TEST 6: a header line that is too long
--- log_level: info
--- requests
GET /v1/p/waf/certificate
X-Auth-Token: <token 9000>

GET /v1/p/waf/certificate
x-auth-token: <token 40000>

--- answers
400
error.log: \[info\].*client sent too long header line: "X-Auth-Token: \*+
400
error.log: \[info\].*client sent too long header line: "x-auth-token: \*+



=== TEST 7: a header line that is not one
--- raw_request eval
"GET /v1/p/waf/certificate HTTP/1.1\r\nHost: x\r\n"
. "X-Auth-Token: token-of-log-t-that-is-\0long-enough\r\n\r\n"
--- answers
400
error.log: \[info\].*client sent invalid header line: "X-Auth-Token: \*+



=== TEST 7b: nor is what follows it
--- raw_request eval
"GET /v1/p/waf/certificate HTTP/1.1\r\nHost: x\r\n"
. "token-of-log-t-that-is-\0long-enough\r\n\r\n"
--- answers
400
error.log: \[info\].*client sent invalid header line: "\*+



=== TEST 8: error_log of server and location
--- config
    error_log logs/error.log info;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
        error_log logs/error.log debug;
    }

--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

GET /v1/p/waf/certificate
X-Auth-Token: <token 9000>

POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

--- answers
200 {"total": 0}
400
200 {"name": "a"}
error.log: \[notice\].*wafcert create



=== TEST 9: HTTP/2
--- http2
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-log-t-that-is-long-enough
Content-Type: application/json

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

GET /v1/p/waf/certificate
X-Auth-Token: <token 7000>

--- answers
200 {"name": "a"}
error.log: \[notice\].*wafcert create: .*token "auditor"
200 {"total": 1}



=== TEST 10: HTTP/2, a header line that is too long
--- http2
--- curl_error: HTTP
--- requests
GET /v1/p/waf/certificate
X-Auth-Token: <token 40000>

--- answers
none
error.log: \[info\].*client
