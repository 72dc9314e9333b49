-- Payments have arrived. Whether a payment or the deadline wins is decided here, by the deadline alone: no sweeper needed.
-- ARGV     3 lease, ms   then for each payment: client, booking id or '', payment
-- Returns  for each payment:
--            'won' and 7 values: id, the caller's fence, request, hold, item, payload, trace
--            a row, where the same payment came before
--            a refusal: 'not_found', 'expired', 'final <state>' or 'not_reserved <state>'
-- Cost     O(log N) for each payment; at most 256 payments.
-- Repeat   The same payment finds the booking it has paid and changes nothing.
local ends = text(now + ARGV[3])
local before = tonumber(call('HGET', STATS, 'claimed') or '0')
local fence = before
local leased, unheld, wins, reply, answers = {}, {}, 0, {}, 0

-- The answer when there is no hold to pay for (any more).
local function answer_again(key, id, payment)
  local row = read_booking(key)
  local state, _, outcome = booking(row)
  if not state or find(row[ID], id, 1, true) ~= 1 then return 'not_found' end
  if state == 'reserved' then return 'expired' end
  if state == 'queued' or state == 'reserving' then return 'not_reserved ' .. state end
  if (state == 'releasing' or state == 'expired') and outcome == 'expired' then return 'expired' end
  local may_repeat = state == 'confirming' or state == 'confirmed' or state == 'failed'
    or (state == 'releasing' and outcome == 'failed')
  if may_repeat and row[PAYMENT] == payment then return row end
  return 'final ' .. state
end

-- Whether the row is a hold that can be paid just now.
local function can_be_paid(row, id)
  if row.err or not find(row[1] or '', 'reserved -', 1, true) or not row[3] then return false end
  local deadline = match(row[4] or '', '^(%d+) .')
  return deadline and now < tonumber(deadline) and find(row[2] or '', id, 1, true) == 1 and find(row[2], ' %d+ %d+$', 37)
end

local function win(client, key, row, payment)
  fence = fence + 1
  local mine = text(fence)
  call('HSET', key, 'state', 'confirming ' .. mine, 'payment', payment)
  wins = wins + 1
  unheld[wins] = client
  leased[2 * wins - 1], leased[2 * wins] = ends, client
  tell(client, 'reserved>confirming ', mine, '-', row[2])
  local n = answers
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = 'won', row[2], mine, row[3]
  reply[n + 5], reply[n + 6], reply[n + 7], reply[n + 8] = row[4], row[5], row[6], row[7]
  answers = n + 8
end

for i = 4, #ARGV, 3 do
  local client, id, payment = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = STATUS .. client
  local row = try('HMGET', key, 'state', 'id', 'request', 'hold', 'item', 'payload', 'trace')
  if can_be_paid(row, id) then
    win(client, key, row, payment)
  else
    answers = answers + 1
    reply[answers] = answer_again(key, id, payment)
  end
end

zrem(TIMEOUTS, unheld)
zadd(LEASES, leased)
count('claimed', fence - before)
publish(now)
return reply
