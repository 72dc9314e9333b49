-- Turns overdue holds into releases that are due now, earliest deadline first, and records the sweeper's heartbeat.
-- ARGV     3 how many at most
-- Returns  { how many, next deadline in ms from now or false }; 0 means that more are overdue
-- Cost     O(log N) for each hold; at most 256 holds. Members without a readable booking are dropped and counted.
-- Repeat   Finds the next ones.
local keys, kept, leased, events, expired = {}, {}, {}, {}, 0
local overdue = call('ZRANGEBYSCORE', TIMEOUTS, '-inf', moment, 'LIMIT', '0', ARGV[3])
for n = 1, #overdue do keys[n] = STATUS .. overdue[n] end
local values = overdue[1] and call('MGET', unpack(keys))
for n = 1, #overdue do
  local was = values[n] or ''
  if sub(was, 66, 80) == '\nreserved   - -' then
    expired = expired + 1
    local two, three = 2 * expired, 3 * expired
    local lead = sub(was, 1, 65)
    kept[two - 1], kept[two] = keys[n], lead .. '\nreleasing  e - 000' .. sub(was, 85)
    leased[two - 1], leased[two] = moment, overdue[n]
    events[three - 2], events[three - 1], events[three] = overdue[n], 'reserved>releasing expired', lead
  end
end

if kept[1] then call('MSET', unpack(kept)) end
if overdue[1] then call('ZREM', TIMEOUTS, unpack(overdue)) end
zadd(LEASES, leased)
if #overdue > expired then call('HINCRBY', STATS, 'damaged', text(#overdue - expired)) end
call('HSET', STATS, 'swept_at', text(now))
if expired > 0 then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end

local earliest = call('ZRANGE', TIMEOUTS, '0', '0', 'WITHSCORES')
return { expired, earliest[2] and math.max(0, earliest[2] - now) or false }
