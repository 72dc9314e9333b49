-- Enqueues bookings.
-- KEYS     prelude.lua
-- ARGV     for each client from 3 on: client, booking id, request (its id and lines 7 to 9)
-- Returns  { now, offset, answer... }, for each client one of
--            queue number           of the new booking; its position is queue number + offset
--            { booking, position, 1 if it is parked }
--                                   the booking that this request made, or the active one; position
--                                   is false if it does not wait
--            'closed'               the queue takes no new bookings
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   Returns the booking that the request made, also if its client has had others since.
local closed = call('HGET', META, 'admission') == 'Closed'
local counts = call('HMGET', STATS, 'enqueued', 'entries')
local before = tonumber(counts[1] or '0')
-- No client leaves the line during the call, so this offset holds for all new bookings.
local offset = call('ZCARD', QUEUE) - before
local last, reply, keys = before, { now, offset }, {}
local writes, joined, events, damaged, replaced = {}, {}, {}, {}, {}

for at = 3, #ARGV, 3 do keys[at / 3] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, request, found = ARGV[3 * n], ARGV[3 * n + 2], values[n]
  -- Both include the line end.
  local made_by = found and take(found) and sub(found, reason_end + TIME_WIDTH + 2, request_end)
  local same = made_by and find(request, made_by, 1, true) == 1
  local earlier = made_by and not same
    and call('MGET', keys[n] .. '\n' .. match(request, '^[^\n]+'))[1]
  if earlier then
    reply[n + 2] = { earlier, false }
  elseif same or (made_by and not is_final(state)) then
    reply[n + 2] = { value, position_of(client) }
  elseif closed then
    reply[n + 2] = 'closed'
  else
    if made_by then
      replaced[#replaced + 1], replaced[#replaced + 2] =
        keys[n], keys[n] .. '\n' .. sub(made_by, 1, -2)
    elseif found then
      damaged[#damaged + 1] = client
    end
    last = last + 1
    local number, at = format('%012d', last), 2 * (last - before)
    local token = ARGV[3 * n + 1] .. ' ' .. number .. ' 000000000000000'
    writes[at - 1] = keys[n]
    writes[at] = token .. '\nqueued     - - 000\n\n\n\n' .. moment .. ' ' .. request
    joined[at - 1], joined[at] = number, client
    local event = #events
    events[event + 1], events[event + 2], events[event + 3] = client, '>queued -', token
    reply[n + 2] = last
  end
end

if last > before then
  -- A replaced booking keeps the rest of its retention, under a key with its request id.
  for at = 1, #replaced, 2 do call('RENAME', replaced[at], replaced[at + 1]) end
  call('MSET', unpack(writes))
  if damaged[1] then
    call('ZREM', LEASES, unpack(damaged))
    call('ZREM', TIMEOUTS, unpack(damaged))
  end
  -- A client whose queued booking was lost or corrupt moves to the end of the line.
  local moved = last - before - zadd(QUEUE, joined)
  reply[2] = offset - moved
  if moved > 0 or damaged[1] then
    call('HINCRBY', STATS, 'damaged', text(math.max(moved, #damaged)))
  end
  call('HSET', STATS, 'enqueued', text(last), 'entries', publish(counts[2], moment, events))
end
return { written, reply }
