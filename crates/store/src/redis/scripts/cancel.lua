-- Clients leave: the line at once, a task in hand by a mark on it, a hold by a release that is due now.
-- ARGV     for each client: client, booking id or ''
-- Returns  for each client a row as it is now, or a refusal: 'not_found' or 'final <state>'
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   Finds what it did before and changes nothing.
local keys, kept, finals, left, unheld, leased, events, reply = {}, {}, {}, {}, {}, {}, {}, {}

for at = 3, #ARGV, 2 do keys[(at - 1) / 2] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, booking = ARGV[2 * n + 1], ARGV[2 * n + 2]
  local answer, change, new
  if not take(values[n]) or (booking ~= '' and sub(value, 1, 36) ~= booking) then
    answer = 'not_found'
  elseif state == 'queued' then
    new = sub(value, 1, 66) .. 'cancelled  - - 000' .. sub(value, 85, request_end) .. '\n\n'
    finals[#finals + 1], finals[#finals + 2] = keys[n], new
    left[#left + 1] = client
    change = 'queued>cancelled -'
  elseif state == 'reserving' then
    new = sub(value, 1, 77) .. 'c' .. sub(value, 79)
    kept[#kept + 1], kept[#kept + 2] = keys[n], new
  elseif state == 'reserved' then
    new = sub(value, 1, 66) .. 'releasing  c - 000' .. sub(value, 85)
    kept[#kept + 1], kept[#kept + 2] = keys[n], new
    unheld[#unheld + 1] = client
    leased[#leased + 1], leased[#leased + 2] = moment, client
    change = 'reserved>releasing cancelled'
  elseif state == 'releasing' or state == 'cancelled' then
    new = value
  else
    answer = 'final ' .. state
  end
  if change then
    local told = #events
    events[told + 1], events[told + 2], events[told + 3] = client, change, sub(value, 1, 65)
  end
  reply[n] = answer or { new, false }
end

if kept[1] then call('MSET', unpack(kept)) end
retain(finals)
if left[1] then
  call('ZREM', QUEUE, unpack(left))
  call('HINCRBY', STATS, 'cancelled', text(#left))
end
if unheld[1] then call('ZREM', TIMEOUTS, unpack(unheld)) end
zadd(LEASES, leased)
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return reply
