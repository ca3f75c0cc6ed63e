-- Admission in nginx: SHA-256 of the key, one EVALSHA that checks the record and charges two buckets, the X-RateLimit
-- fields. Which record a key has never changes, so it is remembered a worker; everything that may change is asked.
local redis = require "nginx.redis"
local sha256 = require "nginx.sha256"
local to_hex = require("nginx.string").to_hex
local lrucache = require "resty.lrucache"
local floor, ceil = math.floor, math.ceil

local full = {}

-- KEYS: the organization, the record, two buckets. ARGV: hash of the key; for each bucket units that leak a microsecond,
-- capacity and cost in units. The arithmetic is tollgate's (docs/design.md, "Limits").
local script = [[
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local record = redis.call('HMGET', KEYS[2], 'key_hash', 'is_active', 'not_before', 'expires_at')
if record[1] ~= ARGV[1] or record[2] ~= '1' then return {now, 2} end
if record[3] and now < record[3] * 1000000 or record[4] and now >= record[4] * 1000000 then return {now, 2} end
if redis.call('HGET', KEYS[1], 'status') ~= 'active' then return {now, 2} end
local owed, admitted = {}, true
for i = 1, 2 do
  local leak, full, cost = tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3]), tonumber(ARGV[i * 3 + 1])
  local state, x = redis.call('GET', KEYS[i + 2]), 0
  if state then
    local empty, rest = string.match(state, '^(%d+) ?(%d*)$')
    x = (empty - now) * leak + (tonumber(rest) or 0)
    if x < 0 then x = 0 elseif x > full then x = full end
  end
  if x + cost > full then admitted = false end
  owed[i] = x
end
if not admitted then return {now, 0, owed[1], owed[2]} end
for i = 1, 2 do
  local leak, cost = tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3 + 1])
  owed[i] = owed[i] + cost
  local rest = owed[i] % leak
  local wait = (owed[i] - rest) / leak
  local state = string.format('%.0f %.0f', now + wait, rest)
  redis.call('SET', KEYS[i + 2], state, 'PX', string.format('%.0f', math.ceil((wait + 1) / 1000)))
end
return {now, 1, owed[1], owed[2]}
]]

local socket, name, digest, leak, token, capacity
local pointers = lrucache.new(10000)

local function gcd(a, b)
    while b ~= 0 do a, b = b, a % b end
    return a
end

function full.configure(path, instance, count, period)
    socket, name = path, instance
    local divisor = gcd(count, period)
    leak, token = count / divisor, period / divisor
    capacity = count * token
end

local function connect()
    local client = redis:new()
    client:set_timeout(2000)
    local ok, problem = client:connect("unix:" .. socket)
    if not ok then return nil, problem end
    return client
end

local function ask(client, org, id, hash)
    if not digest then
        local found, problem = client:script("load", script)
        if not found then return nil, problem end
        digest = found
    end
    local prefix = "tg:1:{" .. org .. "}"
    local reply, problem = client:evalsha(
        digest, 4, prefix, prefix .. ":k:" .. id, name .. ":{" .. org .. "}", name .. ":{" .. org .. "}:" .. id,
        hash, leak, capacity, token, leak, capacity, token)
    if not reply and problem and problem:find("^NOSCRIPT") then
        digest = nil
        return ask(client, org, id, hash)
    end
    return reply, problem
end

local function refuse(status, title, detail, challenge)
    ngx.status = status
    ngx.header["Content-Type"] = "application/problem+json"
    ngx.header["Cache-Control"] = "no-store"
    if challenge then ngx.header["WWW-Authenticate"] = challenge end
    ngx.print(string.format(
        '{"type":"about:blank","title":"%s","status":%d,"detail":"%s","correlation_id":"%s"}',
        title, status, detail, ngx.var.correlation_id))
    return ngx.exit(status)
end

local function unavailable(client)
    if client then client:close() end
    ngx.header["Retry-After"] = 1
    return refuse(503, "Service Unavailable", "Rate limiter unavailable")
end

function full.admit()
    local var, header = ngx.var, ngx.header
    local id = var.http_x_correlation_id
    if not id or #id > 128 or not ngx.re.find(id, "^[A-Za-z0-9._-]+$", "jo") then id = var.request_id end
    var.correlation_id = id
    header["X-Correlation-ID"] = id

    local key = var.http_x_api_key
    if not key then
        return refuse(401, "Unauthorized", "Missing API key. Provide X-API-Key header.", 'Bearer realm="tollgate"')
    end
    local digester = sha256:new()
    digester:update(key)
    local hash = to_hex(digester:final())
    local client = connect()
    if not client then return unavailable() end
    local pointer = pointers:get(hash)
    if not pointer then
        local found, problem = client:get("tg:1:cred:" .. hash)
        if problem then return unavailable(client) end
        if found ~= ngx.null then
            local org, local_id = found:match("^(%S+) (%S+)$")
            pointer = {org = org, id = local_id}
            pointers:set(hash, pointer)
        end
    end
    local reply, problem
    if pointer then
        reply, problem = ask(client, pointer.org, pointer.id, hash)
        if not reply then return unavailable(client) end
    end
    client:set_keepalive(60000, 256)
    if not reply or reply[2] == 2 then
        return refuse(
            401, "Unauthorized", "Invalid or inactive API key", 'Bearer realm="tollgate", error="invalid_token"')
    end
    local owed = reply[3] > reply[4] and reply[3] or reply[4]
    header["X-RateLimit-Limit"] = capacity / token
    header["X-RateLimit-Remaining"] = floor((capacity - owed) / token)
    header["X-RateLimit-Reset"] = ceil((reply[1] + ceil(owed / leak)) / 1000000)
    if reply[2] == 0 then
        header["Retry-After"] = ceil(ceil((owed + token - capacity) / leak) / 1000000)
        return refuse(429, "Too Many Requests", "Rate limit exceeded")
    end
    var.org = pointer.org
    var.key_id = pointer.org .. "/" .. pointer.id
end

return full
