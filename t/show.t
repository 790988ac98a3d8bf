# GET /v1/{project_id}/waf/certificate/{certificate_id}

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: what was created is shown, without the key
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

GET /v1/p/waf/certificate/{id}

--- answers
200 {"id": "{id}", "timestamp": "{t}", "expire_time": "{e}",
     "fingerprint": "{f}", "serial_number": "{s}", "not_before": "{nb}"}
200 {"id": "{id}", "name": "a", "content": <rsa.chain>, "key": null,
     "timestamp": "{t}", "expire_time": "{e}", "expireTime": "{e}",
     "cert_type": "RSA-2048", "exp_status": 0, "bind_host": [],
     "revision": 1, "fingerprint": "{f}", "serial_number": "{s}",
     "subject": "CN=rsa.example.com,O=Wafcert",
     "issuer": "CN=Intermediate,O=Wafcert", "not_before": "{nb}",
     "hosts": ["rsa.example.com", "*.rsa.example.com", "192.0.2.1",
               "2001:db8::1"],
     "chain": [ {"subject": "CN=rsa.example.com,O=Wafcert",
                 "issuer": "CN=Intermediate,O=Wafcert", "expire_time": "{e}"},
                {"subject": "CN=Intermediate,O=Wafcert",
                 "issuer": "CN=Root,O=Wafcert",
                 "expire_time": "~^[0-9]{13}$"} ],
     "warnings": [ {"reason": "root_dropped", "message": "~."} ]}
ETag: "1"



=== TEST 2: members and their order
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}

--- response_body_like eval
[
    qr/^/,
    qr/\A\{"id":"[0-9a-f]{32}","name":"a","content":"[^"]*",
       "timestamp":\d{13},"expire_time":\d{13},"cert_type":"EC-P-256",
       "expireTime":\d{13},"exp_status":0,"bind_host":\[\],"revision":1,
       "fingerprint":"[0-9a-f]{64}","serial_number":"[0-9a-f]+",
       "subject":"[^"]+","issuer":"[^"]+","not_before":\d{13},
       "hosts":\["ec.example.com"[^]]*\],
       "chain":\[\{"subject":"[^"]+","issuer":"[^"]+","expire_time":\d{13}\},
       \{"subject":"[^"]+","issuer":"[^"]+","expire_time":\d{13}\}\]
       \}\s*\z/x
]



=== TEST 3: the fingerprint and the serial number are openssl's
--- requests eval
"POST /v1/p/waf/certificate\n\n" . Wafcert::upload('a', 'rsa.crt', 'rsa.key')
--- answers eval
my ($sha256, $serial) =
    map { lc s/.*=|:|\n//gr }
        `openssl x509 -in build/fixtures/rsa.crt -noout -fingerprint -sha256`,
        `openssl x509 -in build/fixtures/rsa.crt -noout -serial`;
qq(200 {"fingerprint": "$sha256", "serial_number": "$serial"}\n)



=== TEST 4: exp_status: valid, expired, expires within 30 days
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{a}

POST /v1/p/waf/certificate

{"name": "b", "content": <response.crt>, "key": <response.key>}

GET /v1/p/waf/certificate/{b}

POST /v1/p/waf/certificate

{"name": "c", "content": <soon.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{c}

--- answers
200 {"id": "{a}", "exp_status": null}
200 {"id": "{a}", "exp_status": 0}
200 {"id": "{b}"}
200 {"id": "{b}", "exp_status": 1}
200 {"id": "{c}"}
200 {"id": "{c}", "exp_status": 2}



=== TEST 5: not there, of another project, not an id
--- requests
POST /v1/p/waf/certificate

{"name": "demo", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

GET /v1/q/waf/certificate/{id}

GET /v1/p/waf/certificate/demo

GET /v1/p/waf/certificate/0123456789ABCDEF0123456789ABCDEF

GET /v1/p/waf/certificate/{id}0

--- answers
200 {"id": "{id}"}
404 WAF.00022001 resource.not.found not_found: no certificate | GET
404 WAF.00022001 resource.not.found not_found: no certificate
400 WAF.00011004 id.illegal id_illegal: 32 hex digits | GET
400 WAF.00011004 id.illegal id_illegal: lower case
400 WAF.00011004 id.illegal id_illegal: 32



=== TEST 6: members and their order of an error
--- requests
GET /v1/p/waf/certificate/0123456789abcdef0123456789abcdef
--- answers
404 WAF.00022001 resource.not.found not_found
! ETag
--- response_body_like chomp
\A\{"error_code":"WAF.00022001","error_msg":"resource.not.found: [^"]+","reason":"not_found","hint":"[^"]+"\}\s*\z



=== TEST 7: HEAD
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

HEAD /v1/p/waf/certificate/{id}

HEAD /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

--- answers
200 {"id": "{id}"}
200
ETag: "1"
Content-Type: application/json
404
Content-Type: application/json
! ETag
--- raw_response_headers_like eval
["", qr/^Content-Length: \d{4}\r$/m, qr/^Content-Length: \d{3}\r$/m]



=== TEST 8: wafcert_return_key never
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key never;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}

PUT /v1/p/waf/certificate/{id}

{"name": "b"}

--- answers
200 {"id": "{id}", "content": <ec.chain>, "key": null}
200 {"id": "{id}", "content": <ec.chain>, "key": null}
200 {"id": "{id}", "key": null}



=== TEST 9: wafcert_return_key always
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key always;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.both>}

GET /v1/p/waf/certificate/{id}

PUT /v1/p/waf/certificate/{id}

{"name": "b"}

DELETE /v1/p/waf/certificate/{id}

--- answers
200 {"id": "{id}", "key": <ec.sec1>}
200 {"id": "{id}", "key": <ec.sec1>}
200 {"id": "{id}", "key": null}
200 {"id": "{id}", "key": null}
--- response_body_like eval
["", qr/"content":"[^"]+","key":"[^"]+","timestamp":/, "", ""]



=== TEST 10: one zone in two locations, and two zones
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_zone zone=more:1m;

--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location /ro/ {
        wafcert_api zone=certs write=off;
        wafcert_auth off;
    }

    location /more/ {
        wafcert_api zone=more;
        wafcert_auth off;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /ro/v1/p/waf/certificate/{id}

GET /more/v1/p/waf/certificate/{id}

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
404 WAF.00022001 resource.not.found not_found
