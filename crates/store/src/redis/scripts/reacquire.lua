-- Makes a new booking for a payment that came after the deadline: an expired booking is replaced by
-- one that is reserved and confirmed ahead of the line where its item is available, and ends sold
-- out otherwise. A hold that is overdue becomes a release, which the caller has to do first.
-- KEYS     prelude.lua
-- ARGV     3 lease, ms   then for each payment: client, booking id or '', payment, new booking id
-- Returns  for each payment one of
--            { 'releasing', booking, returned quantity, 1 if the item is open }
--            { 'reacquired', booking, returned quantity, 1 if the item is open }
--            { 'sold_out', booking, 0, 0 }
--            'expired'  the hold is being released
-- Cost     O(log N) for each payment; at most 256 payments.
-- Repeat   Finds the same release, or the new booking by confirm.lua.
local lease_end = format('%013d', now + ARGV[3])
local counts = call('HMGET', STATS, 'claimed', 'entries', 'enqueued')
local fence, number = tonumber(counts[1] or '0'), tonumber(counts[3] or '0')
local keys, writes, replaced, finals, unheld = {}, {}, {}, {}, {}
local leased, lines, events, reply, made = {}, {}, {}, {}, 0

local function add_event(client, change, token)
  local at = #events
  events[at + 1], events[at + 2], events[at + 3] = client, change, token
end

for at = 4, #ARGV, 4 do keys[at / 4] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  lines[n] = take(values[n]) and match(value, '^[^\n]*', request_end + 1) or ''
end
load(lines)

for n = 1, #keys do
  local client, booking, payment, new_id = unpack(ARGV, 4 * n, 4 * n + 3)
  local found, want = take(values[n]), wants[lines[n]]
  local item = want.item
  reply[n] = 'expired'
  if not found or (booking ~= '' and sub(value, 1, BOOKING_END) ~= booking) then
    found = nil
  elseif found == 'reserved' and now >= tonumber(sub(value, HOLD_START, DEADLINE_END)) then
    add_event(client, 'reserved>releasing expired', sub(value, 1, TOKEN_END))
    fence = fence + 1
    local token = sub(value, 1, FENCE_START - 1) .. format('%015d', fence)
    local new = token .. '\nreleasing  e * 000' .. sub(value, HOLD_START - 1)
    add_event(client, 'releasing>releasing expired', token)
    writes[#writes + 1], writes[#writes + 2] = keys[n], new
    leased[#leased + 1], leased[#leased + 2] = lease_end, client
    unheld[#unheld + 1] = client
    reply[n] = { 'releasing', new, item.returned, is_untouched(item) and 1 or 0 }
  elseif found == 'expired' then
    made, number, fence = made + 1, number + 1, fence + 1
    local request = '\n' .. sub(value, reason_end + TIME_WIDTH + 2, request_end - 1)
    replaced[#replaced + 1], replaced[#replaced + 2] = keys[n], keys[n] .. request
    local token = format('%s %012d %015d', new_id, number, fence)
    local head = '\n\n' .. payment .. '\n\n' .. moment .. ' reacquire '
      .. sub(value, 1, BOOKING_END) .. '\n'
    if is_claimable(item, want.quantity) then
      claim_item(want, nil, events)
      add_event(client, '>reserving -', token)
      local new = token .. '\nreserving  - * 000' .. head .. sub(value, request_end + 1)
      writes[#writes + 1], writes[#writes + 2] = keys[n], new
      leased[#leased + 1], leased[#leased + 2] = lease_end, client
      reply[n] = { 'reacquired', new, item.returned, is_untouched(item) and 1 or 0 }
    else
      item.unsettled = item.unsettled + 1
      settle_item(item)
      add_event(client, '>reserving -', token)
      local new = token .. '\nsold_out   - - 000' .. head .. '\n\n'
      finals[#finals + 1], finals[#finals + 2] = keys[n], new
      add_event(client, 'reserving>sold_out -', token)
      reply[n] = { 'sold_out', new, 0, 0 }
    end
  end
end

for at = 1, #replaced, 2 do call('RENAME', replaced[at], replaced[at + 1]) end
if writes[1] then call('MSET', unpack(writes)) end
retain(finals)
if unheld[1] then call('ZREM', TIMEOUTS, unpack(unheld)) end
zadd(LEASES, leased)
if finals[1] then call('HINCRBY', STATS, 'sold_out', text(#finals / 2)) end
if made > 0 then call('HINCRBY', STATS, 'reacquired', text(made)) end
if events[1] then
  call('HSET', STATS, 'claimed', text(fence), 'enqueued', text(number),
    'entries', publish(counts[2], moment, events))
end
save_items()
return { written, reply }
