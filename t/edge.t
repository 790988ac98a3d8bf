# wafcert_validate: its values, what it stands beside, and an edge that does
# not record, in front of a real WAF over TLS

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

# Times are those of the WAF, tokens are judged by it alone.
$Wafcert::default{http_config} = <<'END';
    wafcert_zone zone=certs:1m;
    wafcert_zone zone=edge:1m;

    # nginx frees no session of an upstream when it exits
    proxy_ssl_session_reuse off;

    log_format edge "edge $request_method $status [$wafcert_project]"
                    " [$wafcert_id] [$wafcert_name] [$wafcert_reason]"
                    " [$wafcert_fingerprint]";

    server {
        listen 127.0.0.3:$TEST_NGINX_SERVER_PORT ssl;
        server_name ec.example.com;

        ssl_certificate ../../fixtures/ec.chain;
        ssl_certificate_key ../../fixtures/ec.key;

        location /v1/ {
            wafcert_api zone=certs;
            wafcert_auth tokens=../html/tokens;
        }

        location / {
            return 200 "$request_method $request_uri $content_length\n";
        }
    }
END

$Wafcert::default{config} = <<'END';
    access_log logs/access.log edge;

    location / {
        wafcert_validate zone=edge;

        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
        proxy_set_header Host ec.example.com;
        proxy_ssl_name ec.example.com;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 3;
        proxy_ssl_trusted_certificate ../../fixtures/root.crt;
    }
END

$Wafcert::default{user_files} = <<'END';
>>> tokens
<sha256 token-of-the-edges-user-0> p write
END

run_tests();

__DATA__

=== TEST 1: each call
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

GET /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-the-edges-user-0

PUT /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-the-edges-user-0

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-the-edges-user-0

{"name": "c"}

GET /v1/p/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

DELETE /v1/p/waf/certificate/{id}
X-Auth-Token: token-of-the-edges-user-0

--- answers
200 {"id": "{id}", "name": "a", "fingerprint": "{rsa}", "revision": 1}
ETag: "1"
access.log: edge POST 200 \[p\] \[-\] \[a\] \[-\] \[{rsa}\]
200 {"id": "{id}", "name": "a", "fingerprint": "{rsa}"}
access.log: edge GET 200 \[p\] \[{id}\] \[-\] \[-\] \[-\]
200 {"id": "{id}", "name": "b", "fingerprint": "{ec}", "revision": 2}
access.log: edge PUT 200 \[p\] \[{id}\] \[b\] \[-\] \[{ec}\]
200 {"id": "{id}", "name": "c", "fingerprint": "{ec}", "revision": 3}
access.log: edge PUT 200 \[p\] \[{id}\] \[c\] \[-\] \[-\]
200 {"total": 1}
access.log: edge GET 200 \[p\] \[-\] \[-\] \[-\] \[-\]
200 {"id": "{id}"}
access.log: edge DELETE 200 \[p\] \[{id}\] \[-\] \[-\] \[-\]



=== TEST 2: the token is the WAF's to judge
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-at-all-00

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

GET /v1/p/waf/certificate

--- answers
401 WAF.00012001 invalid.token token_missing
access.log: edge POST 401 \[p\] \[-\] \[a\] \[-\]
401 WAF.00012001 invalid.token token_invalid
401 WAF.00012001 invalid.token token_missing



=== TEST 3: what is refused
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
Content-Type: text/plain

{}

POST /v1/p/waf/certificate

{"name": "a"

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{"key": <ec.key|dirty>}

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{"content": <ec.key>}

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{"name": "a b"}

POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>, "Content": <ec.chain>}

--- answers
400 WAF.00021013 cert.illegal key_mismatch
access.log: edge POST 400 \[p\] \[-\] \[a\] \[key_mismatch\] \[-\]
error.log: wafcert refused: key_mismatch, project "p"
400 WAF.00011014 request.header.illegal content_type
400 WAF.00011003 request.body.illegal json_syntax
400 WAF.00021013 cert.illegal key_pem_base64
400 WAF.00021013 cert.illegal content_is_key
400 WAF.00011005 name.illegal name_character
400 WAF.00011003 request.body.illegal json_duplicate_member



=== TEST 4: what is none of the API's
--- requests
POST /v1/p/waf/policy

not JSON

PATCH /v1/p/waf/certificate

not JSON

GET /

--- answers
404 WAF.00014009 api.not.found api_not_found
access.log: edge POST 404 \[-\] \[-\] \[-\] \[-\] \[-\]
405 WAF.00014009 api.not.found method_not_allowed
Allow: GET, HEAD, POST
access.log: edge PATCH 405 \[p\] \[-\] \[-\] \[method_not_allowed\] \[-\]
200
access.log: edge GET 200 \[-\] \[-\] \[-\] \[-\] \[-\]



=== TEST 5: tokens beside wafcert_validate
--- config
    location / {
        wafcert_validate zone=edge;
        wafcert_auth tokens=../html/tokens;
        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
    }
--- requests
POST /v1/p/waf/certificate

x

GET /v1/p/waf/certificate
X-Auth-Token: token-of-nobody-at-all-00

POST /v1/p/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

x

GET /v1/p/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

--- answers
401 WAF.00012001 invalid.token token_missing
error.log: wafcert refused: token_missing
401 WAF.00012001 invalid.token token_invalid
400 WAF.00011003 request.body.illegal json_syntax
200 {"total": 0}



=== TEST 6: a WAF that cannot be trusted
--- config
    location / {
        wafcert_validate zone=edge record=on;
        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
        proxy_ssl_verify on;
        proxy_ssl_name other.example.com;
        proxy_ssl_trusted_certificate ../../fixtures/root.crt;
    }
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

--- answers
502
error.log: upstream SSL certificate



=== TEST 7: policy
--- config
    location / {
        wafcert_validate zone=edge;
        wafcert_min_rsa_bits 4096;
        wafcert_chain strict;
        wafcert_max_body_size 8k;
        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
    }
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{"content": <rsa.chain>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"x": "<x 9000>"}

--- answers
400 WAF.00021013 cert.illegal key_too_small
400 WAF.00021013 cert.illegal key_too_small
400 WAF.00021013 cert.illegal chain_broken
413 WAF.00011003 request.body.illegal body_too_large



=== TEST 8: what has expired, whole and half of it
--- config
    location / {
        wafcert_validate zone=edge;
        wafcert_expired reject;
        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
    }
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <request.crt>, "key": <request.key>}

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef

{"content": <request.crt>}

--- answers
400 WAF.00021013 cert.illegal cert_expired: 2024
400 WAF.00021013 cert.illegal cert_expired: 2024



=== TEST 9: inherited into "if", "limit_except" and a location
--- config
    location / {
        wafcert_validate zone=edge;
        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;

        if ($http_x_if) {
            set $x 1;
        }

        limit_except GET POST {
            deny all;
        }

        location /v1/q/ {
            proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
        }
    }
--- requests
POST /v1/p/waf/certificate
X-If: 1
X-Auth-Token: token-of-the-edges-user-0

x

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef
X-Auth-Token: token-of-the-edges-user-0

{"name": "x"}

POST /v1/q/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

x

--- answers
400 WAF.00011003 request.body.illegal json_syntax
error.log: wafcert refused: json_syntax
403
400 WAF.00011003 request.body.illegal json_syntax



=== TEST 10: error_page, and a WAF that is not there
--- config
    location / {
        wafcert_validate zone=edge record=on;
        proxy_pass http://127.0.0.4:1;
        error_page 502 504 = @other;
    }

    location @other {
        wafcert_validate zone=edge record=on;
        proxy_pass https://127.0.0.3:$TEST_NGINX_SERVER_PORT;
    }

    location /known/ {
        wafcert_api zone=edge write=off;
        wafcert_auth off;
    }
--- requests
POST /v1/p/waf/certificate
X-Auth-Token: token-of-the-edges-user-0

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

GET /known/v1/p/waf/certificate

--- answers
200 {"id": "{id}", "name": "a"}
200 {"total": 1, "items": [{"id": "{id}"}]}



=== TEST 11: client_body_in_file_only
--- config
    location /v1/ {
        wafcert_validate zone=edge;
        client_body_in_file_only clean;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"client_body_in_file_only" would write keys into files in location "/v1/"}



=== TEST 12: the same, of the server
--- config
    client_body_in_file_only on;

    location /v1/ {
        wafcert_validate zone=edge;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"client_body_in_file_only" would write keys}



=== TEST 13: no zone
--- config
    location /v1/ {
        wafcert_validate record=on;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_validate" directive has no parameter "zone"}



=== TEST 14: a zone that is not defined
--- config
    location /v1/ {
        wafcert_validate zone=none;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*zero size shared memory zone "none"}



=== TEST 15: a parameter that is none
--- config
    location /v1/ {
        wafcert_validate zone=edge record=yes;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "record=yes"}



=== TEST 16: twice
--- config
    location /v1/ {
        wafcert_validate zone=edge;
        wafcert_validate zone=edge;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_validate" directive is duplicate}



=== TEST 17: beside wafcert_api
--- config
    location /v1/ {
        wafcert_validate zone=edge;
        wafcert_api zone=edge;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_api" directive cannot stand beside "wafcert_validate"}



=== TEST 18: the other way round
--- config
    location /v1/ {
        wafcert_api zone=edge;
        wafcert_validate zone=edge;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_validate" directive cannot stand beside "wafcert_api"}



=== TEST 19: a proxy_pass with another URI
--- config
    location /api/ {
        wafcert_validate zone=edge;
        proxy_pass http://127.0.0.3/v1/;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"proxy_pass" has the URI "/v1/" in location "/api/", which has "wafcert_validate"}



=== TEST 20: the same, nested
--- config
    location / {
        wafcert_validate zone=edge;
        proxy_pass http://127.0.0.3;

        location /api/ {
            proxy_pass http://unix:/waf:/v1/;
        }
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"proxy_pass" has the URI "/v1/" in location "/api/"}



=== TEST 21: an API that adds to what an edge records
--- config
    location / {
        wafcert_validate zone=edge record=on;
        proxy_pass http://127.0.0.3;
    }

    location /api/ {
        wafcert_api zone=edge;
        wafcert_auth off;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_api" in location "/api/" and "wafcert_validate record=on" in location "/" cannot share zone "edge"}



=== TEST 22: one that does not, and an edge that does not record
--- config
    location / {
        wafcert_validate zone=edge record=on;
        proxy_pass http://127.0.0.3;
    }

    location /read/ {
        wafcert_api zone=edge write=off;
        wafcert_auth off;
    }

    location /api/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location /edge/ {
        wafcert_validate zone=certs;
        proxy_pass http://127.0.0.3/;
    }
--- requests
GET /read/v1/p/waf/certificate

--- answers
200 {"total": 0}



=== TEST 23: a path that is no prefix
--- config
    location ~ /v1/ {
        wafcert_validate zone=edge path=/waf;
        proxy_pass http://127.0.0.3;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "path=/waf"}
