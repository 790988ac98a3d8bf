# nginx's own cache between the module and those it believes: what is in there
# tells nothing of now, and of an IAM service nothing of this token.

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

$Wafcert::default{http_config} = <<'END';
    wafcert_zone zone=certs:1m;
    wafcert_zone zone=edge:1m;
    proxy_cache_path cache keys_zone=answers:1m;
END

run_tests();

__DATA__

=== TEST 1: the IAM service's answer to the first good token
--- config
    proxy_cache answers;
    proxy_cache_valid any 1m;

    location /api/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
    }

    location /edge/ {
        wafcert_validate zone=edge record=on;
        wafcert_auth request=/iam;
        proxy_cache off;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/;
    }

    location = /iam {
        internal;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/keystone;
    }

    location = /keystone {
        return 200 '{"token": {"expires_at": "2099-01-01T00:00:00Z", "project": {"id": "p"}, "roles": [{"name": "admin"}]}}';
    }

    location /v1/ {
        return 200 '{"id": "0123456789abcdef0123456789abcdef"}';
    }

--- requests
GET /api/v1/p/waf/certificate
X-Auth-Token: token-that-the-service-knows

GET /api/v1/p/waf/certificate
X-Auth-Token: token-that-is-forged-and-long-enough

DELETE /api/v1/p/waf/certificate/0123456789abcdef0123456789abcdef
X-Auth-Token: token-that-is-forged-and-long-enough

POST /edge/v1/p/waf/certificate
X-Auth-Token: token-that-is-forged-and-long-enough

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

GET /api/v1/p/waf/certificate
X-Auth-Token: token-that-the-service-knows

--- answers
200 {"total": 0}
500 WAF.00010002 system.busy iam_unavailable
error.log: \[error\].*IAM service at "/iam" was not asked: the answer came from a cache
500 WAF.00010002 system.busy iam_unavailable
500 WAF.00010002 system.busy iam_unavailable
200 {"total": 0}



=== TEST 2: its refusal of another token, where it is down
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_cache 0;
    }

    location = /iam {
        internal;
        proxy_cache answers;
        proxy_cache_key iam;
        proxy_cache_valid 401 1m;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/keystone;
    }

    location = /keystone {
        if ($http_x_auth_token = token-that-breaks-it) {
            return 500;
        }
        return 401;
    }

--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-that-the-service-does-not-know

GET /v1/p/waf/certificate
X-Auth-Token: token-that-breaks-it

--- answers
401 WAF.00012001 invalid.token token_invalid
500 WAF.00010002 system.busy iam_unavailable
error.log: was not asked: the answer came from a cache



=== TEST 3: a list of the WAF's, and that one is gone
--- config
    location /edge/ {
        wafcert_validate zone=certs record=on;
        proxy_cache answers;
        proxy_cache_valid any 1m;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/;
    }

    location /v1/ {
        default_type application/json;

        if ($request_method = POST) {
            return 200 '{"id": "0123456789abcdef0123456789abcdef"}';
        }

        if ($request_uri ~ /0123456789abcdef) {
            return 404 '{"error_code": "WAF.00022001"}';
        }

        return 200 '{"total": 0, "items": []}';
    }

    location /known/ {
        wafcert_api zone=certs write=off;
        wafcert_auth off;
    }

--- requests
GET /edge/v1/p/waf/certificate

GET /edge/v1/p/waf/certificate/0123456789abcdef0123456789abcdef

POST /edge/v1/p/waf/certificate

{"name": "later", "content": <rsa.chain>, "key": <rsa.key>}

GET /edge/v1/p/waf/certificate

GET /edge/v1/p/waf/certificate/0123456789abcdef0123456789abcdef

GET /known/v1/p/waf/certificate

--- answers
200
404
200
200
404
200 {"total": 1, "items": [{"name": "later"}]}
