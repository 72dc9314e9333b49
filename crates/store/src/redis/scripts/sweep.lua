-- Turns overdue holds into releases that are due now, earliest deadline first, and records the
-- sweeper's heartbeat.
-- KEYS     prelude.lua
-- ARGV     3 most holds
-- Returns  { expired holds, next deadline in ms from now or false }; 0 means that more are overdue
-- Cost     O(log N) for each hold; at most 256 holds. Members without a readable booking are
--          dropped and counted.
-- Repeat   Expires the next ones.
local keys, writes, leased, events, expired = {}, {}, {}, {}, 0
local overdue = call('ZRANGEBYSCORE', TIMEOUTS, '-inf', moment, 'LIMIT', '0', ARGV[3])
for n = 1, #overdue do keys[n] = STATUS .. overdue[n] end
local values = overdue[1] and call('MGET', unpack(keys))
for n = 1, #overdue do
  local was = values[n] or ''
  if sub(was, STATE_START - 1, CLAIMED_AT) == '\nreserved   - -' then
    expired = expired + 1
    local two, three = 2 * expired, 3 * expired
    local token = sub(was, 1, TOKEN_END)
    writes[two - 1] = keys[n]
    writes[two] = token .. '\nreleasing  e - 000' .. sub(was, HOLD_START - 1)
    leased[two - 1], leased[two] = moment, overdue[n]
    events[three - 2], events[three - 1], events[three] =
      overdue[n], 'reserved>releasing expired', token
  end
end

if writes[1] then call('MSET', unpack(writes)) end
if overdue[1] then call('ZREM', TIMEOUTS, unpack(overdue)) end
zadd(LEASES, leased)
if #overdue > expired then call('HINCRBY', STATS, 'damaged', text(#overdue - expired)) end
call('HSET', STATS, 'swept_at', text(now))
if expired > 0 then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end

local earliest = call('ZRANGE', TIMEOUTS, '0', '0', 'WITHSCORES')
return { written, { expired, earliest[2] and math.max(0, earliest[2] - now) or false } }
