-- Clients leave: the line at once, a task in hand by a mark on it, a hold by a release that is due now.
-- ARGV     for each client: client, booking id or ''
-- Returns  for each client a row as it is now, or a refusal: 'not_found' or 'final <state>'
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   Finds what it did before and changes nothing.
local left, unheld, leased, reply = {}, {}, {}, {}

local function leave_line(client, key)
  left[#left + 1] = client
  tell(client, 'queued>cancelled', '0', '-')
  return put_final(key, 'cancelled', '0', '-')
end

local function give_hold_back(client, key)
  unheld[#unheld + 1] = client
  leased[#leased + 1] = moment
  leased[#leased + 1] = client
  tell(client, 'reserved>releasing', unsigned(fence), 'cancelled')
  return put(key, 'releasing', fence, 'cancelled', '0')
end

local keys, values = read(3, 2)
for n = 1, #keys do
  local client, key = ARGV[2 * n + 1], keys[n]
  local answer
  if not take(written[key] or values[n]) or not is(ARGV[2 * n + 2]) then
    answer = 'not_found'
  elseif state == 'queued' then
    answer = { leave_line(client, key), false }
  elseif state == 'reserving' then
    answer = { put(key, state, fence, 'cancelled', tries), false }
  elseif state == 'reserved' then
    answer = { give_hold_back(client, key), false }
  elseif state == 'releasing' or state == 'cancelled' then
    answer = { value, false }
  else
    answer = 'final ' .. state
  end
  reply[n] = answer
end

save()
zrem(QUEUE, left)
zrem(TIMEOUTS, unheld)
zadd(LEASES, leased)
count('cancelled', #left)
publish(moment)
return reply
