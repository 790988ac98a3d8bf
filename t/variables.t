# the variables, in an access log, in "map" and in headers

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

$Wafcert::default{http_config} = <<'END';
    wafcert_zone zone=certs:1m;

    log_format waf "$request_method [$wafcert_project] [$wafcert_id]"
                   " [$wafcert_name] [$wafcert_error_code] [$wafcert_reason]"
                   " [$wafcert_fingerprint]";

    map $wafcert_reason $verdict {
        ""       accepted;
        default  refused:$wafcert_reason;
    }
END

$Wafcert::default{config} = <<'END';
    access_log logs/access.log waf;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
        wafcert_max_body_size 8k;

        add_header X-Verdict $verdict always;
    }

    location /other {
        return 204;
    }
END

$Wafcert::default{user_files} = <<'END';
>>> tokens
<sha256 token-of-variables-t-0> p write
END

run_tests();

__DATA__

=== TEST 1: create, show, modify, list, delete
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-variables-t-0

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

GET /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-variables-t-0

PUT /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-variables-t-0

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate
X-Auth-Token: token-of-variables-t-0

DELETE /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-variables-t-0

--- answers
200 {"id": "{id}", "fingerprint": "{rsa}"}
X-Verdict: accepted
access.log: POST \[p\] \[{id}\] \[a\] \[-\] \[-\] \[{rsa}\]
200 {"id": "{id}"}
X-Verdict: accepted
access.log: GET \[p\] \[{id}\] \[a\] \[-\] \[-\] \[{rsa}\]
200 {"id": "{id}", "fingerprint": "{ec}"}
access.log: PUT \[p\] \[{id}\] \[b\] \[-\] \[-\] \[{ec}\]
200 {"total": 1}
access.log: GET \[p\] \[-\] \[-\] \[-\] \[-\] \[-\]
200 {"id": "{id}"}
X-Verdict: accepted
access.log: DELETE \[p\] \[{id}\] \[b\] \[-\] \[-\] \[{ec}\]



=== TEST 2: refusals, by what is known by then
--- requests
GET /v1/p!/waf/certificate

GET /v1/p/waf/certificate/x

GET /v1/p/waf/certificate

POST /v1/q/waf/certificate
X-Auth-Token: token-of-variables-t-0

{}

GET /v1/p/waf/certificate/0123456789abcdef0123456789abcdef
X-Auth-Token: token-of-variables-t-0

POST /v1/p/waf/certificate
X-Auth-Token: token-of-variables-t-0

{"name": "secret name", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-of-variables-t-0

{"name": "named", "content": <rsa.chain>, "key": <other.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-of-variables-t-0

<x 9000>

GET /v1/nothing

--- answers
400 WAF.00011002 url.param.illegal project_illegal
X-Verdict: refused:project_illegal
access.log: GET \[-\] \[-\] \[-\] \[WAF.00011002\] \[project_illegal\] \[-\]
400 WAF.00011004 id.illegal id_illegal
access.log: GET \[p\] \[-\] \[-\] \[WAF.00011004\] \[id_illegal\] \[-\]
401 WAF.00012001 invalid.token token_missing
X-Verdict: refused:token_missing
access.log: GET \[p\] \[-\] \[-\] \[WAF.00012001\] \[token_missing\] \[-\]
401 WAF.00012002 invalid.project token_project
access.log: POST \[q\] \[-\] \[-\] \[WAF.00012002\] \[token_project\] \[-\]
404 WAF.00022001 resource.not.found not_found
access.log: GET \[p\] \[0123456789abcdef0123456789abcdef\] \[-\] \[WAF.00022001\] \[not_found\] \[-\]
400 WAF.00011005 name.illegal name_character
access.log: POST \[p\] \[-\] \[-\] \[WAF.00011005\] \[name_character\] \[-\]
400 WAF.00021013 cert.illegal key_mismatch
access.log: POST \[p\] \[-\] \[named\] \[WAF.00021013\] \[key_mismatch\] \[-\]
413 WAF.00011003 request.body.illegal body_too_large
access.log: POST \[p\] \[-\] \[-\] \[WAF.00011003\] \[body_too_large\] \[-\]
404 WAF.00014009 api.not.found api_not_found
access.log: GET \[-\] \[-\] \[-\] \[WAF.00014009\] \[api_not_found\] \[-\]



=== TEST 3: where the module is not
--- requests
GET /other
--- answers
204
access.log: GET \[-\] \[-\] \[-\] \[-\] \[-\] \[-\]
