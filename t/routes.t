# where the calls are found, and what is none

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: wherever the location puts it: a gateway's is anywhere
--- skip_eval: 2: $ENV{WAFCERT_EDGE}
--- config
    location / {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location ~ ^/waf-(\w+)/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location /old/ {
        rewrite ^/old/(.*) /v1/$1 last;
    }

    location = /v1/exact/waf/certificate {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}

GET /api/gateway/v1/p/waf/certificate/{id}

GET /waf-eu/v1/p/waf/certificate/{id}

GET /old/p/waf/certificate/{id}

GET /v1/exact/waf/certificate

GET //v1//p/./waf/x/../certificate/{id}

GET /v1/p/waf/certific%61te/{id}

GET /v1/v1/waf/certificate

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"total": 0}
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"total": 0}


=== TEST 2: a trailing "?", a trailing "/", parameters that are not known
--- requests
POST /v1/p/waf/certificate/?

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate?

GET /v1/p/waf/certificate/

GET /v1/p/waf/certificate/?enterprise_project_id=all_granted_eps&x=&&=y

GET /v1/p/waf/certificate/{id}/

GET /v1/p/waf/certificate/{id}?

GET /v1/p/waf/certificate/{id}?page=x&host=x

--- answers
200 {"id": "{id}"}
200 {"total": 1}
200 {"total": 1}
200 {"total": 1}
200 {"id": "{id}"}
200 {"id": "{id}"}
200 {"id": "{id}"}



=== TEST 3: no call's path
--- config
    location / {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

--- requests
GET /

GET /v1

GET /v1/

GET /v1/p/waf

GET /v1/p/waf/certificates

GET /v1/p/waf/certificate/a/b

GET /v2/p/waf/certificate

GET /v1/p/certificate

GET /waf/certificate

GET /V1/p/waf/certificate

POST /p/waf/certificate

{}

--- answers
404 WAF.00014009 api.not.found api_not_found: path | /waf/certificate
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found
404 WAF.00014009 api.not.found api_not_found



=== TEST 4: project ids
--- requests
GET /v1/<a 64>/waf/certificate

GET /v1/Az0_-/waf/certificate

GET /v1/waf/waf/certificate

GET /v1/certificate/waf/certificate

GET /v1/<a 65>/waf/certificate

GET /v1/a.b/waf/certificate

GET /v1/a%20b/waf/certificate

GET /v1/%c3%a4/waf/certificate

GET /v1/{project_id}/waf/certificate

--- answers
200 {"total": 0}
200 {"total": 0}
200 {"total": 0}
200 {"total": 0}
400 WAF.00011002 url.param.illegal project_illegal: 64 | 64
400 WAF.00011002 url.param.illegal project_illegal
400 WAF.00011002 url.param.illegal project_illegal
400 WAF.00011002 url.param.illegal project_illegal
400 WAF.00011002 url.param.illegal project_illegal



=== TEST 5: an id that is "waf" or "certificate" is one that is illegal
--- requests
GET /v1/p/waf/certificate/certificate

GET /v1/p/waf/certificate/waf

GET /v1/p/waf/certificate/waf/certificate

--- answers
400 WAF.00011004 id.illegal id_illegal
400 WAF.00011004 id.illegal id_illegal
404 WAF.00014009 api.not.found api_not_found



=== TEST 6: methods
--- requests
PUT /v1/p/waf/certificate

{}

DELETE /v1/p/waf/certificate

PATCH /v1/p/waf/certificate

OPTIONS /v1/p/waf/certificate

POST /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{}

PATCH /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{}

PROPFIND /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

--- answers
405 WAF.00014009 api.not.found method_not_allowed: POST | Allow
Allow: GET, HEAD, POST
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD, POST
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD, POST
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD, POST
405 WAF.00014009 api.not.found method_not_allowed: PUT
Allow: GET, HEAD, PUT, DELETE
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD, PUT, DELETE
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD, PUT, DELETE



=== TEST 7: write=off
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location /ro/ {
        wafcert_api zone=certs write=off;
        wafcert_auth off;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /ro/v1/p/waf/certificate/{id}

POST /ro/v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

PUT /ro/v1/p/waf/certificate/{id}

{"name": "b"}

DELETE /ro/v1/p/waf/certificate/{id}

HEAD /ro/v1/p/waf/certificate/{id}

GET /ro/v1/p/waf/certificate

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
405 WAF.00014009 api.not.found method_not_allowed: GET, HEAD
Allow: GET, HEAD
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD
200
ETag: "1"
200 {"total": 1, "items": [ {"name": "a"} ]}



=== TEST 8: inside "if" and "limit_except"
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;

        if ($arg_x) {
            set $y 1;
        }

        limit_except GET {
            allow 127.0.0.1;
            deny all;
        }
    }

--- requests
POST /v1/p/waf/certificate?x=1

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}?x=1

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}



=== TEST 9: files below a gateway, and locations without any
--- skip_eval: 2: $ENV{WAFCERT_EDGE}
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;

        location /v1/docs/ {
            alias html/;
        }

        location /v1/p/ {
            client_max_body_size 1m;
        }
    }

--- user_files
>>> a.txt
a file

--- requests
GET /v1/docs/a.txt

GET /v1/p/waf/certificate

--- answers
200
200 {"total": 0, "items": []}
