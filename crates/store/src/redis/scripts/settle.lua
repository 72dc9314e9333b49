-- Records what became of tasks. Only the holder of the newest claim changes anything.
-- ARGV     3 slot time of all together, µs (each counts for its share)   4 how many   then the clients   then for each: lead, verdict and what it brings:
--            reserved   hold in ms, reservation      retry      after in ms, 1 if the try counts, else 0
--            rejected   reason                       give_up    reason
--            sold_out, confirmed, released
-- Returns  for each task: 'applied <state>', 'repeated <state>' or 'stale'
-- Cost     O(log N) for each task; at most 256 tasks.
-- Repeat   A claim that has settled once is remembered: its second settlement is 'repeated' and changes nothing.
local kept, finals, holds, leased, freed, events = {}, {}, {}, {}, {}, {}
local ended, repeated, stale, retried, reply = {}, 0, 0, 0, {}
-- The task in hand, beside its booking.
local client, key, lead

local function tell(change, why)
  local told = #events
  events[told + 1], events[told + 2], events[told + 3] = client, change, why and why ~= '' and lead .. ' ' .. why or lead
end

local function keep(new)
  local at = #kept
  kept[at + 1], kept[at + 2] = key, new
end

-- The booking has ended: what only a worker needs is dropped, and its retention starts. `ends` is where the request ends.
local function finish(last, line, change, ends)
  if not ends then return nil end
  local at = #finals
  finals[at + 1], finals[at + 2] = key, lead .. line .. sub(value, 85, ends) .. '\n\n'
  freed[#freed + 1] = client
  ended[last] = (ended[last] or 0) + 1
  tell(change)
  return 'applied ' .. last
end

-- A release becomes due now. `rest` is all behind the second line, if something of that is new.
local function release(follows, rest, why)
  keep(lead .. '\nreleasing  ' .. sub(follows, 1, 1) .. ' - 000' .. (rest or sub(value, 85)))
  leased[#leased + 1], leased[#leased + 2] = moment, client
  tell(state .. '>releasing ' .. follows, why or sub(value, payment_end + 1, reason_end - 1))
  return 'applied releasing'
end

-- With a reason.
local function give_up(follows, why)
  return release(follows, sub(value, 85, payment_end) .. why .. sub(value, reason_end), why)
end

-- Parked until `after` has passed; the claim is used up.
local function park(after, counts)
  keep(lead .. sub(value, 66, 79) .. '- ' .. format('%03d', math.min(999, tries + counts)) .. sub(value, 85))
  leased[#leased + 1], leased[#leased + 2] = format('%013d', now + after), client
  retried = retried + 1
  return 'applied ' .. state
end

-- The verdict on the booking in hand by whoever holds its task; nothing where it does not fit the state.
local function apply(verdict, a, b)
  if state == 'reserving' then
    local leaving = outcome == 'c'
    local follows = leaving and 'cancelled' or 'failed'
    if verdict == 'reserved' and leaving then
      return release(follows, '\n- ' .. b .. sub(value, 86))
    elseif verdict == 'sold_out' then
      return finish(verdict, '\nsold_out   ' .. outcome .. ' - 000', 'reserving>sold_out -', request_end)
    elseif verdict == 'rejected' then
      value = sub(value, 1, payment_end) .. a .. sub(value, reason_end)
      local done = finish(verdict, '\nrejected   ' .. outcome .. ' - 000', 'reserving>rejected -',
        request_end + #a - (reason_end - payment_end - 1))
      if a ~= '' then events[#events] = lead .. ' ' .. a end
      return done
    elseif verdict == 'give_up' then
      return give_up(follows, a)
    elseif verdict == 'retry' and leaving then
      return release(follows)
    elseif verdict == 'retry' then
      return park(a, b)
    end
  elseif verdict == 'retry' then
    return park(a, b)
  elseif state == 'confirming' and verdict == 'give_up' then
    return give_up('failed', a)
  elseif state == 'releasing' and verdict == 'released' then
    local last = outcome == 'e' and 'expired' or outcome == 'c' and 'cancelled' or 'failed'
    local why = sub(value, payment_end + 1, reason_end - 1)
    local done = finish(last, format('\n%-10s ', last) .. outcome .. ' - 000', 'releasing>' .. last .. ' -', request_end)
    if why ~= '' then events[#events] = lead .. ' ' .. why end
    return done
  elseif state == 'releasing' and verdict == 'confirmed' then
    -- It is sold, and why it should have been given back is of no interest any more.
    local ends = request_end - (reason_end - payment_end - 1)
    value = sub(value, 1, payment_end) .. sub(value, reason_end)
    return finish(verdict, '\nconfirmed  - - 000', 'releasing>confirmed -', ends)
  end
end

-- Where the request ends: behind the hold, the payment and the reason, whose lines may be empty.
local function past_request()
  local ends = 85
  for _ = 1, 4 do
    ends = find(value, '\n', ends + 1, true)
    if not ends then return nil end
  end
  return ends
end

-- Holds are mostly all of one length.
local deadline, last_length, change
local function reserve(length, reservation)
  if length ~= last_length then
    last_length, deadline = length, format('%013d', now + length)
    change = 'reserving>reserved ' .. deadline
  end
  -- There is no hold yet: its line is empty.
  keep(lead .. '\nreserved   - - 000\n' .. deadline .. ' ' .. reservation .. sub(value, 86))
  freed[#freed + 1] = client
  local at = #holds
  holds[at + 1], holds[at + 2] = deadline, client
  tell(change)
  return 'applied reserved'
end

local count = tonumber(ARGV[4])
local keys, at = { unpack(ARGV, 5, 4 + count) }, 5 + count
for n = 1, count do keys[n] = STATUS .. keys[n] end
local values = call('MGET', unpack(keys))
for n = 1, count do
  client, key, value, lead = ARGV[n + 4], keys[n], values[n] or '', ARGV[at]
  local verdict, a, b, answer = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], nil
  if find(value, lead, 1, true) == 1 then
    local line = sub(value, 66, 80)
    if verdict == 'reserved' and line == '\nreserving  - *' then
      answer = reserve(a, b)
    elseif verdict == 'confirmed' and line == '\nconfirming - *' then
      answer = finish(verdict, '\nconfirmed  - - 000', 'confirming>confirmed -', past_request())
    elseif verdict == 'sold_out' and line == '\nreserving  - *' then
      answer = finish(verdict, '\nsold_out   - - 000', 'reserving>sold_out -', past_request())
    elseif take(value) then
      if mark == '*' then
        answer = apply(verdict, a, b)
      elseif find(lead, '[1-9]', 51) then
        answer, repeated = 'repeated ' .. state, repeated + 1
      end
    end
  end
  if not answer then
    answer, stale = 'stale', stale + 1
  end
  reply[n] = answer
  if verdict == 'reserved' or verdict == 'retry' then
    at = at + 4
  elseif verdict == 'rejected' or verdict == 'give_up' then
    at = at + 3
  else
    at = at + 2
  end
end

if kept[1] then call('MSET', unpack(kept)) end
retain(finals)
if freed[1] then call('ZREM', LEASES, unpack(freed)) end
zadd(LEASES, leased)
zadd(TIMEOUTS, holds)
local applied = count - repeated - stale
if applied > 0 then call('HINCRBY', STATS, 'busy_us', text(ARGV[3] * applied / count)) end
if holds[1] then call('HINCRBY', STATS, 'reserved', text(#holds / 2)) end
if retried > 0 then call('HINCRBY', STATS, 'retried', text(retried)) end
if stale > 0 then call('HINCRBY', STATS, 'stale', text(stale)) end
for last, by in pairs(ended) do call('HINCRBY', STATS, last, text(by)) end
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return reply
