# PUT /v1/{project_id}/waf/certificate/{certificate_id}

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: a new name
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"name": "b"}

GET /v1/p/waf/certificate/{id}

GET /v1/p/waf/certificate?name=a

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"id": "{id}", "timestamp": "{t}", "fingerprint": "{f}"}
ETag: "1"
200 {"id": "{id}", "name": "b", "timestamp": "{t}", "revision": 2,
     "fingerprint": "{f}", "content": null, "key": null}
ETag: "2"
200 {"id": "{id}", "name": "b", "content": <rsa.chain>, "timestamp": "{t}",
     "revision": 2, "fingerprint": "{f}"}
ETag: "2"
200 {"total": 0}
200 {"name": "a"}



=== TEST 2: members and their order
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}
Content-Type: application/json;charset=utf8

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
--- response_body_like eval
[
    "",
    qr/\A\{"id":"[0-9a-f]{32}","name":"b","timestamp":\d{13},
       "expire_time":\d{13},"cert_type":"RSA-2048","expireTime":\d{13},
       "revision":2,"fingerprint":"[0-9a-f]{64}","serial_number":"[0-9a-f]+",
       "subject":"[^"]+","issuer":"[^"]+","not_before":\d{13},
       "hosts":\[[^]]+\],"chain":\[\{[^{}]+\},\{[^{}]+\}\]\}\s*\z/x
]



=== TEST 3: everything at once, and what it was is gone
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key always;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"name": "b", "content": <ec.chain>, "key": <ec.both>}

GET /v1/p/waf/certificate/{id}

GET /v1/p/waf/certificate

--- answers
200 {"id": "{id}", "timestamp": "{t}"}
200 {"id": "{id}", "revision": 2, "cert_type": "EC-P-256", "timestamp": "{t}"}
200 {"id": "{id}", "name": "b", "content": <ec.chain>, "key": <ec.sec1>,
     "timestamp": "{t}", "revision": 2}
200 {"total": 1, "items": [ {"id": "{id}", "name": "b",
                             "cert_type": "EC-P-256"} ]}



=== TEST 4: content alone: renewed under the same key
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key always;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.pkcs1>}

PUT /v1/p/waf/certificate/{id}

{"content": <renewed.chain>}

GET /v1/p/waf/certificate/{id}

PUT /v1/p/waf/certificate/{id}

{"content": <ec.chain>}

GET /v1/p/waf/certificate/{id}

--- answers
200 {"id": "{id}"}
200 {"id": "{id}", "name": "a", "revision": 2,
     "subject": "CN=renewed.example.com,O=Wafcert"}
200 {"content": <renewed.chain>, "key": <rsa.pkcs1>}
400 WAF.00021013 cert.illegal key_mismatch: RSA-2048
200 {"content": <renewed.chain>, "key": <rsa.pkcs1>, "revision": 2}



=== TEST 5: key alone: must be the certificate's
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"key": <other.key>}

PUT /v1/p/waf/certificate/{id}

{"key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"key": "nonsense"}

--- answers
200 {"id": "{id}"}
400 WAF.00021013 cert.illegal key_mismatch: not of one pair
200 {"id": "{id}", "revision": 1}
400 WAF.00021013 cert.illegal key_no_pem



=== TEST 6: what changes nothing makes no revision
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"name": "a"}

PUT /v1/p/waf/certificate/{id}

{"name": "a", "content": <rsa.full|oneline>, "key": <rsa.key|crlf>}

PUT /v1/p/waf/certificate/{id}

{"name": "a", "content": <rsa.crt>}

--- answers
200 {"id": "{id}", "revision": 1}
200 {"id": "{id}", "revision": 1}
ETag: "1"
! error.log: \[notice\].*wafcert modify
200 {"id": "{id}", "revision": 1}
200 {"id": "{id}", "revision": 2, "chain": [ {"subject": "~rsa"} ]}



=== TEST 7: nothing to modify
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}

{}

PUT /v1/p/waf/certificate/{id}

{"name": null, "content": null, "key": null, "unknown": 1}

PUT /v1/p/waf/certificate/{id}

PUT /v1/p/waf/certificate/{id}

{"name": ""}

PUT /v1/p/waf/certificate/{id}

{"name": "b", "content": null, "key": null}

--- answers
200 {"id": "{id}"}
400 WAF.00011003 request.body.illegal field_missing: nothing to modify
400 WAF.00011003 request.body.illegal field_missing: nothing to modify
400 WAF.00011003 request.body.illegal body_empty
400 WAF.00011003 request.body.illegal field_empty: "name"
200 {"name": "b"}



=== TEST 8: a name that another one has
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{b}

{"name": "a"}

DELETE /v1/p/waf/certificate/{a}

PUT /v1/p/waf/certificate/{b}

{"name": "a"}

--- answers
200 {"id": "{a}"}
200 {"id": "{b}"}
400 WAF.00011016 name.duplicate name_duplicate: "a" | {a}
200 {"id": "{a}"}
200 {"id": "{b}", "name": "a", "revision": 2}



=== TEST 9: not there, of another project, illegal
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/q/waf/certificate/{id}

{"name": "b"}

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{"name": "b"}

PUT /v1/p/waf/certificate/a

{"name": "b"}

PUT /v1/p/waf/certificate/{id}
Content-Type: text/plain

{"name": "b"}

PUT /v1/p/waf/certificate/{id}

{"name": "b/c"}

GET /v1/p/waf/certificate/{id}

--- answers
200 {"id": "{id}"}
404 WAF.00022001 resource.not.found not_found
404 WAF.00022001 resource.not.found not_found
400 WAF.00011004 id.illegal id_illegal
400 WAF.00011014 request.header.illegal content_type
400 WAF.00011005 name.illegal name_character: character 2 of "name" is '/'
200 {"name": "a", "revision": 1}



=== TEST 10: it keeps its place in the list, and the quota counts it once
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_quota 2;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{a}

{"name": "c", "content": <rsa.chain>, "key": <rsa.key>}

GET /v1/p/waf/certificate

POST /v1/p/waf/certificate

{"name": "d", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"id": "{a}"}
200 {"id": "{b}"}
200 {"id": "{a}", "name": "c"}
200 {"total": 2, "items": [ {"name": "b"}, {"name": "c"} ]}
403 WAF.00022005 insufficient.quota quota: 2
