-- Payments have arrived. Whether a payment or the deadline wins is decided here, by the deadline alone: no sweeper needed.
-- ARGV     3 lease, ms   then for each payment: client, booking id or '', payment
-- Returns  for each payment:
--            a text, the booking as it is now, where the payment won
--            a row, where the same payment came before
--            a refusal, alone in a list: 'not_found', 'expired', 'final <state>' or 'not_reserved <state>'
-- Cost     O(log N) for each payment; at most 256 payments.
-- Repeat   The same payment finds the booking it has paid and changes nothing.
local lease_end = text(now + ARGV[3])
local before = tonumber(call('HGET', STATS, 'claimed') or '0')
local newest, fences = before, counter(before)
local leased, unheld, wins, reply = {}, {}, 0, {}

-- The answer when there is no hold to pay for (any more).
local function refuse(paid)
  if state == 'reserved' then return 'expired' end
  if state == 'queued' or state == 'reserving' then return 'not_reserved ' .. state end
  if (state == 'releasing' or state == 'expired') and outcome == 'expired' then return 'expired' end
  local may_repeat = state == 'confirming' or state == 'confirmed' or state == 'failed'
    or (state == 'releasing' and outcome == 'failed')
  if may_repeat and sub(value, hold_end + 1, payment_end - 1) == paid then return nil end
  return 'final ' .. state
end

-- There is no payment yet in a hold: its fourth line is empty.
local function win(client, key, paid)
  newest = newest + 1
  local mine = fences()
  wins = wins + 1
  unheld[wins] = client
  leased[2 * wins - 1], leased[2 * wins] = lease_end, client
  tell(client, 'reserved>confirming', mine, '-')
  local new = 'confirming ' .. mine .. ' - 0' .. sub(value, head_end, hold_end) .. paid .. sub(value, hold_end + 1)
  keep(key, new)
  return new
end

local keys, values = read(4, 3)
for n = 1, #keys do
  local at, key = 3 * n + 1, keys[n]
  local answer
  if not take(written[key] or values[n]) or not is(ARGV[at + 1]) then
    answer = { 'not_found' }
  elseif state == 'reserved' and now < tonumber(match(value, '^%d+', id_end + 1)) then
    answer = win(ARGV[at], key, ARGV[at + 2])
  else
    local refusal = refuse(ARGV[at + 2])
    answer = refusal and { refusal } or { value, false }
  end
  reply[n] = answer
end

save()
zrem(TIMEOUTS, unheld)
zadd(LEASES, leased)
count('claimed', newest - before)
publish(moment)
return reply
