-- Admission in nginx, as it is written in an afternoon: a hash a bucket, floating-point tokens, one EVALSHA a request.
-- Which organization a key belongs to is remembered a worker for ten seconds, by the key as it came: until then a key
-- that was revoked goes on working. With it stands its question to Redis, which is the same each time. Connections are kept.
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

local path, name, rate, capacity, digest, arguments
local owners = lrucache.new(10000)

function lean.configure(socket, instance, count, period)
    path, name, rate, capacity = "unix:" .. socket, instance, count / period * 1000000, count
    digest = to_hex(ngx.sha1_bin(script))
    arguments = {tostring(rate), tostring(capacity), tostring(math.ceil(capacity / rate) + 1)}
end

local function with_redis(ask, ...)
    local client = redis:new()
    client:set_timeout(2000)
    local ok, problem = client:connect(path)
    if not ok then return nil, problem end
    local answer, problem = ask(client, ...)
    if problem then client:close() else client:set_keepalive(60000, 256) end
    return answer, problem
end

-- The question that each call of a key asks, as it is sent.
local function question(...)
    local parts = {"*" .. select("#", ...)}
    for _, part in ipairs({...}) do table.insert(parts, "$" .. #part .. "\r\n" .. part) end
    return table.concat(parts, "\r\n") .. "\r\n"
end

local function look_up(client, key)
    local digester = sha256:new()
    digester:update(key)
    local found, problem = client:get("tg:1:cred:" .. to_hex(digester:final()))
    if problem or found == ngx.null then return nil, problem end
    local org, id = found:match("^(%S+) (%S+)$")
    local active, problem = client:hget("tg:1:{" .. org .. "}:k:" .. id, "is_active")
    if active ~= "1" then return nil, problem end
    local bucket = name .. ":{" .. org .. "}"
    local known = {
        org = org, id = org .. "/" .. id,
        question = question("EVALSHA", digest, "2", bucket, bucket .. ":" .. id, unpack(arguments)),
    }
    owners:set(key, known, 10)
    return known
end

local function load_script(client)
    return client:script("load", script)
end

local function ask(known)
    local socket = ngx.socket.tcp()
    socket:settimeout(2000)
    local ok, problem = socket:connect(path)
    if not ok then return nil, problem end
    local ok, problem = socket:send(known.question)
    if not ok then return nil, problem end
    local line, problem = socket:receive()
    if not line then return nil, problem end
    socket:setkeepalive(60000, 256)
    if line:sub(1, 1) == ":" then return tonumber(line:sub(2)) end
    if line:find("^-NOSCRIPT") and with_redis(load_script) then return ask(known) end
    return nil, line
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
    local known, problem = owners:get(key), nil
    if not known then known, problem = with_redis(look_up, key) end
    if not known and not problem then return refuse(401, "Invalid API key") end
    local left
    if known then left, problem = ask(known) end
    if not left then
        ngx.log(ngx.ERR, problem)
        return refuse(503, "Rate limiter unavailable")
    end
    left = left / 1000
    header["X-RateLimit-Limit"] = capacity
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
