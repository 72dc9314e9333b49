-- Gives places in line.
-- ARGV     for each client: client, request, booking id, details (the last three lines of a booking)
-- Returns  { now, offset, answer... }, one answer for each client:
--            an integer  the ticket of a new booking; its position is ticket + offset
--            a row       the booking that was there, with its position (or false)
--            'closed'    refused: the queue takes no new bookings
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   The same request finds its booking again.
local closed = call('HGET', META, 'admission') == 'Closed'
local before = tonumber(call('HGET', STATS, 'enqueued') or '0')
-- Nobody leaves during the call, so position = ticket + offset for those who join in it.
local offset = call('ZCARD', QUEUE) - before
local keys, values = read(3, 4)
local ticket, damaged, numbers = before, {}, counter(before)
local joined, joins, reply = {}, 0, { now, offset }

-- The booking in hand, with its position.
local function row(client)
  local position = false
  if state == 'queued' then
    local own = tonumber(match(id, ' (%d+)'))
    local rank = own <= before and call('ZRANK', QUEUE, client)
    position = own > before and own + offset or rank and rank + 1
  end
  return { value, position }
end

local function join(client, key, request, booking, details)
  ticket = ticket + 1
  local number = numbers()
  id = booking .. ' ' .. number .. ' ' .. moment
  keep(key, QUEUED .. id .. '\n\n\n\n' .. request .. '\n' .. details)
  joined[joins + 1], joined[joins + 2] = number, client
  joins = joins + 2
  tell(client, '>queued', '0', '-')
  return ticket
end

for n = 1, #keys do
  local at, key = 4 * n - 1, keys[n]
  local client, request = ARGV[at], ARGV[at + 1]
  local there = written[key] or values[n]
  if there and take(there) and (not is_final(state) or sub(value, reason_end + 1, request_end - 1) == request) then
    reply[n + 2] = row(client)
  elseif closed then
    reply[n + 2] = 'closed'
  else
    if there and not state then damaged[#damaged + 1] = client end
    reply[n + 2] = join(client, key, request, ARGV[at + 2], ARGV[at + 3])
  end
end

save()
zrem(LEASES, damaged)
zrem(TIMEOUTS, damaged)
-- Who was in the line with a booking that is gone or damaged has moved to the end of it.
local moved = joins / 2 - zadd(QUEUE, joined)
reply[2] = offset - moved
count('enqueued', ticket - before)
count('damaged', math.max(moved, #damaged))
publish(moment)
return reply
