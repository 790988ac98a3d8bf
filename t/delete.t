# DELETE /v1/{project_id}/waf/certificate/{certificate_id}

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: what was deleted is answered, and gone
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/p/waf/certificate/{id}

GET /v1/p/waf/certificate/{id}

GET /v1/p/waf/certificate

DELETE /v1/p/waf/certificate/{id}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"id": "{id}", "timestamp": "{t}", "expire_time": "{e}"}
200 {"id": "{id}", "name": "a", "timestamp": "{t}", "expire_time": "{e}",
     "cert_type": "EC-P-256", "content": null, "key": null,
     "revision": null, "fingerprint": null, "chain": null}
! ETag
404 WAF.00022001 resource.not.found not_found
200 {"total": 0, "items": []}
404 WAF.00022001 resource.not.found not_found
200 {"id": "{another}", "revision": 1}



=== TEST 2: members and their order
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/p/waf/certificate/{id}?
Content-Type: application/json;charset=utf8

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
--- response_body_like eval
[
    "",
    qr/\A\{"id":"[0-9a-f]{32}","name":"a","timestamp":\d{13},
       "expire_time":\d{13},"cert_type":"EC-P-256","expireTime":\d{13}
       \}\s*\z/x
]



=== TEST 3: with a body, and a Content-Type that does not matter
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/p/waf/certificate/{id}
Content-Type: text/plain

not JSON

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}



=== TEST 4: not there, of another project, illegal; the others stay
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/q/waf/certificate/{p}

DELETE /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

DELETE /v1/p/waf/certificate/a

DELETE /v1/p/waf/certificate/{p}

GET /v1/q/waf/certificate/{q}

--- answers
200 {"id": "{p}"}
200 {"id": "{q}"}
404 WAF.00022001 resource.not.found not_found
404 WAF.00022001 resource.not.found not_found
400 WAF.00011004 id.illegal id_illegal
200 {"id": "{p}"}
200 {"content": <ec.chain>}



=== TEST 5: an issuer that two share outlives either
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/p/waf/certificate/{a}

GET /v1/p/waf/certificate/{b}

DELETE /v1/p/waf/certificate/{b}

POST /v1/p/waf/certificate

{"name": "c", "content": <ed.chain>, "key": <ed.key>}

GET /v1/p/waf/certificate/{c}

--- answers
200 {"id": "{a}"}
200 {"id": "{b}"}
200 {"id": "{a}"}
200 {"content": <ec.chain>}
200 {"id": "{b}"}
200 {"id": "{c}"}
200 {"content": <ed.chain>}



=== TEST 6: a delete makes room under the quota
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_quota 1;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/p/waf/certificate/{a}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"id": "{a}"}
403 WAF.00022005 insufficient.quota quota: 1 | quota
200 {"name": "b"}
200 {"id": "{a}"}
200 {"name": "b"}
