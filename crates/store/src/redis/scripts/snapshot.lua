-- The queue as a whole.
-- Returns  { now, admission, backlog, in flight, due, holds, overdue, outbox entries, ticket of the front or false,
--            its id or false, counters as names and values }
-- Cost     O(log N). Reads only.
local front = call('ZRANGE', QUEUE, '0', '0', 'WITHSCORES')
local _, values = read_list({ front[1] })
local known = take(values[1])
return {
  now,
  call('HGET', META, 'admission'),
  call('ZCARD', QUEUE),
  call('ZCARD', LEASES),
  call('ZCOUNT', LEASES, '-inf', moment),
  call('ZCARD', TIMEOUTS),
  call('ZCOUNT', TIMEOUTS, '-inf', moment),
  call('XLEN', EVENTS),
  front[2] or false,
  known and id or false,
  call('HGETALL', STATS),
}
