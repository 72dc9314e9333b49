-- Turns overdue holds into releases that are due now, earliest deadline first, and records the sweeper's heartbeat.
-- ARGV     3 how many at most
-- Returns  { how many, next deadline in ms from now or false }; 0 means that more are overdue
-- Cost     O(log N) for each hold; at most 256 holds. Members without a readable booking are dropped and counted.
-- Repeat   Finds the next ones.
local gone, leased, expired = {}, {}, 0
for _, client in ipairs(call('ZRANGEBYSCORE', TIMEOUTS, '-inf', now, 'LIMIT', 0, ARGV[3])) do
  local key = STATUS .. client
  local row = read_booking(key)
  gone[#gone + 1] = client
  local state, fence = booking(row)
  if state == 'reserved' then
    call('HSET', key, 'state', written('releasing', fence, 'expired'))
    expired = expired + 1
    leased[#leased + 1] = now
    leased[#leased + 1] = client
    tell(client, 'reserved>releasing ', unsigned(fence), 'expired', row[ID])
  end
end

zrem(TIMEOUTS, gone)
zadd(LEASES, leased)
count('damaged', #gone - expired)
call('HSET', STATS, 'swept_at', now)
publish(now)

local earliest = call('ZRANGE', TIMEOUTS, 0, 0, 'WITHSCORES')
return { expired, earliest[2] and math.max(0, earliest[2] - now) or false }
