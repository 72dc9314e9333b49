-- Reads the queue as a whole.
-- KEYS     prelude.lua
-- Returns  { now, admission or false, backlog, in flight, due, holds, overdue, outbox entries,
--            queue number of the front or false, its time of joining or false, counters as names
--            and values, epoch or false }
-- Cost     O(log N). Reads only.
local front = call('ZRANGE', QUEUE, '0', '0', 'WITHSCORES')
local first = front[1] and call('MGET', STATUS .. front[1])[1]
local meta = call('HMGET', META, 'admission', 'epoch')
return {
  now,
  meta[1],
  call('ZCARD', QUEUE),
  call('ZCARD', LEASES),
  call('ZCOUNT', LEASES, '-inf', moment),
  call('ZCARD', TIMEOUTS),
  call('ZCOUNT', TIMEOUTS, '-inf', moment),
  call('XLEN', EVENTS),
  front[2] or false,
  take(first) and sub(value, reason_end + 1, reason_end + TIME_WIDTH) or false,
  call('HGETALL', STATS),
  meta[2],
}
