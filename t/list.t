# GET /v1/{project_id}/waf/certificate

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Wafcert;

run_tests();

__DATA__

=== TEST 1: nothing there
--- requests
GET /v1/p/waf/certificate
--- answers
200 {"total": 0, "items": []}
--- response_body_like chomp
\A\{"total":0,"items":\[\]\}\s*\z



=== TEST 2: members and their order, newest first
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <rsa.chain>, "key": <rsa.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate

--- answers
200 {"id": "{a}", "timestamp": "{t}", "expire_time": "{e}"}
200 {"id": "{b}"}
200 {"total": 2, "items": [
     {"id": "{b}", "name": "b", "certificateid": "{b}",
      "certificatename": "b", "exp_status": 0, "cert_type": "EC-P-256",
      "bind_host": null, "content": null, "key": null},
     {"id": "{a}", "name": "a", "certificateid": "{a}",
      "certificatename": "a", "timestamp": "{t}", "expire_time": "{e}",
      "exp_status": 0, "cert_type": "RSA-2048", "bind_host": null} ]}
! ETag
--- response_body_like eval
[
    "", "",
    qr/\A\{"total":2,"items":\[
       \{"id":"[0-9a-f]{32}","name":"b","certificateid":"[0-9a-f]{32}",
       "certificatename":"b","timestamp":\d{13},"expire_time":\d{13},
       "exp_status":0,"cert_type":"EC-P-256"\},
       \{"id":"[0-9a-f]{32}","name":"a",[^{}]*\}\]\}\s*\z/x
]



=== TEST 3: host=true
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate?host=true

GET /v1/p/waf/certificate?host=false

GET /v1/p/waf/certificate?host=yes

--- answers
200 {"id": "{a}"}
200 {"total": 1, "items": [ {"id": "{a}", "bind_host": []} ]}
200 {"total": 1, "items": [ {"id": "{a}", "bind_host": null} ]}
400 WAF.00011012 standard.violated host_illegal: host | true or false



=== TEST 4: pages, in both spellings
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "c", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate?page=1&pagesize=2

GET /v1/p/waf/certificate?page=2&pageSize=2

GET /v1/p/waf/certificate?page=3&pagesize=2

GET /v1/p/waf/certificate?pagesize=1

GET /v1/p/waf/certificate?page=2&pagesize=1

GET /v1/p/waf/certificate?page=1&pagesize=3

GET /v1/p/waf/certificate?page=1&pagesize=100

GET /v1/p/waf/certificate?page=7&pagesize=-1

GET /v1/p/waf/certificate?page=7

GET /v1/p/waf/certificate?page=9223372036854775807&pagesize=100

--- answers
200 {"name": "a"}
200 {"name": "b"}
200 {"name": "c"}
200 {"total": 3, "items": [ {"name": "c"}, {"name": "b"} ]}
200 {"total": 3, "items": [ {"name": "a"} ]}
200 {"total": 3, "items": []}
200 {"total": 3, "items": [ {"name": "c"} ]}
200 {"total": 3, "items": [ {"name": "b"} ]}
200 {"total": 3, "items": [ {"name": "c"}, {"name": "b"}, {"name": "a"} ]}
200 {"total": 3, "items": [ {"name": "c"}, {"name": "b"}, {"name": "a"} ]}
200 {"total": 3, "items": [ {"name": "c"}, {"name": "b"}, {"name": "a"} ]}
200 {"total": 3, "items": [ {"name": "c"}, {"name": "b"}, {"name": "a"} ]}
200 {"total": 3, "items": []}



=== TEST 5: offset and limit, as the older clients have them
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate?offset=0&limit=1

GET /v1/p/waf/certificate?limit=-1

GET /v1/p/waf/certificate?offset=1&limit=1

GET /v1/p/waf/certificate?offset=10

GET /v1/p/waf/certificate?offset=-1

GET /v1/p/waf/certificate?offset=x

GET /v1/p/waf/certificate?limit=x

--- answers
200 {"name": "a"}
200 {"name": "b"}
200 {"total": 2, "items": [ {"name": "b"}, {"name": "a"} ]}
200 {"total": 2, "items": [ {"name": "b"}, {"name": "a"} ]}
200 {"total": 2, "items": []}
200 {"total": 2, "items": []}
400 WAF.00011010 offsetOrLimit.illegal offset_illegal: offset
400 WAF.00011010 offsetOrLimit.illegal offset_illegal: offset
400 WAF.00011010 offsetOrLimit.illegal offset_illegal: limit



=== TEST 6: pages that are none
--- requests
GET /v1/p/waf/certificate?page=0

GET /v1/p/waf/certificate?page=-1

GET /v1/p/waf/certificate?page=x

GET /v1/p/waf/certificate?page=99999999999999999999

GET /v1/p/waf/certificate?pagesize=0

GET /v1/p/waf/certificate?pagesize=101

GET /v1/p/waf/certificate?pageSize=-2

GET /v1/p/waf/certificate?pagesize=1x

--- answers
400 WAF.00011011 pageOrPageSize.illegal page_illegal: page | from 1
400 WAF.00011011 pageOrPageSize.illegal page_illegal: page
400 WAF.00011011 pageOrPageSize.illegal page_illegal: page
400 WAF.00011011 pageOrPageSize.illegal page_illegal: page
400 WAF.00011011 pageOrPageSize.illegal pagesize_illegal: pagesize | 1 to 100
400 WAF.00011011 pageOrPageSize.illegal pagesize_illegal: pagesize
400 WAF.00011011 pageOrPageSize.illegal pagesize_illegal: pagesize
400 WAF.00011011 pageOrPageSize.illegal pagesize_illegal: pagesize



=== TEST 7: name is a part of the name
--- requests
POST /v1/p/waf/certificate

{"name": "www.one", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "mail.one", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "www.two", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate?name=one

GET /v1/p/waf/certificate?name=www&page=2&pagesize=1

GET /v1/p/waf/certificate?name=WWW

GET /v1/p/waf/certificate?name=ww%77.t

GET /v1/p/waf/certificate?name=.one.

GET /v1/p/waf/certificate?name=%00

GET /v1/p/waf/certificate?name=

--- answers
200 {"name": "www.one"}
200 {"name": "mail.one"}
200 {"name": "www.two"}
200 {"total": 2, "items": [ {"name": "mail.one"}, {"name": "www.one"} ]}
200 {"total": 2, "items": [ {"name": "www.one"} ]}
200 {"total": 0, "items": []}
200 {"total": 1, "items": [ {"name": "www.two"} ]}
200 {"total": 0, "items": []}
200 {"total": 0, "items": []}
200 {"total": 3}



=== TEST 8: exp_status
--- requests
POST /v1/p/waf/certificate

{"name": "valid", "content": <ec.chain>, "key": <ec.key>}

POST /v1/p/waf/certificate

{"name": "expired", "content": <response.crt>, "key": <response.key>}

POST /v1/p/waf/certificate

{"name": "soon", "content": <soon.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate?exp_status=0

GET /v1/p/waf/certificate?exp_status=1

GET /v1/p/waf/certificate?exp_status=2&host=true&name=oo

GET /v1/p/waf/certificate?exp_status=3

GET /v1/p/waf/certificate?exp_status=soon

GET /v1/p/waf/certificate?exp_status=

--- answers
200 {"name": "valid"}
200 {"name": "expired"}
200 {"name": "soon"}
200 {"total": 1, "items": [ {"name": "valid", "exp_status": 0} ]}
200 {"total": 1, "items": [ {"name": "expired", "exp_status": 1} ]}
200 {"total": 1, "items": [ {"name": "soon", "exp_status": 2} ]}
400 WAF.00011012 standard.violated exp_status_illegal: exp_status | expires
400 WAF.00011012 standard.violated exp_status_illegal: exp_status
200 {"total": 3}



=== TEST 9: a project sees its own
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

POST /v1/q/waf/certificate

{"name": "b", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate

GET /v1/q/waf/certificate

GET /v1/pq/waf/certificate

--- answers
200 {"id": "{a}"}
200 {"id": "{b}"}
200 {"total": 1, "items": [ {"id": "{a}"} ]}
200 {"total": 1, "items": [ {"id": "{b}"} ]}
200 {"total": 0, "items": []}



=== TEST 10: HEAD, and a GET with Content-Type and a body
--- requests
POST /v1/p/waf/certificate

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

HEAD /v1/p/waf/certificate

HEAD /v1/p/waf/certificate?page=0

GET /v1/p/waf/certificate
Content-Type: text/plain

{}

--- answers
200 {"id": "{a}"}
200
Content-Type: application/json
400
Content-Type: application/json
200 {"total": 1, "items": [ {"id": "{a}"} ]}



=== TEST 11: a list that is longer than one buffer
--- http_config
    wafcert_zone zone=certs:2m;

--- requests eval
CORE::join('', map { "POST /v1/p/waf/certificate\n\n"
                     . Wafcert::upload("$_-" . 'n' x 250, 'ec.crt', 'ec.key')
                     . "\n\n" } 1 .. 40)
. "GET /v1/p/waf/certificate\n\nGET /v1/p/waf/certificate?name=3-n\n"
. "GET /v1/p/waf/certificate?page=4&pagesize=12\n"
--- answers eval
"200\n" x 40
. qq(200 {"total": 40, "items": [)
. CORE::join(', ', map { qq({"name": "$_-) . 'n' x 250 . qq("}) }
                       CORE::reverse 1 .. 40) . "]}\n"
. qq(200 {"total": 4}\n)
. qq(200 {"total": 40, "items": [)
. CORE::join(', ', map { qq({"name": "$_-) . 'n' x 250 . qq("}) }
                       CORE::reverse 1 .. 4) . "]}\n"



=== TEST 12: HTTP/1.0
--- requests
POST /v1/p/waf/certificate HTTP/1.0

{"name": "a", "content": <ec.chain>, "key": <ec.key>}

GET /v1/p/waf/certificate HTTP/1.0

GET /v1/p/waf/certificate/{id} HTTP/1.0

--- answers
200 {"id": "{id}"}
200 {"total": 1, "items": [ {"id": "{id}"} ]}
! Transfer-Encoding
200 {"content": <ec.chain>}
