-- wrk -s upload.lua <url> -- <token> [<bodies> <prefix>]
--
-- Sends uploads, every one under a name that no other has, of the bodies in
-- turn that are the lines of a file, or, without one, what wrk sends by itself,
-- with the token.  Prints what bench/run reads: answers, microseconds, and how
-- many were no success.

local OPEN = "_NAME.OF.CERTIFICATE"

local heads, tails, prefix = {}, {}
local number = 0


local function upload()
    local i = number % #heads + 1

    number = number + 1
    return heads[i] .. string.format(prefix, number) .. tails[i]
end


function init(args)
    wrk.headers["X-Auth-Token"] = args[1]

    if not args[2] then
        return
    end

    -- a name of the same length, so that Content-Length stays
    prefix = args[3] .. "-%0" .. (#OPEN - #args[3] - 1) .. "d"

    wrk.headers["Content-Type"] = "application/json"

    for body in io.lines(args[2]) do
        local sample = wrk.format("POST", wrk.path, wrk.headers, body)
        local first, last = sample:find(OPEN, 1, true)

        heads[#heads + 1] = sample:sub(1, first - 1)
        tails[#tails + 1] = sample:sub(last + 1)
    end

    request = upload
end


function done(summary)
    local e = summary.errors

    print(string.format("wrk: %d %d %d", summary.requests, summary.duration,
                        e.status + e.connect + e.read + e.write + e.timeout))
end
