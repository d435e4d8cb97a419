/**
 * Scripts that run in Redis as one step. They use the clock of Redis, so that the clocks of gateways do not matter.
 * Concurrency is one hash per key: gateway → "<how many> <until when>". A gateway that dies renews nothing, and its
 * count expires.
 */

const NOW = `local t = redis.call('TIME') local now = t[1] * 1000 + t[2] / 1000 `

/** A token bucket. ARGV: per minute, burst. Returns the wait in milliseconds; -1 when granted. */
export const TAKE = `${NOW}
local perMs = ARGV[1] / 60000
local room = tonumber(ARGV[2])
local was = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = room
if was[1] then tokens = math.min(room, was[1] + math.max(0, now - was[2]) * perMs) end
local wait = -1
if tokens < 1 then wait = math.max(1, math.ceil((1 - tokens) / perMs - 0.001)) else tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((room - tokens) / perMs) + 1000))
return wait`

/** ARGV: gateway, maximum, lease in milliseconds. Returns 1 when there was room. */
export const ENTER = `${NOW}
local all = redis.call('HGETALL', KEYS[1])
local sum, mine = 0, 0
for i = 1, #all, 2 do
  local count, till = string.match(all[i + 1], '^(%d+) (%d+)$')
  if all[i] == ARGV[1] then mine = tonumber(count) sum = sum + mine
  elseif tonumber(till) > now then sum = sum + tonumber(count)
  else redis.call('HDEL', KEYS[1], all[i]) end
end
if sum >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], (mine + 1) .. ' ' .. string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[3] * 2)
return 1`

/** ARGV: gateway. */
export const LEAVE = `
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return 0 end
local count, till = string.match(entry, '^(%d+) (%d+)$')
if tonumber(count) <= 1 then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], (count - 1) .. ' ' .. till)
return 1`

/** Renews the lease. ARGV: gateway, lease in milliseconds, count; -1 keeps the count. */
export const RENEW = `${NOW}
local count = tonumber(ARGV[3])
if count < 0 then
  local entry = redis.call('HGET', KEYS[1], ARGV[1])
  if not entry then return 0 end
  count = tonumber(string.match(entry, '^(%d+) '))
end
if count == 0 then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], count .. ' ' .. string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return 1`
