-- What one would write with lua-nginx-module: certificates in a table (here
-- all hosts have the same, from a file), parsed once and kept.

local ssl = require("ngx.ssl")

local parsed = {}


local function read(name)
    local f = assert(io.open(ngx.config.prefix() .. "conf/" .. name))
    local text = f:read("*a")

    f:close()

    return text
end


local function load(host)
    local pair = {
        chain = assert(ssl.parse_pem_cert(read("leaf.pem"))),
        key = assert(ssl.parse_pem_priv_key(read("leaf.key")))
    }

    parsed[host] = pair

    return pair
end


local function serve()
    local host = ssl.server_name() or ""
    local pair = parsed[host] or load(host)

    assert(ssl.clear_certs())
    assert(ssl.set_cert(pair.chain))
    assert(ssl.set_priv_key(pair.key))
end


return { serve = serve }
