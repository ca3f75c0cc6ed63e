-- Admission in nginx, as it is written in an afternoon: a hash a bucket, floating-point tokens, one EVALSHA a request.
-- Which organization a key belongs to is remembered a worker for ten seconds, by the key as it came: until then a key
-- that was revoked goes on working. Connections to Redis are kept.
local redis = require "nginx.redis"
local sha256 = require "nginx.sha256"
local to_hex = require("nginx.string").to_hex
local lrucache = require "resty.lrucache"

local lean = {}

-- KEYS: buckets, of which all must have a token, or none gives one. ARGV: tokens a second, capacity, seconds to expiry.
-- Answers what is left of the emptiest, in thousandths; below zero nothing was taken. One integer is read fastest.
local script = [[
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local tokens, left = {}, capacity
for i, key in ipairs(KEYS) do
  local bucket = redis.call('HMGET', key, 'tokens', 'time')
  local held = capacity
  if bucket[1] then held = math.min(capacity, bucket[1] + (now - bucket[2]) * rate) end
  tokens[i] = held - 1
  left = math.min(left, tokens[i])
end
if left >= 0 then
  for i, key in ipairs(KEYS) do
    redis.call('HSET', key, 'tokens', tokens[i], 'time', now)
    redis.call('EXPIRE', key, ARGV[3])
  end
end
return math.floor(left * 1000)
]]

local socket, name, rate, capacity, expiry, digest
local owners = lrucache.new(10000)

function lean.configure(path, instance, count, period)
    socket, name, rate, capacity = "unix:" .. path, instance, count / period * 1000000, count
    expiry = math.ceil(capacity / rate) + 1
end

local function connect()
    local client = redis:new()
    client:set_timeout(2000)
    local ok, problem = client:connect(socket)
    if not ok then return nil, problem end
    return client
end

local function owner(client, key)
    local known = owners:get(key)
    if known then return known end
    local digester = sha256:new()
    digester:update(key)
    local found = client:get("tg:1:cred:" .. to_hex(digester:final()))
    if not found or found == ngx.null then return nil end
    local org, id = found:match("^(%S+) (%S+)$")
    if client:hget("tg:1:{" .. org .. "}:k:" .. id, "is_active") ~= "1" then return nil end
    known = {
        org = org, id = org .. "/" .. id, org_bucket = name .. ":{" .. org .. "}",
        key_bucket = name .. ":{" .. org .. "}:" .. id,
    }
    owners:set(key, known, 10)
    return known
end

local function ask(client, known)
    if not digest then
        local found, problem = client:script("load", script)
        if not found then return nil, problem end
        digest = found
    end
    local reply, problem = client:evalsha(digest, 2, known.org_bucket, known.key_bucket, rate, capacity, expiry)
    if not reply and problem and problem:find("^NOSCRIPT") then
        digest = nil
        return ask(client, known)
    end
    return reply, problem
end

local function refuse(status, title)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.print('{"error":"' .. title .. '"}')
    return ngx.exit(status)
end

function lean.admit()
    local var, header = ngx.var, ngx.header
    local key = var.http_x_api_key
    if not key then return refuse(401, "Missing API key") end
    local client, problem = connect()
    if not client then
        ngx.log(ngx.ERR, problem)
        return refuse(503, "Rate limiter unavailable")
    end
    local known = owner(client, key)
    if not known then
        client:set_keepalive(60000, 256)
        return refuse(401, "Invalid API key")
    end
    local reply, problem = ask(client, known)
    if not reply then
        ngx.log(ngx.ERR, problem)
        client:close()
        return refuse(503, "Rate limiter unavailable")
    end
    client:set_keepalive(60000, 256)
    header["X-RateLimit-Limit"] = capacity
    local left = reply / 1000
    if left < 0 then
        header["X-RateLimit-Remaining"] = 0
        header["X-RateLimit-Reset"] = ngx.time() + math.ceil((capacity - left - 1) / rate)
        header["Retry-After"] = math.ceil(-left / rate)
        return refuse(429, "Rate limit exceeded")
    end
    header["X-RateLimit-Remaining"] = math.floor(left)
    header["X-RateLimit-Reset"] = ngx.time() + math.ceil((capacity - left) / rate)
    var.org = known.org
    var.key_id = known.id
end

return lean
