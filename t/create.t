# POST /v1/{project_id}/waf/certificate

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: the reference's example request, with blanks inside its base64
--- requests
POST /v1/p/waf/certificate?
Content-Type: application/json;charset=utf8

{
"name" : "demo",
"content" : <request.sent>,
"key" : <request.key>
}

--- answers
200 {"id": "~^[0-9a-f]{32}$", "name": "demo", "content": <request.crt>,
     "key": <request.pkcs8>, "timestamp": "~now",
     "expire_time": 1709643866000, "expireTime": 1709643866000,
     "cert_type": "RSA-1024", "revision": 1,
     "fingerprint": "~^[0-9a-f]{64}$", "serial_number": "dc51a786295a3eba",
     "not_before": 1678107866000,
     "subject": "O=Default Company Ltd,L=Default City,C=XX",
     "issuer": "O=Default Company Ltd,L=Default City,C=XX",
     "chain": [ {"subject": "O=Default Company Ltd,L=Default City,C=XX",
                 "issuer": "O=Default Company Ltd,L=Default City,C=XX",
                 "expire_time": 1709643866000} ],
     "hosts": [], "exp_status": null, "bind_host": null}
ETag: "1"



=== TEST 2: the file of the example, byte for byte
--- request eval
"POST /v1/p/waf/certificate\n" . Wafcert::file('t/data/create-request.json')
--- answers
200 {"name": "demo", "content": <request.crt>, "key": <request.pkcs8>}



=== TEST 3: the example answer's pair: base64 on one line, RSA-512, PKCS#1
--- request eval
"POST /v1/p/waf/certificate\n" . Wafcert::file('t/data/create-response.json')
--- answers
200 {"name": "certificatename94319", "content": <response.crt>,
     "key": <response.pkcs8>, "timestamp": "~now",
     "expire_time": 1596865564000, "cert_type": "RSA-512",
     "hosts": ["waf.huaweicloud.com"]}



=== TEST 4: members and their order, times as integers
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.key>}

--- answers
200 {"name": "a"}

--- response_body_like chomp
\A\{"id":"[0-9a-f]{32}","name":"a","content":"-----BEGIN CERT[^"]*","key":"-----BEGIN PRIV[^"]*","timestamp":\d{13},"expire_time":\d{13},"cert_type":"RSA-2048","expireTime":\d{13},"revision":1,"fingerprint":"[0-9a-f]{64}","serial_number":"[0-9a-f]+","subject":"[^"]+","issuer":"[^"]+","not_before":\d{13},"hosts":\[("[^"]+",?)+\],"chain":\[\{"subject":"[^"]+","issuer":"[^"]+","expire_time":\d{13}\}\],"warnings":\[\{"reason":"chain_incomplete","message":"[^"]+"\}\]\}\s*\z



=== TEST 5: RSA in PKCS#8 and PKCS#1, each answered as it came
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.chain>, "key": <rsa.pkcs1>}

--- answers
200 {"content": <rsa.chain>, "key": <rsa.key>, "cert_type": "RSA-2048",
     "hosts": ["rsa.example.com", "*.rsa.example.com", "192.0.2.1",
               "2001:db8::1"],
     "subject": "CN=rsa.example.com,O=Wafcert",
     "issuer": "CN=Intermediate,O=Wafcert",
     "chain": [ {"subject": "CN=rsa.example.com,O=Wafcert",
                 "issuer": "CN=Intermediate,O=Wafcert",
                 "expire_time": "~^[0-9]{13}$"},
                {"subject": "CN=Intermediate,O=Wafcert",
                 "issuer": "CN=Root,O=Wafcert",
                 "expire_time": "~^[0-9]{13}$"} ],
     "warnings": null}
200 {"content": <rsa.chain>, "key": <rsa.pkcs1>}



=== TEST 6: EC in PKCS#8 and SEC 1, with and without EC PARAMETERS; Ed25519
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.sec1>}

POST /v1/p/waf/certificate

{"name": "c", "content": <ec.chain>, "key": <ec.both>}

POST /v1/p/waf/certificate

{"name": "d", "content": <ed.chain>, "key": <ed.key>}

--- answers
200 {"content": <ec.chain>, "key": <ec.key>, "cert_type": "EC-P-256"}
200 {"content": <ec.chain>, "key": <ec.sec1>, "cert_type": "EC-P-256"}
200 {"content": <ec.chain>, "key": <ec.sec1>, "cert_type": "EC-P-256"}
200 {"content": <ed.chain>, "key": <ed.key>, "cert_type": "ED25519"}



=== TEST 7: spellings of one PEM file, all the same certificate
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain|crlf>, "key": <rsa.key|crlf>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.chain|cr>, "key": <rsa.key|cr>}

POST /v1/p/waf/certificate

{"name": "c", "content": <rsa.chain|blanks>, "key": <rsa.key|blanks>}

POST /v1/p/waf/certificate

{"name": "d", "content": <rsa.chain|oneline>, "key": <rsa.key|oneline>}

POST /v1/p/waf/certificate

{"name": "e", "content": <rsa.chain|spaces>, "key": <rsa.key|joined>}

POST /v1/p/waf/certificate

{"name": "f", "content": <rsa.chain|escaped>, "key": <rsa.key|escaped>}

POST /v1/p/waf/certificate

{"name": "g", "content": <rsa.chain|bom>, "key": <rsa.key|crlf|bom>}

POST /v1/p/waf/certificate

{"name": "h", "content": <rsa.chain|text>, "key": <rsa.key|text>}

POST /v1/p/waf/certificate

{"name": "i", "content": <rsa.chain|nonl>, "key": <rsa.key|nonl>}

--- answers
200 {"content": <rsa.chain>, "key": <rsa.key>, "warnings": null}
200 {"content": <rsa.chain>, "key": <rsa.key>}
200 {"content": <rsa.chain>, "key": <rsa.key>,
     "warnings": [ {"reason": "newlines_repaired", "message": "~."} ]}
200 {"content": <rsa.chain>, "key": <rsa.key>}
200 {"content": <rsa.chain>, "key": <rsa.key>}
200 {"content": <rsa.chain>, "key": <rsa.key>}
200 {"content": <rsa.chain>, "key": <rsa.key>, "warnings": null}
200 {"content": <rsa.chain>, "key": <rsa.key>, "warnings": null}
200 {"content": <rsa.chain>, "key": <rsa.key>, "warnings": null}



=== TEST 8: a chain is put in order, and the root and duplicates are dropped
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.wrong>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <rsa.chain|twice>, "key": <rsa.key>}

--- answers
200 {"content": <rsa.chain>,
     "warnings": [ {"reason": "root_dropped", "message": "~."} ]}
200 {"content": <rsa.chain>,
     "warnings": [ {"reason": "chain_repaired", "message": "~."} ]}
200 {"content": <rsa.chain>,
     "warnings": [ {"reason": "duplicate_dropped", "message": "~."} ]}



=== TEST 9: what is accepted with a warning
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <response.crt>, "key": <response.pkcs8>}

POST /v1/p/waf/certificate

{"name": "b", "content": <future.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <nohosts.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "d", "content": <ec.crt>, "key": <ec.key>}

--- answers
200 {"warnings": [ {"reason": "expired", "message": "~."},
                   {"reason": "weak_key", "message": "~."},
                   {"reason": "no_san", "message": "~."} ]}
200 {"warnings": [ {"reason": "not_yet_valid", "message": "~."},
                   {"reason": "no_san", "message": "~."} ],
     "not_before": 2208988800000, "expire_time": 2240611200000}
200 {"hosts": [], "warnings": [ {"reason": "no_hosts", "message": "~."},
                                {"reason": "no_san", "message": "~."} ]}
200 {"warnings": [ {"reason": "chain_incomplete",
                    "message": "~CN=Intermediate,O=Wafcert"} ]}



=== TEST 10: unknown members and parameters are accepted, null is absent
--- requests
POST /v1/p/waf/certificate?enterprise_project_id=0&x

{"name": "a", "content": <ec.chain>, "key": <ec.key>, "tags": [{"k": null}],
 "enterprise_project_id": "0", "description": 1.5e300}

POST /v1/p/waf/certificate/

{"name": null, "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"name": "a"}
400 WAF.00011003 request.body.illegal field_missing: the body lacks "name"



=== TEST 11: Content-Type
--- requests
POST /v1/p/waf/certificate
Content-Type: application/json

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
Content-Type: application/json; charset=UTF-8

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
Content-Type: Application/JSON

{"name": "c", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
Content-Type: text/plain

{"name": "d", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
Content-Type: application/x-www-form-urlencoded

{"name": "d", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
Content-Type: application/jsonp

{"name": "d", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"name": "a"}
200 {"name": "b"}
200 {"name": "c"}
400 WAF.00011014 request.header.illegal content_type: Content-Type | json
400 WAF.00011014 request.header.illegal content_type: Content-Type
400 WAF.00011014 request.header.illegal content_type: Content-Type



=== TEST 12: members that are missing, or not what they should be
--- requests
POST /v1/p/waf/certificate

{}

POST /v1/p/waf/certificate

{"name": "a", "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": 1, "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": [<ec.chain>], "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": {}}

POST /v1/p/waf/certificate

{"name": "a", "content": "", "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a\u0000b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": "\u0000"}

--- answers
400 WAF.00011003 request.body.illegal field_missing: "name", "content", "key"
400 WAF.00011003 request.body.illegal field_missing: the body lacks "content"
400 WAF.00011003 request.body.illegal field_type: "name" is a number
400 WAF.00011003 request.body.illegal field_type: "content" is an array
400 WAF.00011003 request.body.illegal field_type: "key" is an object
400 WAF.00011003 request.body.illegal field_empty: "content" is an empty
400 WAF.00011003 request.body.illegal field_nul: "name" contains a NUL
400 WAF.00011003 request.body.illegal field_nul: "key" contains a NUL



=== TEST 13: names
--- requests
POST /v1/p/waf/certificate

{"name": "<a 256>", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "Az09_.-", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "<a 257>", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "abc\u00e4", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "../etc", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"name": "<a 256>"}
200 {"name": "Az09_.-"}
400 WAF.00011005 name.illegal name_too_long: 257 | 256
400 WAF.00011005 name.illegal name_character: character 2
400 WAF.00011005 name.illegal name_character: character 4 of "name" is U+00E4
400 WAF.00011005 name.illegal name_character: character 3 of "name" is '/'



=== TEST 14: a name is unique in its project, and free in another one
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/q/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "A", "content": <rsa.chain>, "key": <rsa.key>}

GET /v1/p/waf/certificate

--- answers
200 {"id": "{a}"}
400 WAF.00011016 name.duplicate name_duplicate: "a" | {a}
200 {"name": "a"}
200 {"name": "A"}
200 {"total": 2, "items": [ {"name": "A"}, {"name": "a", "id": "{a}"} ]}



=== TEST 15: something else in content
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": "hello", "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt|bare>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.p12>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.p7>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.csr>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.key>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.key>, "key": <rsa.crt>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt|noend>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt|dirty>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt|cut>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.many>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.blocks>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ed448.crt>, "key": <ed448.key>}

--- answers
400 WAF.00021013 cert.illegal content_no_pem: content
400 WAF.00021013 cert.illegal content_is_der: content | BEGIN CERTIFICATE
400 WAF.00021013 cert.illegal content_is_pkcs12: content | openssl pkcs12
400 WAF.00021013 cert.illegal content_is_pkcs7: block 1 | openssl pkcs7
400 WAF.00021013 cert.illegal content_is_csr: block 1 of content | CA
400 WAF.00021013 cert.illegal content_is_key: block 1 of content | key
400 WAF.00021013 cert.illegal content_is_key: exchanged
400 WAF.00021013 cert.illegal content_pem_unterminated: block 1 | END
400 WAF.00021013 cert.illegal content_pem_base64: block 1
400 WAF.00021013 cert.illegal content_der: block 1
400 WAF.00021013 cert.illegal content_too_many: 11 certificates
400 WAF.00021013 cert.illegal content_too_many: content
400 WAF.00021013 cert.illegal cert_key_type: block 1 | openssl genpkey



=== TEST 16: something else in key
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": "hello"}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.key|bare>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.crt>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.pub>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.p12>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.enc>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.old>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.key|noend>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.key|dirty>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.key|cut>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.several>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <ed448.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <ec.params>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.explicit>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <large.pkcs1>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.mixed>}

--- answers
400 WAF.00021013 cert.illegal key_no_pem: key
400 WAF.00021013 cert.illegal key_is_der: key | BEGIN PRIVATE KEY
400 WAF.00021013 cert.illegal key_is_certificate: block 1
400 WAF.00021013 cert.illegal key_is_public: block 1
400 WAF.00021013 cert.illegal key_is_pkcs12: key | openssl pkcs12
400 WAF.00021013 cert.illegal key_encrypted: block 1 | openssl pkey -in
400 WAF.00021013 cert.illegal key_encrypted: block 1 | openssl pkey -in
400 WAF.00021013 cert.illegal key_pem_unterminated: block 1
400 WAF.00021013 cert.illegal key_pem_base64: block 1
400 WAF.00021013 cert.illegal key_der: block 1
400 WAF.00021013 cert.illegal key_several: key
400 WAF.00021013 cert.illegal key_type: block 1
400 WAF.00021013 cert.illegal key_no_pem: EC
400 WAF.00021013 cert.illegal key_explicit_curve: block 1 | named_curve
400 WAF.00021013 cert.illegal key_too_large: 8208 bits
400 WAF.00021013 cert.illegal key_inconsistent: block 1



=== TEST 17: a key that is not the certificate's
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <other.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <ec.key>}

--- answers
400 WAF.00021013 cert.illegal key_mismatch: not of one pair | -pubkey
400 WAF.00021013 cert.illegal key_mismatch: EC-P-256



=== TEST 18: the order in which a request is judged
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
        wafcert_quota 1;
        wafcert_expired reject;
        wafcert_max_body_size 8k;
    }

--- user_files
>>> tokens
<sha256 order-of-judgement-token> p write me

--- requests
POST /v1/p!/waf/certificate/x

<x 9000>

PATCH /v1/p/waf/certificate/x

<x 9000>

PATCH /v1/p/waf/certificate

<x 9000>

POST /v1/p/waf/certificate
Content-Type: text/plain

<x 9000>

POST /v1/p/waf/certificate?dry_run=x
X-Auth-Token: order-of-judgement-token
Content-Type: text/plain

<x 9000>

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

<x 9000>

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a b"

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a b"}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a b", "content": "x", "key": "x"}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a", "content": "x", "key": "x"}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a", "content": <response.crt>, "key": "x"}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a", "content": <response.crt>, "key": <ec.key>}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a", "content": <response.crt>, "key": <response.key>}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate
X-Auth-Token: order-of-judgement-token

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

--- answers
400 WAF.00011002 url.param.illegal project_illegal
400 WAF.00011004 id.illegal id_illegal
405 WAF.00014009 api.not.found method_not_allowed
401 WAF.00012001 invalid.token token_missing
400 WAF.00011014 request.header.illegal content_type
413 WAF.00011003 request.body.illegal body_too_large
400 WAF.00011003 request.body.illegal json_syntax
400 WAF.00011003 request.body.illegal field_missing
400 WAF.00011005 name.illegal name_character
400 WAF.00021013 cert.illegal content_no_pem
400 WAF.00021013 cert.illegal key_no_pem
400 WAF.00021013 cert.illegal key_mismatch
200 {"name": "a"}
400 WAF.00021013 cert.illegal cert_expired: 2020
400 WAF.00011016 name.duplicate name_duplicate
403 WAF.00022005 insufficient.quota quota: project



=== TEST 19: a zone that is full, and room again after a delete
--- http_config
    wafcert_zone zone=certs:64k;

--- requests eval
# what is refused at last, a modify has no room for either: it is of that size
CORE::join '', map({ "POST /v1/p/waf/certificate\n\n"
                     . Wafcert::upload($$_[0], $$_[1], 'rsa.key') . "\n\n"
                   } [ 'a11', 'rsa.chain' ],
                     map { [ "a$_", 'renewed.chain' ] } 12 .. 50),
               "PUT /v1/p/waf/certificate/{a}\n\n"
               . Wafcert::upload('a11', 'renewed.chain', 'rsa.key') . "\n\n",
               "GET /v1/p/waf/certificate/{a}\n\n",
               "DELETE /v1/p/waf/certificate/{a}\n\n",
               "POST /v1/p/waf/certificate\n\n"
               . Wafcert::upload('b', 'rsa.chain', 'rsa.key') . "\n\n",
               "GET /v1/p/waf/certificate?name=b\n"
--- answers eval
qq(200 {"id": "{a}", "name": "a11"}\n)
. "200|403\n" x 38
. "403 WAF.00022005 insufficient.quota zone_full: full | wafcert_zone\n"
. "403 WAF.00022005 insufficient.quota zone_full: full\n"
. qq(200 {"name": "a11", "content": <rsa.chain>, "revision": 1}\n)
. qq(200 {"name": "a11"}\n)
. qq(200 {"name": "b"}\n)
. qq(200 {"total": 1}\n)
