-- The queue as a whole.
-- Returns  { now, admission, backlog, in flight, due, holds, overdue, outbox entries, ticket of the front or false,
--            its id or false, counters as names and values }
-- Cost     O(log N). Reads only.
local front = call('ZRANGE', QUEUE, 0, 0, 'WITHSCORES')
local id = front[1] and try('HGET', STATUS .. front[1], 'id')
if type(id) ~= 'string' then id = false end
return {
  now,
  call('HGET', META, 'admission'),
  call('ZCARD', QUEUE),
  call('ZCARD', LEASES),
  call('ZCOUNT', LEASES, '-inf', now),
  call('ZCARD', TIMEOUTS),
  call('ZCOUNT', TIMEOUTS, '-inf', now),
  call('XLEN', EVENTS),
  front[2] or false,
  id,
  call('HGETALL', STATS),
}
