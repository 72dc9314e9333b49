-- Clients leave: the line at once, a task in hand by a mark on it, a hold by a release that is due now.
-- ARGV     for each client: client, booking id or ''
-- Returns  for each client a row as it is now, or a refusal: 'not_found' or 'final <state>'
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   Finds what it did before and changes nothing.
local left, unheld, leased, reply = {}, {}, {}, {}

local function leave_line(client, key, row)
  row[STATE] = 'cancelled 0'
  call('HSET', key, 'state', row[STATE])
  retire(key)
  left[#left + 1] = client
  tell(client, 'queued>cancelled ', '0', '-', row[ID])
end

local function mark(key, row, fence)
  row[STATE] = written('reserving', fence, 'cancelled')
  call('HSET', key, 'state', row[STATE])
end

local function give_hold_back(client, key, row, fence)
  row[STATE] = written('releasing', fence, 'cancelled')
  call('HSET', key, 'state', row[STATE])
  unheld[#unheld + 1] = client
  leased[#leased + 1] = now
  leased[#leased + 1] = client
  tell(client, 'reserved>releasing ', unsigned(fence), 'cancelled', row[ID])
end

for i = 3, #ARGV, 2 do
  local client, id = ARGV[i], ARGV[i + 1]
  local key = STATUS .. client
  local row = read_booking(key)
  local state, fence = booking(row)
  local answer = row
  if not state or find(row[ID], id, 1, true) ~= 1 then
    answer = 'not_found'
  elseif state == 'queued' then
    leave_line(client, key, row)
  elseif state == 'reserving' then
    mark(key, row, fence)
  elseif state == 'reserved' then
    give_hold_back(client, key, row, fence)
  elseif state ~= 'releasing' and state ~= 'cancelled' then
    answer = 'final ' .. state
  end
  reply[#reply + 1] = answer
end

zrem(QUEUE, left)
zrem(TIMEOUTS, unheld)
zadd(LEASES, leased)
count('cancelled', #left)
publish(now)
return reply
