"""The Lua that changes groups in Redis, each as one step. Times are Redis' own, in ms, unless a
test says what time it is.

    jr:alerts:group:<fingerprint>   hash: what Group holds, and per sink what it was told
    …:pods, …:versions              hashes: events by pod, first event by version
    …:jobs, …:customers             HyperLogLogs
    jr:alerts:index                 sorted set: fingerprints by their last event
    jr:alerts:new                   sorted set: fingerprints by when they were opened
    jr:alerts:due:<sink>            sorted set: fingerprints by when to look at them for this sink
    jr:alerts:sinks                 sorted set: sinks by when a relay last asked for them
    jr:alerts:taken:<process>       the number of the last batch taken of it
    jr:alerts:beats                 hash: when a process' heartbeat came through
"""

PREFIX = "jr:alerts:"

_PROLOGUE = """
local P = 'jr:alerts:'
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# ARGV: the batch as JSON, now. Returns 1, or 0 if the batch was taken before.
MERGE = (
    _PROLOGUE
    + """
local MAX_GROUPS, MAX_PODS, MAX_VERSIONS, MAX_IDS_A_CALL = 5000, 100, 50, 500
local RANKS = {warning = 0, error = 1, critical = 2}
local batch, now = cjson.decode(ARGV[1]), clock(ARGV[2])
local taken = P .. 'taken:' .. batch.process
if tonumber(redis.call('GET', taken) or 0) >= batch.number then return 0 end

-- A process's clock may be wrong; how long ago it saw something is right.
local shift = now - batch.sent_ms
local sinks = redis.call('ZRANGEBYSCORE', P .. 'sinks', now - 3600000, '+inf')

local function count_within(key, field, by, limit)
  if redis.call('HEXISTS', key, field) == 0 and redis.call('HLEN', key) >= limit then
    field = '(others)'
  end
  redis.call('HINCRBY', key, field, by)
end

local function note_ids(key, ids)
  for first = 1, #ids, MAX_IDS_A_CALL do
    redis.call('PFADD', key, unpack(ids, first, math.min(first + MAX_IDS_A_CALL - 1, #ids)))
  end
end

local function open(key, count, first)
  redis.call('DEL', key .. ':pods', key .. ':versions', key .. ':jobs', key .. ':customers')
  redis.call('HDEL', key, 'suppressed')
  redis.call('HSET', key, 'count', 0, 'first_ms', first, 'last_ms', first,
    'severity', count.severity, 'service', batch.service, 'environment', batch.environment)
  return redis.call('HINCRBY', key, 'opening', 1)
end

local function make_due(key, fingerprint, opening, is_new, is_urgent)
  for _, sink in ipairs(sinks) do
    local held, looked = unpack(redis.call('HMGET', key, 'held:' .. sink, 'looked:' .. sink))
    if tonumber(held or 0) <= now then  -- else whoever holds it looks again
      local due = now
      if not is_urgent then
        due = (is_new and now or math.max(now, tonumber(looked or 0))) + batch.wait_ms
      end
      redis.call('ZADD', P .. 'due:' .. sink, 'LT', due, fingerprint)
    end
  end
end

local function merge(count)
  local fingerprint = count.fingerprint
  local key = P .. 'group:' .. fingerprint
  if redis.call('EXISTS', key) == 0 and redis.call('ZCARD', P .. 'index') >= MAX_GROUPS then
    fingerprint = batch.overflow
    key = P .. 'group:' .. fingerprint
  end
  local first, last = math.min(now, count.first_ms + shift), math.min(now, count.last_ms + shift)
  local was = redis.call('HMGET', key, 'last_ms', 'opening', 'severity')
  local is_new = not was[1] or first - tonumber(was[1]) >= batch.resolve_after_ms
  local opening = is_new and open(key, count, first) or tonumber(was[2])
  local severity = is_new and count.severity or was[3]
  local is_worse = RANKS[count.severity] > RANKS[severity]
  if is_worse then redis.call('HSET', key, 'severity', count.severity) end
  redis.call('HINCRBY', key, 'count', count.count)
  local span = redis.call('HMGET', key, 'first_ms', 'last_ms')
  redis.call('HSET', key, 'first_ms', math.min(span[1], first), 'last_ms', math.max(span[2], last),
    'resolve_after_ms', batch.resolve_after_ms)
  if count.sample ~= cjson.null then redis.call('HSET', key, 'sample', count.sample) end
  count_within(key .. ':pods', batch.pod, count.count, MAX_PODS)
  if redis.call('HLEN', key .. ':versions') < MAX_VERSIONS then
    redis.call('HSETNX', key .. ':versions', batch.version, first)
  end
  note_ids(key .. ':jobs', count.jobs)
  note_ids(key .. ':customers', count.customers)
  for _, part in ipairs({'', ':pods', ':versions', ':jobs', ':customers'}) do
    redis.call('PEXPIRE', key .. part, batch.keep_ms)
  end
  redis.call('ZADD', P .. 'index', math.max(span[2], last), fingerprint)
  if is_new then redis.call('ZADD', P .. 'new', now, fingerprint) end
  local is_urgent = (is_new and (opening > 1 or count.severity == 'critical')) or is_worse
  make_due(key, fingerprint, opening, is_new, is_urgent)
end

for _, count in ipairs(batch.counts) do
  if count.is_heartbeat then
    redis.call('HSET', P .. 'beats', batch.process, now)
    redis.call('PEXPIRE', P .. 'beats', 600000)
  else
    merge(count)
  end
end
redis.call('ZREMRANGEBYSCORE', P .. 'index', '-inf', now - batch.keep_ms)
redis.call('ZREMRANGEBYSCORE', P .. 'new', '-inf', now - 3600000)
redis.call('SET', taken, batch.number, 'PX', 86400000)
return 1
"""
)

# What CLAIM and READ tell of a group.
_DESCRIBE = """
local function describe(fingerprint)
  local key = P .. 'group:' .. fingerprint
  local fields = redis.call('HGETALL', key)
  if #fields == 0 then return nil end
  return {fingerprint, fields, redis.call('HGETALL', key .. ':pods'),
    redis.call('HGETALL', key .. ':versions'),
    redis.call('PFCOUNT', key .. ':jobs'), redis.call('PFCOUNT', key .. ':customers')}
end
"""

# ARGV: sink, now, for how long in ms, how many at most, after how many ms of quiet a group is over.
# Returns now and the groups that are due,
# each with the version that `ACKNOWLEDGE` must name. Nobody else gets them meanwhile.
CLAIM = (
    _PROLOGUE
    + _DESCRIBE
    + """
local sink, now = ARGV[1], clock(ARGV[2])
local held_ms, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local due = P .. 'due:' .. sink
local seen = tonumber(redis.call('ZSCORE', P .. 'sinks', sink) or 0)
redis.call('ZADD', P .. 'sinks', now, sink)
if now - seen > 1800000 then
  -- Nobody has asked for this sink for long, or ever: look at what came since, or is not over.
  local since = seen > 0 and seen or now - tonumber(ARGV[5])
  for _, by in ipairs({'index', 'new'}) do  -- what comes late is new, though long ago
    for _, fingerprint in ipairs(redis.call('ZRANGEBYSCORE', P .. by, since, '+inf')) do
      redis.call('ZADD', due, 'NX', now, fingerprint)
    end
  end
end
local claimed = {}
for _, fingerprint in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  local key = P .. 'group:' .. fingerprint
  if redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', due, fingerprint)
  else
    redis.call('HINCRBY', key, 'version:' .. sink, 1)
    redis.call('HSET', key, 'held:' .. sink, now + held_ms)
    redis.call('ZADD', due, now + held_ms, fingerprint)
    claimed[#claimed + 1] = describe(fingerprint)
  end
end
return {now, claimed}
"""
)

# ARGV: sink, now, fingerprint, version, opening, count, what the sink was told (JSON or ''),
# when to look again ('' never), wait in ms, why it is not told ('' if it is).
# Returns 0 if another relay has claimed it since.
ACKNOWLEDGE = (
    _PROLOGUE
    + """
local sink, now, fingerprint = ARGV[1], clock(ARGV[2]), ARGV[3]
local key, due = P .. 'group:' .. fingerprint, P .. 'due:' .. sink
local now_is = redis.call('HMGET', key, 'version:' .. sink, 'opening', 'count')
if now_is[1] ~= ARGV[4] then return 0 end
redis.call('HDEL', key, 'held:' .. sink)
redis.call('HSET', key, 'looked:' .. sink, now)
if ARGV[7] ~= '' then redis.call('HSET', key, 'told:' .. sink, ARGV[7]) end
if ARGV[10] ~= '' then redis.call('HSET', key, 'suppressed', ARGV[10])
else redis.call('HDEL', key, 'suppressed') end
local again = tonumber(ARGV[8])
if now_is[2] ~= ARGV[5] or now_is[3] ~= ARGV[6] then  -- more has come since it was claimed
  again = math.min(again or math.huge, now + tonumber(ARGV[9]))
end
if again then redis.call('ZADD', due, again, fingerprint)
else redis.call('ZREM', due, fingerprint) end
return 1
"""
)

# ARGV: fingerprints. Returns those groups there are.
READ = (
    _PROLOGUE
    + _DESCRIBE
    + """
local found = {}
for _, fingerprint in ipairs(ARGV) do
  local group = describe(fingerprint)
  if group then found[#found + 1] = group end
end
return found
"""
)

# ARGV: sink, how many ms its turns are apart. Returns 1 if this is one.
TURN = """
if redis.call('SET', 'jr:alerts:turn:' .. ARGV[1], 1, 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""
