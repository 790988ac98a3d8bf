# the body: framing, size, what is not JSON.  That none is ever in a temporary
# file is looked at after each block.

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

$Wafcert::default{config} = <<'END';
location /v1/ {
    wafcert_api zone=certs;
    wafcert_auth off;

    client_body_in_file_only on;
    client_body_buffer_size 1k;
    client_max_body_size 1k;
    lingering_timeout 100ms;
}
END

our $upload = Wafcert::upload('a', 'ec.crt', 'ec.key');
our $length = length $upload;
our $post = "POST /v1/p/waf/certificate HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n";

sub chunks {
    my ($size, $body) = @_;

    return join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                        $body =~ /(.{1,$size})/gs, '';
}

run_tests();

__DATA__

=== TEST 1: with a length
--- raw_request eval
"${main::post}Content-Length: $main::length\r\n\r\n$main::upload"
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 2: a newline or blanks after it, a byte order mark before it
--- raw_request eval
"${main::post}Content-Length: @{[ $main::length + 7 ]}\r\n\r\n"
. "\xEF\xBB\xBF$main::upload\r\n \n"
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 3: one byte a packet
--- raw_request eval
[ CORE::split //, "${main::post}Content-Length: $main::length\r\n\r\n"
                  . $main::upload ]
--- raw_request_middle_delay: 0.0002
--- timeout: 10
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 4: chunked
--- raw_request eval
"${main::post}Transfer-Encoding: chunked\r\n\r\n"
. main::chunks(500, $main::upload)
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 5: chunks of one byte
--- raw_request eval
"${main::post}Transfer-Encoding: chunked\r\n\r\n"
. main::chunks(1, $main::upload)
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 6: chunked, some bytes a packet, wherever that cuts
--- raw_request eval
[ "${main::post}Transfer-Encoding: chunked\r\n\r\n",
  main::chunks(100, $main::upload) =~ /(.{1,7})/gs ]
--- raw_request_middle_delay: 0.001
--- timeout: 10
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 7: Expect: 100-continue
--- raw_request eval
[ "${main::post}Content-Length: $main::length\r\n"
  . "Expect: 100-continue\r\n\r\n", $main::upload ]
--- raw_request_middle_delay: 0.1
--- http09
--- response_body_like eval
qr{\A HTTP/1.1\ 100\ Continue\r\n\r\n
   HTTP/1.1\ 200\ OK\r\n.*"name":"a"}xs



=== TEST 8: Expect: 100-continue, and the answer is an error: nothing to send
--- requests
POST /v1/p/waf/certificate
Expect: 100-continue
Content-Length: 200000

POST /v1/p/waf/certificate
Expect: 100-continue
Content-Type: text/plain
Content-Length: 1000

--- answers
413 WAF.00011003 request.body.illegal body_too_large
Connection: close
400 WAF.00011014 request.header.illegal content_type
Connection: close



=== TEST 9: HTTP/2, with a length and with none
--- http2
--- requests
POST /v1/p/waf/certificate
Content-Type: application/json

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate
Content-Type: application/json
Transfer-Encoding: chunked

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate/{id}

GET /v1/p/waf/certificate/{id}
If-None-Match: "1"

PUT /v1/p/waf/certificate/{id}
If-Match: "2"

{"name": "b"}

DELETE /v1/p/waf/certificate/{id}

GET /v1/p/waf/certificate

--- answers
200 {"id": "{id}", "content": <rsa.chain>, "key": <rsa.key>}
200 {"content": <ec.chain>, "key": <ec.key>}
200 {"id": "{id}", "content": <rsa.chain>}
304
412 WAF.00011001 bad.request revision_mismatch
200 {"id": "{id}"}
200 {"total": 1}



=== TEST 10: HTTP/2, too large
--- http2
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_body_size 1k;
    }

--- requests
POST /v1/p/waf/certificate
Content-Type: application/json
Transfer-Encoding: chunked

{"name": "<x 1200>"}

--- answers
413 WAF.00011003 request.body.illegal body_too_large



=== TEST 11: HTTP/2, too large, by the length that was declared
nginx sends the answer and RST_STREAM (NO_ERROR); curl sometimes heeds the
second only.
--- http2
--- curl_error: curl: (92)
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_body_size 1k;
    }

--- requests
POST /v1/p/waf/certificate
Content-Type: application/json

{"name": "<x 1200>"}

--- answers
none|413
error.log: wafcert refused: body_too_large
error.log: http2 output header: ":status: 413"



=== TEST 12: HTTP/1.0, and pipelined after another request
--- raw_request eval
"POST /v1/p/waf/certificate HTTP/1.0\r\nContent-Length: $main::length\r\n\r\n"
. $main::upload
--- answers
200 {"content": <ec.crt>, "key": <ec.key>}



=== TEST 13: a connection is kept, after an answer and after an error
--- pipelined_requests eval
[
    "POST /v1/p/waf/certificate\n$main::upload",
    "POST /v1/p/waf/certificate\n$main::upload",
    "POST /v1/p/waf/certificate\n{}",
    "POST /v1/q!/waf/certificate\n$main::upload",
    "GET /v1/p/waf/certificate\n{}",
]
--- error_code eval
[200, 200, 400, 400, 200]
--- response_body_like eval
[qr/"name":"a"/, qr/"name":"a"/, "field_missing", "project_illegal",
 qr/"total":1/]



=== TEST 14: the largest that is allowed, and one byte more
--- requests
POST /v1/p/waf/certificate

{"x": "<x 131062>"}

POST /v1/p/waf/certificate

{"x": "<x 131063>"}

POST /v1/p/waf/certificate

{"x": "<x 131064>"}

--- answers
400 WAF.00011003 request.body.illegal field_missing
400 WAF.00011003 request.body.illegal field_missing
413 WAF.00011003 request.body.illegal body_too_large: 131072 bytes | CA bundle
Connection: close



=== TEST 15: too large, by the length that was declared, and never sent
--- requests
POST /v1/p/waf/certificate
Content-Length: 200000

POST /v1/p/waf/certificate
Content-Length: 131073

{"name":

PUT /v1/p/waf/certificate/0123456789abcdef0123456789abcdef
Content-Length: 2147483648

{"name":

POST /v1/p/waf/certificate
Content-Length: 9223372036854775807

--- answers
413 WAF.00011003 request.body.illegal body_too_large: 131072
Connection: close
413 WAF.00011003 request.body.illegal body_too_large
413 WAF.00011003 request.body.illegal body_too_large
413 WAF.00011003 request.body.illegal body_too_large



=== TEST 16: too large, chunked: refused as soon as it is
--- raw_request eval
"${main::post}Transfer-Encoding: chunked\r\n\r\n"
. "7fffffff\r\n" . 'x' x 140000
--- timeout: 10
--- answers
413 WAF.00011003 request.body.illegal body_too_large: 131072
Connection: close



=== TEST 17: wafcert_max_body_size, and nginx's own limit is not asked
--- config
    wafcert_max_body_size 300k;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        client_max_body_size 1k;
    }

    location /small/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        wafcert_max_body_size 100;
        client_max_body_size 1m;
        lingering_timeout 100ms;
    }

--- requests
POST /v1/p/waf/certificate

{"x": "<x 300000>"}

POST /small/v1/p/waf/certificate

{"x": "<x 100>"}

--- answers
400 WAF.00011003 request.body.illegal field_missing
413 WAF.00011003 request.body.illegal body_too_large: 100 bytes



=== TEST 18: a client that stops sending, and one that goes away
--- config
    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        client_body_timeout 200ms;
    }

    location /slow/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

--- requests
POST /v1/p/waf/certificate
Content-Length: 1000

{"name": "a", "content":

POST /v1/p/waf/certificate
Transfer-Encoding: chunked

100

POST /slow/v1/p/waf/certificate
Content-Length: 1000

{"name": "a", "content":

GET /v1/p/waf/certificate

--- timeout: 0.5
--- abort
--- answers
none
none
none
200 {"total": 0}



=== TEST 19: no body
--- requests
POST /v1/p/waf/certificate

POST /v1/p/waf/certificate
Content-Length: 0

--- answers
400 WAF.00011003 request.body.illegal body_empty: body | name, content
400 WAF.00011003 request.body.illegal body_empty



=== TEST 20: nothing but blanks
--- raw_request eval
"${main::post}Content-Length: 5\r\n\r\n \t\r\n "
--- answers
400 WAF.00011003 request.body.illegal body_empty: blanks



=== TEST 21: what is not JSON, with its line and column
--- requests
POST /v1/p/waf/certificate

{"name": "a",}

POST /v1/p/waf/certificate

{"name": "a"
 "key": "b"}

POST /v1/p/waf/certificate

{"name": "a", "content": "x

POST /v1/p/waf/certificate

{"name": "a", "content": "-----BEGIN
CERTIFICATE-----"}

POST /v1/p/waf/certificate

{"name": "\x"}

POST /v1/p/waf/certificate

{} {}

POST /v1/p/waf/certificate

name=a&content=b

POST /v1/p/waf/certificate

{'name': 'a'}

POST /v1/p/waf/certificate

{"x": 1e999}

--- answers
400 WAF.00011003 request.body.illegal json_syntax: line 1, column 14 | jq -n
400 WAF.00011003 request.body.illegal json_syntax: line 2, column
400 WAF.00011003 request.body.illegal json_syntax: line 1, column
400 WAF.00011003 request.body.illegal json_syntax: line break inside a string
400 WAF.00011003 request.body.illegal json_syntax: escape
400 WAF.00011003 request.body.illegal json_syntax: after its end
400 WAF.00011003 request.body.illegal json_syntax: line 1, column
400 WAF.00011003 request.body.illegal json_syntax: line 1, column 2
400 WAF.00011003 request.body.illegal json_syntax: number is too large



=== TEST 22: JSON that is no object
--- requests
POST /v1/p/waf/certificate

[]

POST /v1/p/waf/certificate

null

POST /v1/p/waf/certificate

12

POST /v1/p/waf/certificate

"{\"name\": \"a\"}"

--- answers
400 WAF.00011003 request.body.illegal json_not_object: an array
400 WAF.00011003 request.body.illegal json_not_object: null
400 WAF.00011003 request.body.illegal json_not_object: a number
400 WAF.00011003 request.body.illegal json_not_object: a string | encoded twice



=== TEST 23: members that are there twice
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key>,
"name": "b"}

POST /v1/p/waf/certificate

{"x": 1, "x": 2}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key>, "x": {"y": 1, "y": 1}}

--- answers
400 WAF.00011003 request.body.illegal json_duplicate_member: "name" appears twice in the body, the second time at line 2
400 WAF.00011003 request.body.illegal json_duplicate_member: line 1
400 WAF.00011003 request.body.illegal json_duplicate_member: line 1



=== TEST 24: members that a decoder which folds case would take for others
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key>, "Content": <rsa.crt>}

POST /v1/p/waf/certificate

{"\u004eAME": "b", "name": "a", "content": <ec.crt>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "\u212aey": <ec.key>}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key>,
 "names": 1, "Key_": 2, "\uff2bey": 3, "more": {"Key": 4}}

PUT /v1/p/waf/certificate/{id}

{"name": "b", "KEY": null}

--- answers
400 WAF.00011003 request.body.illegal json_duplicate_member: a member "Content", which some decoders take for "content" | "content"
400 WAF.00011003 request.body.illegal json_duplicate_member: "NAME"
400 WAF.00011003 request.body.illegal json_duplicate_member: "\u212aey"
200 {"id": "{id}"}
400 WAF.00011003 request.body.illegal json_duplicate_member: "KEY"



=== TEST 25: deep nesting
--- requests
POST /v1/p/waf/certificate

<[ 100000>

POST /v1/p/waf/certificate

{"x": <[ 3000><] 3000>}

--- answers
400 WAF.00011003 request.body.illegal json_syntax: more arrays and objects
400 WAF.00011003 request.body.illegal json_syntax: nested too deep



=== TEST 26: bytes that are no text
--- request eval
[
    "POST /v1/p/waf/certificate\n{\"name\": \"\xff\"}",
    "POST /v1/p/waf/certificate\n{\"name\": \"\xc3\"}",
    "POST /v1/p/waf/certificate\n{\"name\": \"\xc0\xaf\"}",
    "POST /v1/p/waf/certificate\n{\"name\": \"\xed\xa0\x80\"}",
    "POST /v1/p/waf/certificate\n{\"name\": \"a\0b\"}",
    "POST /v1/p/waf/certificate\n{\"name\": \"a\"}\0",
    "POST /v1/p/waf/certificate\n\x1f\x8b\x08\0\0\0\0\0",
    "POST /v1/p/waf/certificate\n\xff\xfe{\0}\0",
    "POST /v1/p/waf/certificate\n{\"name\": \"a\x01b\"}",
]
--- answers
400 WAF.00011003 request.body.illegal json_syntax: not UTF-8 | UTF-8
400 WAF.00011003 request.body.illegal json_syntax: not UTF-8
400 WAF.00011003 request.body.illegal json_syntax: not UTF-8
400 WAF.00011003 request.body.illegal json_syntax: not UTF-8
400 WAF.00011003 request.body.illegal json_syntax: NUL
400 WAF.00011003 request.body.illegal json_syntax: NUL
400 WAF.00011003 request.body.illegal json_syntax: line 1, column 1
400 WAF.00011003 request.body.illegal json_syntax: line 1, column 1
400 WAF.00011003 request.body.illegal json_syntax: control character



=== TEST 27: what was in the body is in no error
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": "x", "key": <ec.key> "secret": 1}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": "secret secret secret"}

POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key|dirty>}

POST /v1/p/waf/certificate

secret=1

--- answers
400 WAF.00011003 request.body.illegal json_syntax
400 WAF.00021013 cert.illegal key_no_pem
400 WAF.00021013 cert.illegal key_pem_base64
400 WAF.00011003 request.body.illegal json_syntax
--- response_body_unlike eval
[ ('secret|MIGHAgEA') x 4 ]



=== TEST 27: mirror, which reads a body before a token is judged
--- config
    mirror /mirror;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
    }

    location = /mirror {
        return 204;
    }
--- must_die
--- error_log eval
qr{\[emerg\] .*"mirror" without "mirror_request_body off" would write keys into files in location "/v1/"}



=== TEST 28: the same without the body, and switched off
--- config
    mirror /mirror;

    location /v1/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        mirror_request_body off;
    }

    location /off/ {
        wafcert_api zone=certs;
        wafcert_auth off;
        mirror off;
    }

    location = /mirror {
        return 204;
    }
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.crt>, "key": <ec.key>}

GET /off/v1/p/waf/certificate

--- answers
200 {"name": "a"}
200 {"total": 1}



=== TEST 29: a body that is in a file when it comes here
--- config
    location /v1/ {
        client_body_buffer_size 1k;
        proxy_pass http://127.0.0.4:1;
        error_page 502 504 = @api;
    }

    location @api {
        wafcert_api zone=certs;
        wafcert_auth off;
    }
--- requests
POST /v1/p/waf/certificate

{"x": "<x 9000>"}

--- answers
500
error.log: \[error\] .* wafcert found the body in a file
