-- The guard as one would script it in nginx: reads are stamped, a write needs the tag of the newest version, and two writes to one
-- resource never overlap. What ifmatch does beyond that, and where this script is not safe, is in ../README.md.

local ngx = ngx
local var = ngx.var
local exit = ngx.exit
local get_method = ngx.req.get_method

-- Versions by resource; one that is not there is at 0. Marks of the resources that are being written.
local versions = ngx.shared.versions
local writes = ngx.shared.writes

-- Tags of an earlier life of nginx match nothing: it has forgotten its versions. Set in the master, so workers share it.
local life = string.format('"%x-', ngx.now() * 1000)

local guard = {}

local function current_tag(resource)
    return life .. (versions:get(resource) or 0) .. '"'
end

local function read(resource)
    local tag = current_tag(resource)
    if var.http_if_none_match == tag then
        ngx.header["ETag"] = tag
        return exit(304)
    end
    -- As it was before the origin is asked: a later one could be put on older content.
    ngx.ctx.tag = tag
end

local function write(resource, method)
    local stated = var.http_if_match
    if method ~= "POST" then
        if not stated then
            return exit(428)
        end
        if stated ~= current_tag(resource) then
            return exit(412)
        end
    end
    if not writes:add(resource, true) then
        return exit(409)
    end
    -- Another worker may have ended a write since.
    if stated and stated ~= current_tag(resource) then
        writes:delete(resource)
        return exit(412)
    end
    ngx.ctx.writes = resource
end

-- A fresh version first, then the resource is free again.
local function settle(resource)
    local version = versions:incr(resource, 1, 0)
    writes:delete(resource)
    return version
end

function guard.access()
    local method = get_method()
    if method == "GET" or method == "HEAD" then
        return read(var.uri)
    end
    return write(var.uri, method)
end

function guard.header_filter()
    local ctx = ngx.ctx
    local status = ngx.status
    if ctx.tag then
        if status == 200 then
            ngx.header["ETag"] = ctx.tag
        end
    elseif ctx.writes then
        local resource = ctx.writes
        ctx.writes = nil
        if status >= 400 and status < 500 then
            writes:delete(resource)
        else
            local version = settle(resource)
            if status < 300 then
                ngx.header["ETag"] = life .. (version or 0) .. '"'
            end
        end
    end
end

-- For a write that ended without an answer.
function guard.log()
    local resource = ngx.ctx.writes
    if resource then
        settle(resource)
    end
end

return guard
