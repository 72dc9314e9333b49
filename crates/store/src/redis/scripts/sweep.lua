-- Turns overdue holds into releases that are due now, earliest deadline first, and records the sweeper's heartbeat.
-- ARGV     3 how many at most
-- Returns  { how many, next deadline in ms from now or false }; 0 means that more are overdue
-- Cost     O(log N) for each hold; at most 256 holds. Members without a readable booking are dropped and counted.
-- Repeat   Finds the next ones.
local overdue = call('ZRANGEBYSCORE', TIMEOUTS, '-inf', moment, 'LIMIT', '0', ARGV[3])
local keys, values = read_list(overdue)
local leased, expired = {}, 0
for n = 1, #overdue do
  local client = overdue[n]
  if take(values[n]) == 'reserved' then
    put(keys[n], 'releasing', fence, 'expired', '0')
    leased[2 * expired + 1], leased[2 * expired + 2] = moment, client
    expired = expired + 1
    tell(client, 'reserved>releasing', unsigned(fence), 'expired')
  end
end

save()
zrem(TIMEOUTS, overdue)
zadd(LEASES, leased)
count('damaged', #overdue - expired)
call('HSET', STATS, 'swept_at', moment)
publish(moment)

local earliest = call('ZRANGE', TIMEOUTS, '0', '0', 'WITHSCORES')
return { expired, earliest[2] and math.max(0, earliest[2] - now) or false }
