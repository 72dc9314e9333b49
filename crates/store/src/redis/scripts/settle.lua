-- Records what became of tasks. Only the holder of the newest claim changes anything.
-- ARGV     for each task: client, booking id, fence, verdict, a, b, busy time in µs. Verdicts, with a and b:
--            reserved   reservation, hold in ms      confirmed   -, -
--            sold_out   -, -                         released    -, -
--            rejected   reason, -                    retry       after in ms, 1 if the try counts, else 0
--            give_up    reason, -
-- Returns  for each task: 'applied <state>', 'repeated <state>' or 'stale'
-- Cost     O(log N) for each task; at most 256 tasks.
-- Repeat   A fence that has settled once is remembered: its second settlement is 'repeated' and changes nothing.
local holds, hold_count, leased, lease_count, freed, freed_count = {}, 0, {}, 0, {}, 0
local ended, busy_total, stale, retried, reply = {}, 0, 0, 0, {}
-- The task in hand, beside its booking.
local client, key
-- The deadline of a hold of this length: they are mostly all of one.
local deadline, last_length

local function lease_until(ends)
  leased[lease_count + 1], leased[lease_count + 2] = ends, client
  lease_count = lease_count + 2
end

local function free()
  freed_count = freed_count + 1
  freed[freed_count] = client
end

-- A release becomes due now. `rest` is what of the booking is new, if anything.
local function release(follows, rest, why)
  put(key, 'releasing', '-' .. fence, follows, '0', rest)
  lease_until(moment)
  tell(client, state .. '>releasing', fence, follows, why or reason())
  return 'applied releasing'
end

local function give_up(follows, why)
  return release(follows, sub(value, head_end, payment_end) .. why .. sub(value, reason_end), why)
end

local function finish(last, why)
  put_final(key, last, '-' .. fence, outcome, why)
  free()
  ended[last] = (ended[last] or 0) + 1
  tell(client, state .. '>' .. last, fence, '-', why)
  return last == 'confirmed' and 'applied confirmed' or 'applied ' .. last
end

-- There is no hold yet in a booking that is being reserved: its third line is empty.
local function with_hold(deadline, reservation)
  return '\n' .. id .. '\n' .. deadline .. ' ' .. reservation .. sub(value, id_end + 1)
end

local function reserve(reservation, length)
  if length ~= last_length then last_length, deadline = length, text(now + length) end
  keep(key, 'reserved -' .. fence .. ' - 0\n' .. id .. '\n' .. deadline .. ' ' .. reservation .. sub(value, id_end + 1))
  free()
  holds[hold_count + 1], holds[hold_count + 2] = deadline, client
  hold_count = hold_count + 2
  tell(client, 'reserving>reserved', fence, deadline)
  return 'applied reserved'
end

-- Parked until `after` has passed; the fence is used up.
local function park(after, counts)
  put(key, state, '-' .. fence, outcome, text(tries + counts))
  lease_until(text(now + after))
  retried = retried + 1
  return 'applied ' .. state
end

-- The verdict on a reservation; nil where it is none.
local function reserving(verdict, a, b)
  local leaving = outcome == 'cancelled'
  local follows = leaving and 'cancelled' or 'failed'
  if verdict == 'reserved' and leaving then
    return release(follows, with_hold('-', a))
  elseif verdict == 'reserved' then
    return reserve(a, b)
  elseif verdict == 'sold_out' then
    return finish(verdict)
  elseif verdict == 'rejected' then
    return finish(verdict, a)
  elseif verdict == 'give_up' then
    return give_up(follows, a)
  elseif verdict == 'retry' and leaving then
    return release(follows)
  elseif verdict == 'retry' then
    return park(a, b)
  end
end

-- The verdict of whoever holds the task; nil where it does not fit the state.
local function apply(verdict, a, b)
  if state == 'reserving' then
    return reserving(verdict, a, b)
  elseif verdict == 'retry' then
    return park(a, b)
  elseif state == 'confirming' and verdict == 'confirmed' then
    return finish(verdict)
  elseif state == 'confirming' and verdict == 'give_up' then
    return give_up('failed', a)
  elseif state == 'releasing' and verdict == 'released' then
    return finish(outcome, reason())
  end
end

local keys, values = read(3, 7)
for n = 1, #keys do
  local at = 7 * n - 4
  local mine, answer = ARGV[at + 2], nil
  client, key = ARGV[at], keys[n]
  if take(written[key] or values[n]) and is(ARGV[at + 1]) then
    if fence == mine and is_leased(state) then
      answer = apply(ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
      if answer then busy_total = busy_total + ARGV[at + 6] end
    elseif fence == '-' .. mine and (is_leased(state) or is_final(state) or state == 'reserved') then
      answer = 'repeated ' .. state
    end
  end
  if not answer then
    answer, stale = 'stale', stale + 1
  end
  reply[n] = answer
end

save()
zrem(LEASES, freed)
zadd(LEASES, leased)
zadd(TIMEOUTS, holds)
count('reserved', hold_count / 2)
count('retried', retried)
count('stale', stale)
count('busy_us', busy_total)
for last, by in pairs(ended) do count(last, by) end
publish(moment)
return reply
