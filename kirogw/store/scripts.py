"""What runs inside Redis, each script in one step. Its clock is the one clock of all machines.

A document is a field of the hash `doc:KIND`, as `version|at|ends|JSON`: so a script finds the version without reading
the JSON. `ends` has the documents with a ttl, by the second at which they end, `marks` the last version of each kind.
Counters lie in one hash for each first two parts of their names, and `counts` lists those; logs lie in streams, and
`logs` has their last numbers.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "kirogw:"
VERSION: Final = 2
"""1: the keys. 2: `counts` lists the hashes of counters, and `about` says which kirogw has made the keys so."""

_HEAD: Final = f"""
local P = '{PREFIX}'
local at = 1
local function take()
    at = at + 1
    return ARGV[at - 1]
end
local function whole(n) return string.format('%.0f', n) end
"""

_CLOCK: Final = """
local function clock(given)
    if given ~= '' then return tonumber(given) end
    local t = redis.call('TIME')
    return tonumber(t[1]) + tonumber(t[2]) / 1000000
end
"""

WRITE: Final = (
    _HEAD
    + _CLOCK
    + """
-- version, clock, once, count of changes, (put or delete, kind, id, if_version, ttl, JSON)...,
-- count of amounts, (bucket, name, amount)..., count of logs, (log, count, JSON...)...
local want, now, once = take(), clock(take()), take()
local have = redis.call('GET', P .. 'version')
if not have then redis.call('SET', P .. 'version', want)
elseif have ~= want then return redis.error_reply('VERSION ' .. have) end
if once ~= '' then
    local done = redis.call('GET', P .. 'once:' .. once)
    if done then return cjson.decode(done) end
end

local function version(kind, id)
    local raw = redis.call('HGET', P .. 'doc:' .. kind, id)
    if not raw then return 0 end
    local number, ends = string.match(raw, '^(%d+)|[^|]*|([^|]*)|')
    if ends ~= '' and tonumber(ends) <= now then return 0 end
    return tonumber(number)
end

-- what each change does, before anything is done
local changes, versions, marks, results = {}, {}, {}, {}
for n = 1, tonumber(take()) do
    local change = {put = take() == 'put', kind = take(), id = take(), want = take(), ttl = take(), json = take()}
    local key = change.kind .. '\\0' .. change.id
    if not versions[key] then versions[key] = version(change.kind, change.id) end
    if change.want ~= '' and tonumber(change.want) ~= versions[key] then
        return redis.error_reply('CONFLICT ' .. change.kind .. ' ' .. change.id)
    end
    change.does = change.put or versions[key] > 0
    if change.does then
        local last = marks[change.kind] or tonumber(redis.call('HGET', P .. 'marks', change.kind) or 0)
        marks[change.kind] = last + 1
        versions[key] = change.put and last + 1 or 0
    end
    change.version = versions[key]
    results[n] = change.put and change.version or (change.does and 1 or 0)
    changes[n] = change
end

-- A server that is full says so at the first command that takes room, and never after one that was done.
for _, change in ipairs(changes) do
    local member, ends = change.kind .. '\\0' .. change.id, ''
    if change.ttl ~= '' then ends = string.format('%.6f', now + tonumber(change.ttl)) end
    if change.put then
        local head = whole(change.version) .. '|' .. string.format('%.6f', now) .. '|' .. ends .. '|'
        redis.call('HSET', P .. 'doc:' .. change.kind, change.id, head .. change.json)
    elseif change.does then
        redis.call('HDEL', P .. 'doc:' .. change.kind, change.id)
    end
    if ends ~= '' then
        redis.call('ZADD', P .. 'ends', ends, member)
    elseif change.does then
        redis.call('ZREM', P .. 'ends', member)
    end
end
for kind, last in pairs(marks) do redis.call('HSET', P .. 'marks', kind, whole(last)) end

for _ = 1, tonumber(take()) do
    local bucket = take()
    redis.call('ZADD', P .. 'counts', 0, bucket)
    redis.call('HINCRBYFLOAT', P .. 'count:' .. bucket, take(), take())
end

for _ = 1, tonumber(take()) do
    local log, count = take(), tonumber(take())
    local last = redis.call('HINCRBY', P .. 'logs', log, count)
    for n = last - count + 1, last do
        redis.call('XADD', P .. 'log:' .. log, whole(n) .. '-0', 'at', string.format('%.6f', now), 'v', take())
    end
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', P .. 'ends', '-inf', now, 'LIMIT', 0, 100)) do
    local cut = string.find(member, '\\0', 1, true)
    redis.call('HDEL', P .. 'doc:' .. string.sub(member, 1, cut - 1), string.sub(member, cut + 1))
    redis.call('ZREM', P .. 'ends', member)
end
if once ~= '' then redis.call('SET', P .. 'once:' .. once, cjson.encode(results), 'EX', 600) end
return results
"""
)

LEASE: Final = (
    _HEAD
    + """
-- name, owner, milliseconds, an owner that is dead
local key, owner, time, dead = P .. 'lease:' .. take(), take(), take(), take()
local held = redis.call('GET', key)
if held and held ~= owner and held ~= dead then return held end
redis.call('SET', key, owner, 'PX', time)
return owner
"""
)

RELEASE: Final = (
    _HEAD
    + """
local key, owner = P .. 'lease:' .. take(), take()
if redis.call('GET', key) == owner then redis.call('DEL', key) end
"""
)

FORGET: Final = (
    _HEAD
    + """
-- prefix, buckets...
local prefix = take()
for n = 2, #ARGV do
    local key = P .. 'count:' .. ARGV[n]
    for _, name in ipairs(redis.call('HKEYS', key)) do
        if string.sub(name, 1, #prefix) == prefix then redis.call('HDEL', key, name) end
    end
    if redis.call('EXISTS', key) == 0 then redis.call('ZREM', P .. 'counts', ARGV[n]) end
end
"""
)

MIGRATE: Final = (
    _HEAD
    + """
-- our version, our name; gives the version that is there now
local want, name = tonumber(take()), take()
local have = tonumber(redis.call('GET', P .. 'version') or 0)
if have > want then return have end
if have == 1 then
    local head = P .. 'count:'
    for _, key in ipairs(redis.call('KEYS', head .. '*')) do
        redis.call('ZADD', P .. 'counts', 0, string.sub(key, #head + 1))
    end
end
if have < want then redis.call('SET', P .. 'version', whole(want)) end
if have < want or redis.call('HEXISTS', P .. 'about', 'kirogw') == 0 then
    redis.call('HSET', P .. 'about', 'kirogw', name)
end
return want
"""
)
