-- wrk -s upload.lua <url> -- <token> [<body> <prefix>]
--
-- Sends uploads, every one under a name that no other has, or, without a
-- body, what wrk sends by itself, with the token.  Prints what bench/run
-- reads: answers, microseconds, and how many were no success.

local OPEN = "_NAME.OF.CERTIFICATE"

local head, tail, prefix
local number = 0


local function upload()
    number = number + 1
    return head .. string.format(prefix, number) .. tail
end


function init(args)
    wrk.headers["X-Auth-Token"] = args[1]

    if not args[2] then
        return
    end

    local file = assert(io.open(args[2], "rb"))
    local body = file:read("*a")
    file:close()

    -- a name of the same length, so that Content-Length stays
    prefix = args[3] .. "-%0" .. (#OPEN - #args[3] - 1) .. "d"

    wrk.headers["Content-Type"] = "application/json"

    local sample = wrk.format("POST", wrk.path, wrk.headers, body)
    local first, last = sample:find(OPEN, 1, true)

    head = sample:sub(1, first - 1)
    tail = sample:sub(last + 1)
    request = upload
end


function done(summary)
    local e = summary.errors

    print(string.format("wrk: %d %d %d", summary.requests, summary.duration,
                        e.status + e.connect + e.read + e.write + e.timeout))
end
