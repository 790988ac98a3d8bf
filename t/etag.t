# revisions: ETag, If-Match, If-None-Match, repeated creates, dry_run

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: If-Match on PUT
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}
If-Match: "1"

{"name": "b"}

PUT /v1/p/waf/certificate/{id}
If-Match: "1"

{"name": "c"}

GET /v1/p/waf/certificate/{id}

PUT /v1/p/waf/certificate/{id}
If-Match: *

{"name": "d"}

PUT /v1/p/waf/certificate/{id}
If-Match: W/"3"

{"name": "e"}

PUT /v1/p/waf/certificate/{id}
If-Match: "x", "1" , W/"4"

{"name": "f"}

PUT /v1/p/waf/certificate/{id}
If-Match: 5

{"name": "g"}

PUT /v1/p/waf/certificate/{id}
If-Match: ""

{"name": "g"}

--- answers
200 {"id": "{id}"}
ETag: "1"
200 {"name": "b", "revision": 2}
ETag: "2"
412 WAF.00011001 bad.request revision_mismatch: revision 2 | ETag
200 {"name": "b", "revision": 2}
ETag: "2"
200 {"name": "d", "revision": 3}
200 {"name": "e", "revision": 4}
200 {"name": "f", "revision": 5}
ETag: "5"
412 WAF.00011001 bad.request revision_mismatch: revision 5
412 WAF.00011001 bad.request revision_mismatch: revision 5



=== TEST 2: If-Match on DELETE
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}

{"name": "b"}

DELETE /v1/p/waf/certificate/{id}
If-Match: "1"

GET /v1/p/waf/certificate/{id}

DELETE /v1/p/waf/certificate/{id}
If-Match: "2"

DELETE /v1/p/waf/certificate/{id}
If-Match: *

--- answers
200 {"id": "{id}"}
200 {"revision": 2}
412 WAF.00011001 bad.request revision_mismatch: revision 2
200 {"name": "b"}
200 {"id": "{id}"}
404 WAF.00022001 resource.not.found not_found



=== TEST 3: If-None-Match on GET and HEAD
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}
If-None-Match: "1"

GET /v1/p/waf/certificate/{id}
If-None-Match: "2"

HEAD /v1/p/waf/certificate/{id}
If-None-Match: W/"1"

PUT /v1/p/waf/certificate/{id}
If-None-Match: "2"

{"name": "b"}

GET /v1/p/waf/certificate/{id}
If-None-Match: "1"

GET /v1/p/waf/certificate/{id}
If-None-Match: "1", "2"

GET /v1/p/waf/certificate/{id}
If-None-Match: *

--- answers
200 {"id": "{id}"}
304
ETag: "1"
! Content-Length
200 {"id": "{id}"}
304
ETag: "1"
200 {"name": "b"}
200 {"name": "b"}
ETag: "2"
304
304



=== TEST 4: a create that is repeated gets the certificate that is there
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.full|oneline>, "key": <rsa.key|crlf>}

GET /v1/p/waf/certificate

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.crt>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <renewed.chain>, "key": <rsa.key>}

--- answers
200 {"id": "{id}", "timestamp": "{t}"}
error.log: \[notice\].*wafcert create
200 {"id": "{id}", "timestamp": "{t}", "content": <rsa.chain>,
     "key": <rsa.key>, "revision": 1}
ETag: "1"
! error.log: \[notice\].*wafcert create
200 {"id": "{id}", "timestamp": "{t}"}
200 {"total": 1}
400 WAF.00011016 name.duplicate name_duplicate: "a" | {id}
400 WAF.00011016 name.duplicate name_duplicate: "a" | {id}



=== TEST 5: a create repeated after a modify has another revision
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"content": <renewed.chain>}

POST /v1/p/waf/certificate

{"name": "a", "content": <renewed.chain>, "key": <rsa.key>}

--- answers
200 {"id": "{id}"}
200 {"id": "{id}", "revision": 2}
200 {"id": "{id}", "revision": 2}
ETag: "2"



=== TEST 6: a repeated create is not beyond the quota
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

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate?dry_run=true

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"id": "{id}"}
200 {"id": "{id}"}
403 WAF.00022005 insufficient.quota quota



=== TEST 7: dry_run on create
--- requests
POST /v1/p/waf/certificate?dry_run=true

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

GET /v1/p/waf/certificate

POST /v1/p/waf/certificate?dry_run=true

{"name": "a", "content": <rsa.crt>, "key": <other.key>}

POST /v1/p/waf/certificate?dry_run=false

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate?dry_run=true

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate?dry_run=true

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate?dry_run=1

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate?dry_run=

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

--- answers
200 {"id": null, "timestamp": null, "revision": null, "name": "a",
     "content": <rsa.chain>, "key": <rsa.key>, "cert_type": "RSA-2048",
     "fingerprint": "~^[0-9a-f]{64}$", "chain": [ {}, {} ],
     "warnings": [ {"reason": "root_dropped"} ]}
! ETag
! error.log: \[notice\].*wafcert create
200 {"total": 0}
400 WAF.00021013 cert.illegal key_mismatch
200 {"id": "{id}"}
400 WAF.00011016 name.duplicate name_duplicate
200 {"id": null, "name": "a"}
400 WAF.00011012 standard.violated dry_run_illegal: dry_run | true or false
400 WAF.00011012 standard.violated dry_run_illegal



=== TEST 8: dry_run on modify
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}?dry_run=true

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}

PUT /v1/p/waf/certificate/{id}?dry_run=true

{"content": <ec.chain>}

PUT /v1/p/waf/certificate/{id}?dry_run=true
If-Match: "2"

{"name": "b"}

PUT /v1/p/waf/certificate/{id}?dry_run=no

{"name": "b"}

PUT /v1/p/waf/certificate/{id}?dry_run=true

{"name": "a"}

--- answers
200 {"id": "{id}"}
200 {"id": null, "timestamp": null, "revision": null, "name": "b",
     "cert_type": "EC-P-256", "content": null, "key": null}
! ETag
! error.log: \[notice\].*wafcert modify
200 {"name": "a", "revision": 1, "content": <rsa.chain>}
400 WAF.00021013 cert.illegal key_mismatch
412 WAF.00011001 bad.request revision_mismatch
400 WAF.00011012 standard.violated dry_run_illegal
200 {"id": null, "name": "a"}
! ETag



=== TEST 9: conditions that are not for the call
--- requests
POST /v1/p/waf/certificate
If-None-Match: *

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
If-Match: "7"
If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}
If-Match: "1"
If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT

{"name": "c"}

DELETE /v1/p/waf/certificate/{id}
If-None-Match: "2"

--- answers
200 {"id": "{id}"}
200 {"name": "b"}
200 {"name": "c"}
200 {"name": "c"}



=== TEST 10: a compressing nginx weakens the tag, which still matches
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        gzip on;
        gzip_types application/json;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}
Accept-Encoding: gzip

GET /v1/p/waf/certificate/{id}
Accept-Encoding: gzip
If-None-Match: W/"1"

PUT /v1/p/waf/certificate/{id}
If-Match: W/"1"

{"name": "b"}

--- answers
200 {"id": "{id}"}
200
Content-Encoding: gzip
ETag: W/"1"
304
200 {"name": "b"}
