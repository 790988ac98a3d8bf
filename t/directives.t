# each directive's values, and what is said of bad ones

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: wafcert_zone: no size
--- http_config
    wafcert_zone zone=certs;

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid zone size "zone=certs"}



=== TEST 2: wafcert_zone: a size that is none
--- http_config
    wafcert_zone zone=certs:1x;

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid zone size "zone=certs:1x"}



=== TEST 3: wafcert_zone: no name
--- http_config
    wafcert_zone zone=:1m;

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid zone name "zone=:1m"}



=== TEST 4: wafcert_zone: too small
--- http_config
    wafcert_zone zone=certs:4k;

--- must_die
--- error_log eval
qr{\[emerg\] .*zone "certs" is too small}



=== TEST 5: wafcert_zone: unknown parameter
--- http_config
    wafcert_zone zone=certs:1m size=1m;

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "size=1m"}



=== TEST 6: wafcert_zone: twice
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_zone zone=certs:1m;

--- must_die
--- error_log eval
qr{\[emerg\] .*duplicate zone "certs"}



=== TEST 7: wafcert_zone: nothing
--- http_config
    wafcert_zone;

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid number of arguments in "wafcert_zone"}



=== TEST 8: wafcert_zone: in a server
--- config
    wafcert_zone zone=more:1m;
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_zone" directive is not allowed here}



=== TEST 9: wafcert_api: a zone that is not defined
--- config
    location /v1/ {
        wafcert_api zone=none;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"none"}



=== TEST 10: wafcert_api: no zone
--- config
    location /v1/ {
        wafcert_api write=on;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_api" directive has no parameter "zone"}



=== TEST 11: wafcert_api: an empty zone
--- config
    location /v1/ {
        wafcert_api zone=;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "zone="}



=== TEST 12: wafcert_api: write
--- config
    location /v1/ {
        wafcert_api zone=certs write=no;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "write=no"}



=== TEST 13: wafcert_api: unknown parameter
--- config
    location /v1/ {
        wafcert_api zone=certs read=on;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "read=on"}



=== TEST 14: wafcert_api: twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_api zone=certs;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_api" directive is duplicate}



=== TEST 15: wafcert_api: outside a location
--- config
    wafcert_api zone=certs;

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_api" directive is not allowed here}



=== TEST 16: wafcert_api: the zone of another module
--- http_config
    limit_req_zone $uri zone=certs:1m rate=1r/s;

--- must_die
--- error_log eval
qr{\[emerg\] .*"certs"}



=== TEST 17: wafcert_auth: none
--- config
    location /v1/ {
        wafcert_api zone=certs;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*no "wafcert_auth" .*"/v1/"}



=== TEST 18: wafcert_auth: neither off nor a file
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth on;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "on"}



=== TEST 19: wafcert_auth: no file
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "tokens="}



=== TEST 20: wafcert_auth: twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_auth" directive is duplicate}



=== TEST 21: wafcert_auth: two values
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off tokens=x;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid number of arguments in "wafcert_auth"}



=== TEST 22: wafcert_denied_status 404
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_denied_status 404;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid value "404"}



=== TEST 23: wafcert_denied_status x
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_denied_status x;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid value "x"}



=== TEST 24: wafcert_return_key yes
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key yes;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid value "yes"}



=== TEST 25: wafcert_expired ignore
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_expired ignore;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid value "ignore"}



=== TEST 26: wafcert_chain fix
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_chain fix;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid value "fix"}



=== TEST 27: wafcert_max_body_size: a size that is none
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_body_size x;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_max_body_size" directive invalid value}



=== TEST 28: wafcert_quota: a number that is none
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_quota -1;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid number}



=== TEST 29: wafcert_min_rsa_bits: a number that is none
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_min_rsa_bits 2k;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid number}



=== TEST 30: wafcert_max_rsa_bits: no number
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_rsa_bits off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid number}



=== TEST 31: wafcert_max_rsa_bits: more than there may be
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_rsa_bits 8193;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*value must be between 0 and 8192}



=== TEST 32: any of them twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key never;
        wafcert_return_key never;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_return_key" directive is duplicate}



=== TEST 33: wafcert_expired reject
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_expired reject;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <response.crt>, "key": <response.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <future.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <soon.chain>, "key": <ec.key>}


--- answers
400 WAF.00021013 cert.illegal cert_expired: 2020 | -dates
400 WAF.00021013 cert.illegal cert_not_yet_valid: 2040
200 {"name": "c"}



=== TEST 34: wafcert_min_rsa_bits
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_min_rsa_bits 2048;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <request.crt>, "key": <request.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <ec.chain>, "key": <ec.key>}


--- answers
400 WAF.00021013 cert.illegal key_too_small: 1024 bits, at least 2048
200 {"name": "b"}
200 {"name": "c"}



=== TEST 35: wafcert_max_rsa_bits
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_rsa_bits 1024;
    }

    location /any/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_rsa_bits 0;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <request.crt>, "key": <request.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <ec.chain>, "key": <ec.key>}

POST /any/v1/p/waf/certificate

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}


--- answers
200 {"name": "a"}
400 WAF.00021013 cert.illegal key_too_large: 2048 bits, at most 1024
200 {"name": "c"}
200 {"name": "b"}



=== TEST 36: wafcert_chain keep
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_chain keep;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.wrong>, "key": <rsa.key>}


--- answers
200 {"content": <rsa.full>, "chain": [ {}, {}, {} ], "warnings": null}
400 WAF.00021013 cert.illegal key_mismatch: block 2 | block 2



=== TEST 37: wafcert_chain strict
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_chain strict;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.full>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <rsa.crt>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <rsa.chain|twice>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "d", "content": <rsa.chain>, "key": <rsa.key>}


--- answers
400 WAF.00021013 cert.illegal chain_broken: block 3 of content is a self-signed
400 WAF.00021013 cert.illegal chain_broken: CN=Intermediate | intermediate
400 WAF.00021013 cert.illegal chain_broken: repeats
200 {"content": <rsa.chain>}



=== TEST 38: wafcert_quota, for each project, and 0 is no limit
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_quota 1;
    }
    location /any/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_quota 0;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /any/v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}


--- answers
200 {"name": "a"}
403 WAF.00022005 insufficient.quota quota: 1 | larger
200 {"name": "b"}
200 {"name": "b"}



=== TEST 39: inherited from http and server
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_auth tokens=../html/tokens;
    wafcert_return_key never;
    wafcert_min_rsa_bits 1024;
    wafcert_chain strict;

--- config
    wafcert_denied_status 403;
    wafcert_quota 1;

    location /v1/ {
        wafcert_api zone=certs;
    }

    location /other/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_return_key create;
        wafcert_expired accept;
        wafcert_min_rsa_bits 0;
        wafcert_chain repair;
        wafcert_quota 0;
    }

--- user_files
>>> tokens
<sha256 token-for-directives-t-1> p write

--- requests
POST /v1/q/waf/certificate
X-Auth-Token: token-for-directives-t-1

{}

POST /v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-1

{"name": "a", "content": <response.crt>, "key": <response.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-1

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-1

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-1

{"name": "b", "content": <ed.crt>, "key": <ed.key>}

POST /other/v1/p/waf/certificate

{"name": "b", "content": <response.crt>, "key": <response.key>}


--- answers
403 WAF.00012002 invalid.project token_project
400 WAF.00021013 cert.illegal key_too_small
200 {"name": "a", "key": null}
403 WAF.00022005 insufficient.quota quota
400 WAF.00021013 cert.illegal chain_broken
200 {"name": "b", "key": <response.pkcs8>}



=== TEST 40: wafcert_auth: a URI that is none
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=iam;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "request=iam"}



=== TEST 41: wafcert_auth: no URI
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "request="}



=== TEST 42: wafcert_auth: twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_auth" directive is duplicate}



=== TEST 43: wafcert_auth_cache: a time that is none
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_cache soon;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_auth_cache" directive invalid value}



=== TEST 44: wafcert_auth_roles: another kind of call
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles delete=a;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "delete=a"}



=== TEST 44a: wafcert_auth_roles: whoever may read may write
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_auth_roles read=a;

--- request
GET /v1/p/waf/certificate

--- error_code: 200
--- error_log eval
qr{\[warn\] .*"wafcert_auth_roles" has no "write": any role may change certificates}



=== TEST 45: wafcert_auth_roles: no role
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles write= read=a;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "write="}



=== TEST 46: wafcert_auth_roles: an empty name, first
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles write=,a;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "write=,a"}



=== TEST 47: wafcert_auth_roles: an empty name in the middle
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles "read=a b,,c";
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "read=a b,,c"}



=== TEST 48: wafcert_auth_roles: an empty name, last
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles read=a,;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "read=a,"}



=== TEST 49: wafcert_auth_roles: a kind of call twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles read=a read=b;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "read=b"}



=== TEST 50: wafcert_auth_roles: twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_roles read=a;
        wafcert_auth_roles write=a;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_auth_roles" directive is duplicate}



=== TEST 51: wafcert_auth_service: another parameter
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_service token=abc;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "token=abc"}



=== TEST 52: wafcert_auth_service: no file
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_service token_file=;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "token_file="}



=== TEST 53: wafcert_auth_service: twice
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_service off;
        wafcert_auth_service off;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*"wafcert_auth_service" directive is duplicate}



=== TEST 54: wafcert_auth_service: a file that is not there
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_service token_file=../html/none;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*open\(\) ".*/html/none" failed \(2: No such file}



=== TEST 55: wafcert_auth_service: a directory
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_service token_file=../html;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*".*/html" is not a file}



=== TEST 56: wafcert_auth_service: two tokens, which no log quotes
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth request=/iam;
        wafcert_auth_service token_file=../html/token;
    }

--- user_files
>>> token
token-for-directives-t-1 token-for-directives-t-2

--- must_die
--- error_log eval
qr{\[emerg\] .*there is not one token, and nothing else, in ".*/html/token"}
--- no_error_log
token-for-directives



=== TEST 57: wafcert_auth request= and what goes with it, inherited or not
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_auth request=/iam;
    wafcert_auth_cache 10s;
    wafcert_auth_roles write=a "read=b,c d";

--- config
    location = /iam {
        return 401;
    }

    location /v1/ {
        wafcert_api zone=certs;
    }

    location /tokens/ {
        wafcert_api zone=certs;
        wafcert_auth tokens=../html/tokens;
    }

    location /off/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location /service/ {
        wafcert_api zone=certs;
        wafcert_auth_service token_file=../html/token;

        location /service/none/ {
            wafcert_api zone=certs;
            wafcert_auth_service off;
        }
    }

--- user_files
>>> tokens
<sha256 token-for-directives-t-1> p write
>>> token
token-for-directives-t-2

--- requests
GET /v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-1

GET /tokens/v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-1

GET /off/v1/p/waf/certificate

GET /service/v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-3

GET /service/none/v1/p/waf/certificate
X-Auth-Token: token-for-directives-t-3

GET /v1/p/waf/certificate

--- answers
401 WAF.00012001 invalid.token token_invalid: the IAM service
200 {"total": 0}
200 {"total": 0}
500 WAF.00010002 system.busy iam_unavailable: the IAM service | again
error.log: \[error\].* IAM service at "/iam" refused the token of "wafcert_auth_service"
401 WAF.00012001 invalid.token token_invalid: the IAM service
401 WAF.00012001 invalid.token token_missing



=== TEST 58: wafcert_auth off, and of all
--- config
location /v1/ {
    wafcert_api zone=certs;
    wafcert_auth off all=on;
}
--- must_die
--- error_log eval
qr/\[emerg\] .*invalid parameter "all=on"/



=== TEST 59: wafcert_auth, of some
--- config
location /v1/ {
    wafcert_api zone=certs;
    wafcert_auth request=/iam all=off;
}
--- must_die
--- error_log eval
qr/\[emerg\] .*invalid parameter "all=off"/



=== TEST 60: wafcert_api, inherited where there is nothing else
--- config
location /v1/ {
    wafcert_api zone=certs;
    wafcert_auth off;

    location /v1/p/ {
        wafcert_return_key never;
    }

    location /v1/q/ {
        return 200 "something else\n";
    }

    location /v1/r/ {
        proxy_pass http://127.0.0.4:1;
    }
}
--- requests
GET /v1/p/waf/certificate

GET /v1/q/waf/certificate

GET /v1/r/waf/certificate

--- answers
200 {"total": 0}
200
502



=== TEST 61: wafcert_max_hosts: none at all
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_hosts 0;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*value must be equal to or greater than 1}



=== TEST 62: wafcert_max_hosts, inherited
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_auth off;
    wafcert_max_hosts 1;

--- config
    location /v1/ {
        wafcert_api zone=certs;
    }
    location /four/ {
        wafcert_api zone=certs;
        wafcert_max_hosts 4;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /four/v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}


--- answers
400 WAF.00021013 cert.illegal content_too_many_hosts: more than 1 hosts | wafcert_max_hosts
200 {"name": "a"}



=== TEST 63: wafcert_quota: a size that is none
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_quota 0 1x;
    }

--- must_die
--- error_log eval
qr{\[emerg\] .*invalid parameter "1x"}



=== TEST 64: wafcert_quota with a size: it counts what is there, and goes with the number
--- http_config
    wafcert_zone zone=certs:1m;
    wafcert_auth off;
    wafcert_quota 0 1k;

--- config
    location /v1/ {
        wafcert_api zone=certs;
    }
    location /two/ {
        wafcert_api zone=certs;
        wafcert_quota 2;
    }
    location /more/ {
        wafcert_api zone=certs;
        wafcert_quota 0 64k;
    }

--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate?dry_run=true

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /two/v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

PUT /v1/p/waf/certificate/{id}

{"name": "b"}

PUT /v1/p/waf/certificate/{id}

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

PUT /more/v1/p/waf/certificate/{id}

{"name": "b", "content": <rsa.chain>, "key": <rsa.key>}

PUT /v1/p/waf/certificate/{id}

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

DELETE /v1/p/waf/certificate/{id}


--- answers
403 WAF.00022005 insufficient.quota quota: bytes of memory, and no more than 1024 | larger
403 WAF.00022005 insufficient.quota quota: bytes of memory
200 {"id": "{id}"}
200 {"name": "b"}
403 WAF.00022005 insufficient.quota quota: bytes of memory
200 {"name": "b"}
200 {"name": "b"}
403 WAF.00022005 insufficient.quota quota: bytes of memory
200
