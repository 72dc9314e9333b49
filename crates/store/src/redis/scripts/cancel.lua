-- Cancels bookings. A queued one ends at once, a reserving one gets the outcome `cancelled`, and a
-- reserved one becomes a release that is due now; so does a queued one that was claimed before,
-- since a Reserve whose answer was lost may still arrive.
-- KEYS     prelude.lua
-- ARGV     for each client from 3 on: client, booking id or ''
-- Returns  for each client: { booking, false }, or 'not_found', or 'final <state>'
-- Cost     O(log N) for each client; at most 256 clients.
-- Repeat   Changes nothing.
local keys, writes, finals, leavers, unheld, leased, events, reply = {}, {}, {}, {}, {}, {}, {}, {}
-- Line 7 of each leaver, and of those that may leave a reservation; and the strays, with line 7.
local lines, returning, strays = {}, {}, {}

-- Makes a release due now. Returns the booking and what becomes of it.
local function release(key, client)
  local new = sub(value, 1, STATE_START - 1) .. 'releasing  c - 000' .. sub(value, HOLD_START - 1)
  writes[#writes + 1], writes[#writes + 2] = key, new
  leased[#leased + 1], leased[#leased + 2] = moment, client
  return new, state .. '>releasing cancelled'
end

for at = 3, #ARGV, 2 do keys[(at - 1) / 2] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, booking = ARGV[2 * n + 1], ARGV[2 * n + 2]
  local answer, change, new
  if not take(values[n]) or (booking ~= '' and sub(value, 1, BOOKING_END) ~= booking) then
    answer = 'not_found'
  elseif state == 'queued' then
    leavers[#leavers + 1], lines[#lines + 1] = client, match(value, '^[^\n]*', request_end + 1)
    if sub(value, FENCE_START, TOKEN_END) == '000000000000000' then
      new = sub(value, 1, STATE_START - 1) .. 'cancelled  - - 000'
        .. sub(value, HOLD_START - 1, request_end) .. '\n\n'
      finals[#finals + 1], finals[#finals + 2] = keys[n], new
      change = 'queued>cancelled -'
    else
      returning[#returning + 1] = lines[#lines]
      if claimed == '?' then strays[#strays + 1], strays[#strays + 2] = lines[#lines], client end
      new, change = release(keys[n], client)
    end
  elseif state == 'reserving' and payment_end == hold_end + 1 then
    new = sub(value, 1, OUTCOME_AT - 1) .. 'c' .. sub(value, OUTCOME_AT + 1)
    writes[#writes + 1], writes[#writes + 2] = keys[n], new
  elseif state == 'reserved' then
    new, change = release(keys[n], client)
    unheld[#unheld + 1] = client
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
if finals[1] then call('HINCRBY', STATS, 'cancelled', text(#finals / 2)) end
local found = leavers[1] and call('ZREM', QUEUE, unpack(leavers)) or 0
if uses_items and found < #leavers then
  load(lines)
  local left = 0
  for n = 1, #leavers do
    local want = wants[lines[n]]
    left = left + call('ZREM', parked_set(want.item, want.quantity), leavers[n])
  end
  for n = 1, #strays, 2 do call('ZREM', stray_set(wants[strays[n]].item), strays[n + 1]) end
  for n = 1, #returning do
    local item = wants[returning[n]].item
    item.unsettled = item.unsettled + 1
  end
  if left > 0 then call('HINCRBY', STATS, 'waiting', text(-left)) end
  save_items()
end
if unheld[1] then call('ZREM', TIMEOUTS, unpack(unheld)) end
zadd(LEASES, leased)
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return { written, reply }
