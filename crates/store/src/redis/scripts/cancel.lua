-- Cancels bookings. A queued one ends at once, a reserving one gets the outcome `cancelled`, and a
-- reserved one becomes a release that is due now.
-- KEYS     prelude.lua
-- ARGV     for each client from 3 on: client, booking id or ''
-- Returns  for each client: { booking, false }, or 'not_found', or 'final <state>'
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   Changes nothing.
local keys, writes, finals, leavers, unheld, leased, events, reply = {}, {}, {}, {}, {}, {}, {}, {}

for at = 3, #ARGV, 2 do keys[(at - 1) / 2] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, booking = ARGV[2 * n + 1], ARGV[2 * n + 2]
  local answer, change, new
  if not take(values[n]) or (booking ~= '' and sub(value, 1, BOOKING_END) ~= booking) then
    answer = 'not_found'
  elseif state == 'queued' then
    new = sub(value, 1, STATE_START - 1) .. 'cancelled  - - 000'
      .. sub(value, HOLD_START - 1, request_end) .. '\n\n'
    finals[#finals + 1], finals[#finals + 2] = keys[n], new
    leavers[#leavers + 1] = client
    change = 'queued>cancelled -'
  elseif state == 'reserving' then
    new = sub(value, 1, OUTCOME_AT - 1) .. 'c' .. sub(value, OUTCOME_AT + 1)
    writes[#writes + 1], writes[#writes + 2] = keys[n], new
  elseif state == 'reserved' then
    new = sub(value, 1, STATE_START - 1) .. 'releasing  c - 000' .. sub(value, HOLD_START - 1)
    writes[#writes + 1], writes[#writes + 2] = keys[n], new
    unheld[#unheld + 1] = client
    leased[#leased + 1], leased[#leased + 2] = moment, client
    change = 'reserved>releasing cancelled'
  elseif state == 'releasing' or state == 'cancelled' then
    new = value
  else
    answer = 'final ' .. state
  end
  if change then
    local at = #events
    events[at + 1], events[at + 2], events[at + 3] = client, change, sub(value, 1, TOKEN_END)
  end
  reply[n] = answer or { new, false }
end

if writes[1] then call('MSET', unpack(writes)) end
retain(finals)
if leavers[1] then
  call('ZREM', QUEUE, unpack(leavers))
  call('HINCRBY', STATS, 'cancelled', text(#leavers))
end
if unheld[1] then call('ZREM', TIMEOUTS, unpack(unheld)) end
zadd(LEASES, leased)
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return reply
