-- Reads the queue as a whole.
-- KEYS     prelude.lua
-- Returns  { now, backlog, parked bookings that a claim may take, in flight, due, holds, overdue,
--            outbox entries, queue number of the front or false, its time of joining or false,
--            counters as names and values, epoch, admission and rules as names and values }
-- Cost     O(log N), and for each of at most 64 parked sets. Reads only.
local front = call('ZRANGE', QUEUE, '0', '0', 'WITHSCORES')
local first = front[1] and call('MGET', STATUS .. front[1])[1]
local ready, claimable = call('ZRANGE', READY, '0', '63'), 0
local lines = {}
for n = 1, #ready do
  local quantity, name = match(ready[n], '^(%d+) (.*)$')
  lines[n] = tonumber(quantity) .. ' ' .. name
end
if uses_items then load(lines) end
for n = 1, #lines do
  local item, quantity = wants[lines[n]].item, wants[lines[n]].quantity
  local parked = call('ZCARD', parked_set(item, quantity))
  if item.refused > 0 and quantity >= item.refused then
    parked = math.min(parked, math.floor(item.credit / quantity))
  end
  claimable = claimable + parked
end
return {
  now,
  call('ZCARD', QUEUE),
  claimable,
  call('ZCARD', LEASES),
  call('ZCOUNT', LEASES, '-inf', moment),
  call('ZCARD', TIMEOUTS),
  call('ZCOUNT', TIMEOUTS, '-inf', moment),
  call('XLEN', EVENTS),
  front[2] or false,
  take(first) and sub(value, reason_end + 1, reason_end + TIME_WIDTH) or false,
  call('HGETALL', STATS),
  call('HGETALL', META),
}
