-- What one would write with lua-nginx-module instead: the same checks of the
-- same upload, and no more.  OpenSSL is called through LuaJIT's FFI, as the
-- libraries for it do.

local cjson = require "cjson"
local ffi = require "ffi"

local C = ffi.C
local certs = ngx.shared.certs

ffi.cdef [[
typedef struct bio_st BIO;
typedef struct bio_method_st BIO_METHOD;
typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct asn1_string_st ASN1_TIME;

BIO *BIO_new_mem_buf(const void *buf, int len);
int BIO_free(BIO *a);
X509 *PEM_read_bio_X509(BIO *bp, X509 **x, void *cb, void *u);
EVP_PKEY *PEM_read_bio_PrivateKey(BIO *bp, EVP_PKEY **x, void *cb, void *u);
void X509_free(X509 *a);
void EVP_PKEY_free(EVP_PKEY *pkey);
int X509_check_private_key(const X509 *x509, const EVP_PKEY *pkey);
const ASN1_TIME *X509_get0_notAfter(const X509 *x);
int ASN1_TIME_diff(int *pday, int *psec, const ASN1_TIME *from,
    const ASN1_TIME *to);
int EVP_PKEY_get_bits(const EVP_PKEY *pkey);
int EVP_PKEY_get_base_id(const EVP_PKEY *pkey);
int RAND_bytes(unsigned char *buf, int num);
void ERR_clear_error(void);
]]

local MAX_CHAIN = 10
local TYPES = { [6] = "RSA-", [408] = "EC-P-", [1087] = "ED" }

local day, sec = ffi.new("int[1]"), ffi.new("int[1]")
local random = ffi.new("unsigned char[16]")

local _M = {}


local function refuse(status, code, msg)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.print(cjson.encode { error_code = code, error_msg = msg })
    return ngx.exit(status)
end


local function read_chain(text)
    local chain = {}
    local bio = ffi.gc(C.BIO_new_mem_buf(text, #text), C.BIO_free)

    while #chain < MAX_CHAIN do
        local x509 = C.PEM_read_bio_X509(bio, nil, nil, nil)
        if x509 == nil then
            break
        end
        chain[#chain + 1] = ffi.gc(x509, C.X509_free)
    end

    C.ERR_clear_error()
    C.BIO_free(ffi.gc(bio, nil))

    return chain
end


local function read_key(text)
    local bio = ffi.gc(C.BIO_new_mem_buf(text, #text), C.BIO_free)
    local pkey = C.PEM_read_bio_PrivateKey(bio, nil, nil, nil)

    C.BIO_free(ffi.gc(bio, nil))

    if pkey == nil then
        C.ERR_clear_error()
        return nil
    end

    return ffi.gc(pkey, C.EVP_PKEY_free)
end


-- frees now what would else wait for the collector
local function release(chain, pkey)
    for _, x509 in ipairs(chain) do
        C.X509_free(ffi.gc(x509, nil))
    end

    if pkey then
        C.EVP_PKEY_free(ffi.gc(pkey, nil))
    end
end


-- milliseconds since 1970 UTC
local function not_after(x509)
    C.ASN1_TIME_diff(day, sec, nil, C.X509_get0_notAfter(x509))
    return (ngx.time() + day[0] * 86400 + sec[0]) * 1000
end


local function new_id()
    C.RAND_bytes(random, 16)
    return (ffi.string(random, 16):gsub(".", function(c)
        return string.format("%02x", c:byte())
    end))
end


function _M.create(token)
    local m = ngx.re.match(ngx.var.uri,
        [[^/v1/([A-Za-z0-9_-]{1,64})/waf/certificate/?$]], "jo")
    if not m or ngx.req.get_method() ~= "POST" then
        return refuse(404, "WAF.00014009", "api.not.found")
    end

    if ngx.var.http_x_auth_token ~= token then
        return refuse(401, "WAF.00012001", "invalid.token")
    end

    ngx.req.read_body()

    local body = ngx.req.get_body_data()
    local ok, upload = pcall(cjson.decode, body)
    if not ok or type(upload) ~= "table" or type(upload.name) ~= "string"
        or type(upload.content) ~= "string" or type(upload.key) ~= "string"
    then
        return refuse(400, "WAF.00011003", "request.body.illegal")
    end

    if not ngx.re.find(upload.name, [[^[A-Za-z0-9_.-]{1,256}$]], "jo") then
        return refuse(400, "WAF.00011005", "name.illegal")
    end

    local chain = read_chain(upload.content)
    local pkey = read_key(upload.key)

    if #chain == 0 or not pkey
        or C.X509_check_private_key(chain[1], pkey) ~= 1
    then
        release(chain, pkey)
        C.ERR_clear_error()
        return refuse(400, "WAF.00021013", "cert.illegal")
    end

    local answer = {
        id = new_id(),
        name = upload.name,
        content = upload.content,
        key = upload.key,
        timestamp = math.floor(ngx.now() * 1000),
        expire_time = not_after(chain[1]),
        cert_type = (TYPES[C.EVP_PKEY_get_base_id(pkey)] or "")
                    .. C.EVP_PKEY_get_bits(pkey)
    }

    release(chain, pkey)

    local json = cjson.encode(answer)
    local name = "name/" .. m[1] .. "/" .. upload.name

    local added, err = certs:safe_add(name, answer.id)
    if added then
        added, err = certs:safe_set("id/" .. answer.id, json)
    end

    if err == "exists" then
        return refuse(400, "WAF.00011016", "name.duplicate")
    elseif not added then
        certs:delete(name)
        return refuse(403, "WAF.00022005", "insufficient.quota")
    end

    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #json
    ngx.print(json)
end


return _M
