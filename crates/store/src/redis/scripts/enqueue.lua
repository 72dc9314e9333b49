-- Gives places in line.
-- ARGV     for each client: client, request, booking id, n, then n further fields and values (item, payload, trace)
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
local ticket, damaged = before, 0
local moment = text(now)
local joined, joins, reply, answers = {}, 0, { now, 0 }, 2

-- The booking a client has, with its position, and its state; nothing if it can't be read.
local function found(key, client)
  local row = read_booking(key)
  local state = booking(row)
  row[POSITION] = false
  if state == 'queued' then
    local own = tonumber(match(row[ID], ' (%d+)'))
    local rank = own <= before and call('ZRANK', QUEUE, client)
    row[POSITION] = own > before and own + offset or rank and rank + 1
  end
  return row, state
end

local function clear(key, client, state)
  call('DEL', key)
  if not state then
    damaged = damaged + 1
    offset = offset - call('ZREM', QUEUE, client)
    call('ZREM', LEASES, client)
    call('ZREM', TIMEOUTS, client)
  end
end

local i, last = 3, #ARGV
while i <= last do
  local client, request, id, fields = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local key = STATUS .. client
  local old = try('HMGET', key, 'state', 'request')
  local there = old.err or old[1] or old[2]
  local row, state, answer
  if there then row, state = found(key, client) end
  if state and (row[REQUEST] == request or not FINAL[state]) then
    answer = row
  elseif closed then
    answer = 'closed'
  else
    if there then clear(key, client, state) end
    ticket = ticket + 1
    local number = text(ticket)
    local named = id .. ' ' .. number .. ' ' .. moment
    call('HSET', key, 'state', 'queued 0', 'id', named, 'request', request, unpack(ARGV, i + 4, i + 3 + fields))
    joined[joins + 1], joined[joins + 2] = number, client
    joins = joins + 2
    tell(client, '>queued ', '0', '-', named)
    answer = ticket
  end
  answers = answers + 1
  reply[answers] = answer
  i = i + 4 + fields
end
reply[2] = offset

zadd(QUEUE, joined)
count('enqueued', ticket - before)
count('damaged', damaged)
publish(now)
return reply
