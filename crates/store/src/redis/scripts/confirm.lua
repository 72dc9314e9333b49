-- Accepts payments. The deadline alone decides between a payment and an expiry, whether or not a
-- sweeper runs.
-- KEYS     prelude.lua
-- ARGV     3 lease, ms   then for each payment: client, booking id or '', payment
-- Returns  for each payment one of
--            booking             the payment won; the booking after it
--            { booking, false }  the same payment came before, for this booking or for an expired
--                                one that this one replaces
--            { refusal }         'not_found', 'expired', 'final <state>' or 'not_reserved <state>'
-- Cost     O(log N) for each payment; at most 256 payments.
-- Repeat   Finds the paid booking and changes nothing.
local lease_end = format('%013d', now + ARGV[3])
local counts = call('HMGET', STATS, 'claimed', 'entries')
local before, wins = tonumber(counts[1] or '0'), 0
local keys, writes, leased, unheld, events, reply = {}, {}, {}, {}, {}, {}

-- Whether this booking was made for a payment of an expired one.
local function replaces(found, expired)
  return take(found)
    and sub(value, reason_end + TIME_WIDTH + 2, request_end - 1) == 'reacquire ' .. expired
end

-- The answer to a payment without a hold, or with an overdue one.
local function refuse(found, payment)
  if not take(found) then return { 'not_found' } end
  local paid = sub(value, hold_end + 1, payment_end - 1)
  if paid == payment then return { value, false } end
  if state == 'reserved' then return { 'expired' } end
  if (state == 'releasing' or state == 'expired') and outcome == 'e' then return { 'expired' } end
  if paid == '' and (state == 'queued' or state == 'reserving') then
    return { 'not_reserved ' .. state }
  end
  return { 'final ' .. state }
end

for at = 4, #ARGV, 3 do keys[(at - 1) / 3] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, booking, payment = ARGV[3 * n + 1], ARGV[3 * n + 2], ARGV[3 * n + 3]
  local was = values[n] or ''
  if booking ~= '' and find(was, booking, 1, true) ~= 1 and not replaces(was, booking) then
    reply[n] = { 'not_found' }
  else
    local deadline = sub(was, STATE_START - 1, CLAIMED_AT) == '\nreserved   - -'
      and tonumber(sub(was, HOLD_START, DEADLINE_END))
    -- The payment and the reason of a hold are empty lines.
    local hold_ends = deadline and now < deadline and find(was, '\n\n\n', DEADLINE_END + 2, true)
    if hold_ends then
      wins = wins + 1
      local two, three = 2 * wins, 3 * wins
      local token = sub(was, 1, FENCE_START - 1) .. format('%015d', before + wins)
      local new = token .. '\nconfirming - * 000' .. sub(was, HOLD_START - 1, hold_ends)
        .. payment .. sub(was, hold_ends + 1)
      writes[two - 1], writes[two] = keys[n], new
      leased[two - 1], leased[two] = lease_end, client
      unheld[wins] = client
      events[three - 2], events[three - 1], events[three] = client, 'reserved>confirming -', token
      reply[n] = new
    else
      reply[n] = refuse(was, payment)
    end
  end
end

if wins > 0 then
  call('MSET', unpack(writes))
  call('ZREM', TIMEOUTS, unpack(unheld))
  zadd(LEASES, leased)
  call('HSET', STATS,
    'claimed', text(before + wins), 'entries', publish(counts[2], moment, events))
end
return { written, reply }
