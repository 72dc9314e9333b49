-- Claims tasks: due ones first, earliest lease end first; then who waits, smallest place first, as
-- far as the rules of the sale and the items allow. Ends and parks bookings whose item is closed.
-- KEYS     prelude.lua
-- ARGV     3 most tasks   4 lease, ms   5 whom to serve beside due tasks: 'everything' those that
--          wait, 'once_ruled' the same once the rules of the sale were written, 'due_only' none
-- Returns  { now, next task in µs or false, 1 if more can be claimed now, items, task... }
--          An item is { name, returned quantity, 1 if it was never sold out }. A task is 3
--          values: client, claim token, the booking before the claim.
-- Cost     O(log N) for each task; at most 256 tasks, and as many bookings that end or are parked.
--          Members without a readable booking are dropped and counted.
-- Repeat   Claims other tasks. The tasks of a lost answer are due again when their lease ends.
if events[1] then
  call('HSET', STATS, 'claimed', text(before + given),
    'entries', publish(counts[2], moment, events),
    'dispatched', text((counts[3] or 0) + dispatched))
end
if given > 0 then
  call('MSET', unpack(writes))
  zadd(LEASES, leased)
end
if released[1] then
  call('MSET', unpack(released))
  zadd(LEASES, released_leases)
end
retain(finals)
if gone[1] then call('ZREM', LEASES, unpack(gone)) end
if passed > 0 then call('ZREMRANGEBYRANK', QUEUE, '0', text(passed - 1)) end
local left = waiting
for key, taken in pairs(cut) do left = left - call('ZREMRANGEBYRANK', key, '0', text(taken - 1)) end
for n = 1, #strays, 2 do
  local found = call('ZREM', strays[n], strays[n + 1])
  if find(strays[n], '^%d', #PARKED + 1) then left = left - found end
end
for key, set in pairs(parked) do left = left + zadd(key, set.scored) end
if left ~= waiting then call('HSET', STATS, 'waiting', text(left)) end
if parks > 0 then call('HINCRBY', STATS, 'parked', text(parks)) end
if finals[1] then call('HINCRBY', STATS, 'sold_out', text(#finals / 2)) end
if reclaimed > 0 then call('HINCRBY', STATS, 'reclaimed', text(reclaimed)) end
if damaged > 0 then call('HINCRBY', STATS, 'damaged', text(damaged)) end
if interval then
  call('HSET', META, 'tat', text(tat + (served - room) * interval), 'tat_at', moment)
end
if uses_items then
  save_items()
  for name, item in pairs(items) do
    reply[4][#reply[4] + 1] = { name, item.returned, is_untouched(item) and 1 or 0 }
  end
end

-- When a later claim may find a task without any other change, and whether more is there now.
local earliest = call('ZRANGE', LEASES, '0', '0', 'WITHSCORES')
local due_at = earliest[2] and tonumber(earliest[2]) or math.huge
if opens_in then due_at = math.min(due_at, now + opens_in) end
if served then
  local waits = call('ZCARD', QUEUE) > 0 or (left > 0 and call('ZCARD', READY) > 0)
  if (waits and given >= max) or (aside == 256 and room > 0) then reply[3] = 1 end
  if tokens and waits and room == 0 and tokens == served then
    due_at = math.min(due_at, (tat + (served + 1) * interval - burst_span) / 1000)
  end
  local probe = left > 0
    and call('ZRANGEBYSCORE', CLOSED, '(0', '(+inf', 'LIMIT', '0', '1', 'WITHSCORES')
  local probe_at = probe and probe[2] and math.max(tonumber(probe[2]), next_probe)
  if probe_at and (served > 0 or probe_at > now) then due_at = math.min(due_at, probe_at) end
end
if endings == 0 and call('ZCOUNT', CLOSED, '0', '0') > 0 then reply[3] = 1 end
if due_at < math.huge then reply[2] = math.max(0, math.floor((due_at - now) * 1000 + 0.5)) end
return { written, reply }
