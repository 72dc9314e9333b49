-- Payments have arrived. Whether a payment or the deadline wins is decided here, by the deadline alone: no sweeper needed.
-- ARGV     3 lease, ms   then for each payment: client, booking id or '', payment
-- Returns  for each payment:
--            a text, the booking as it is now, where the payment won
--            a row, where the same payment came before
--            a refusal, alone in a list: 'not_found', 'expired', 'final <state>' or 'not_reserved <state>'
-- Cost     O(log N) for each payment; at most 256 payments.
-- Repeat   The same payment finds the booking it has paid and changes nothing.
local lease_end = format('%013d', now + ARGV[3])
local counts = call('HMGET', STATS, 'claimed', 'entries')
local before, wins = tonumber(counts[1] or '0'), 0
local keys, kept, leased, unheld, events, reply = {}, {}, {}, {}, {}, {}

-- The answer when there is no hold to pay for (any more), or one that is overdue.
local function refuse(found, paid)
  if not take(found) then return { 'not_found' } end
  if state == 'reserved' then return { 'expired' } end
  if state == 'queued' or state == 'reserving' then return { 'not_reserved ' .. state } end
  if (state == 'releasing' or state == 'expired') and outcome == 'e' then return { 'expired' } end
  local may_repeat = state == 'confirming' or state == 'confirmed' or state == 'failed'
    or (state == 'releasing' and outcome == 'f')
  if may_repeat and sub(value, hold_end + 1, payment_end - 1) == paid then return { value, false } end
  return { 'final ' .. state }
end

for at = 4, #ARGV, 3 do keys[(at - 1) / 3] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local client, booking, paid = ARGV[3 * n + 1], ARGV[3 * n + 2], ARGV[3 * n + 3]
  local was = values[n] or ''
  if booking ~= '' and find(was, booking, 1, true) ~= 1 then
    reply[n] = { 'not_found' }
  else
    -- There is no payment yet in a hold, and no reason: their lines are empty.
    local deadline = sub(was, 66, 80) == '\nreserved   - -' and tonumber(sub(was, 86, 98))
    local hold_ends = deadline and now < deadline and find(was, '\n\n\n', 100, true)
    if hold_ends then
      wins = wins + 1
      local two, three = 2 * wins, 3 * wins
      local lead = sub(was, 1, 50) .. format('%015d', before + wins)
      local new = lead .. '\nconfirming - * 000' .. sub(was, 85, hold_ends) .. paid .. sub(was, hold_ends + 1)
      kept[two - 1], kept[two] = keys[n], new
      leased[two - 1], leased[two] = lease_end, client
      unheld[wins] = client
      events[three - 2], events[three - 1], events[three] = client, 'reserved>confirming -', lead
      reply[n] = new
    else
      reply[n] = refuse(was, paid)
    end
  end
end

if wins > 0 then
  call('MSET', unpack(kept))
  call('ZREM', TIMEOUTS, unpack(unheld))
  zadd(LEASES, leased)
  call('HSET', STATS, 'claimed', text(before + wins), 'entries', publish(counts[2], moment, events))
end
return reply
