-- Gives places in line.
-- ARGV     for each client: client, booking id, request and details (a request, and the last three lines of a booking)
-- Returns  { now, offset, answer... }, one answer for each client:
--            an integer  the place of a new booking; its position is place + offset
--            a row       the booking that this request has made, or the one that is active, with its position (or false)
--            'closed'    refused: the queue takes no new bookings
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   The same request finds its booking again, also when the client has had others since.
local closed = call('HGET', META, 'admission') == 'Closed'
local counts = call('HMGET', STATS, 'enqueued', 'entries')
local before = tonumber(counts[1] or '0')
-- Nobody leaves during the call, so position = place + offset for those who join in it.
local offset = call('ZCARD', QUEUE) - before
local place, reply, keys = before, { now, offset }, {}
local kept, joined, events, damaged, replaced = {}, {}, {}, {}, {}

for at = 3, #ARGV, 3 do keys[at / 3] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, request, there = ARGV[3 * n], ARGV[3 * n + 2], values[n]
  -- Both with the end of their line.
  local made_by = there and take(there) and sub(there, reason_end + 15, request_end)
  local same = made_by and find(request, made_by, 1, true) == 1
  local earlier = made_by and not same and call('MGET', keys[n] .. '\n' .. match(request, '^[^\n]+'))[1]
  if earlier then
    reply[n + 2] = { earlier, false }
  elseif same or (made_by and not is_final(state)) then
    local rank = state == 'queued' and call('ZRANK', QUEUE, client)
    reply[n + 2] = { value, rank and rank + 1 }
  elseif closed then
    reply[n + 2] = 'closed'
  else
    if made_by then
      replaced[#replaced + 1], replaced[#replaced + 2] = keys[n], keys[n] .. '\n' .. sub(made_by, 1, -2)
    elseif there then
      damaged[#damaged + 1] = client
    end
    place = place + 1
    local number, at = format('%012d', place), 2 * (place - before)
    local lead = ARGV[3 * n + 1] .. ' ' .. number .. ' 000000000000000'
    kept[at - 1] = keys[n]
    kept[at] = lead .. '\nqueued     - - 000\n\n\n\n' .. moment .. ' ' .. request
    joined[at - 1], joined[at] = number, client
    local told = #events
    events[told + 1], events[told + 2], events[told + 3] = client, '>queued -', lead
    reply[n + 2] = place
  end
end

if place > before then
  -- A booking that another one follows is kept by its request for the rest of its retention.
  for at = 1, #replaced, 2 do call('RENAME', replaced[at], replaced[at + 1]) end
  call('MSET', unpack(kept))
  if damaged[1] then
    call('ZREM', LEASES, unpack(damaged))
    call('ZREM', TIMEOUTS, unpack(damaged))
  end
  -- Who was in the line with a booking that is gone or damaged has moved to the end of it.
  local moved = place - before - zadd(QUEUE, joined)
  reply[2] = offset - moved
  if moved > 0 or damaged[1] then call('HINCRBY', STATS, 'damaged', text(math.max(moved, #damaged))) end
  call('HSET', STATS, 'enqueued', text(place), 'entries', publish(counts[2], moment, events))
end
return reply
