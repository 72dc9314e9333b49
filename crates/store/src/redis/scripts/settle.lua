-- Settles tasks. Only the newest claim of a booking can change it.
-- KEYS     prelude.lua
-- ARGV     3 slot time of all tasks, µs (each applied one counts for its share)   4 number of tasks
--          then all clients, then for each task: claim token, result and its arguments:
--            reserved   hold in ms, reservation      retry      delay in ms, 1 if it counts or 0
--            rejected   reason                       give_up    reason
--            sold_out, confirmed, released
-- Returns  for each task: 'applied <state>', 'repeated <state>' or 'stale'
-- Cost     O(log N) for each task; at most 256 tasks.
-- Repeat   Returns 'repeated' for a claim that was settled before, and changes nothing.
local writes, finals, holds, leased, freed, events = {}, {}, {}, {}, {}, {}
local ended, repeated, stale, retried, reply = {}, 0, 0, 0, {}
-- The current task, beside its booking.
local client, key, token

local function add_event(change, why)
  local at = #events
  events[at + 1], events[at + 2] = client, change
  events[at + 3] = why and why ~= '' and token .. ' ' .. why or token
end

local function write(new)
  local at = #writes
  writes[at + 1], writes[at + 2] = key, new
end

-- Ends the booking: drops what only a worker needs and starts the retention. `ends` is the column
-- of the request's line end.
local function finish(last, line, change, ends)
  if not ends then return nil end
  local at = #finals
  finals[at + 1], finals[at + 2] = key, token .. line .. sub(value, HOLD_START - 1, ends) .. '\n\n'
  freed[#freed + 1] = client
  ended[last] = (ended[last] or 0) + 1
  add_event(change)
  return 'applied ' .. last
end

-- Makes a release due now. `rest` replaces everything behind the second line if that changes.
local function release(follows, rest, why)
  write(token .. '\nreleasing  ' .. sub(follows, 1, 1) .. ' - 000'
    .. (rest or sub(value, HOLD_START - 1)))
  leased[#leased + 1], leased[#leased + 2] = moment, client
  add_event(state .. '>releasing ' .. follows,
    why or sub(value, payment_end + 1, reason_end - 1))
  return 'applied releasing'
end

local function give_up(follows, why)
  local rest = sub(value, HOLD_START - 1, payment_end) .. why .. sub(value, reason_end)
  return release(follows, rest, why)
end

-- Makes the task due after `delay`; its claim is used up.
local function park(delay, counts)
  write(token .. sub(value, STATE_START - 1, CLAIMED_AT - 1) .. '- '
    .. format('%03d', math.min(999, tries + counts)) .. sub(value, HOLD_START - 1))
  leased[#leased + 1], leased[#leased + 2] = format('%013d', now + delay), client
  retried = retried + 1
  return 'applied ' .. state
end

-- Applies a result to the claimed current booking. Returns nil if it does not fit the state.
local function apply(result, a, b)
  if state == 'reserving' then
    local leaving = outcome == 'c'
    local follows = leaving and 'cancelled' or 'failed'
    if result == 'reserved' and leaving then
      return release(follows, '\n- ' .. b .. sub(value, HOLD_START))
    elseif result == 'sold_out' then
      local line = '\nsold_out   ' .. outcome .. ' - 000'
      return finish(result, line, 'reserving>sold_out -', request_end)
    elseif result == 'rejected' then
      value = sub(value, 1, payment_end) .. a .. sub(value, reason_end)
      local done = finish(result, '\nrejected   ' .. outcome .. ' - 000', 'reserving>rejected -',
        request_end + #a - (reason_end - payment_end - 1))
      if a ~= '' then events[#events] = token .. ' ' .. a end
      return done
    elseif result == 'give_up' then
      return give_up(follows, a)
    elseif result == 'retry' and leaving then
      return release(follows)
    elseif result == 'retry' then
      return park(a, b)
    end
  elseif result == 'retry' then
    return park(a, b)
  elseif state == 'confirming' and result == 'give_up' then
    return give_up('failed', a)
  elseif state == 'releasing' and result == 'released' then
    local last = outcome == 'e' and 'expired' or outcome == 'c' and 'cancelled' or 'failed'
    local why = sub(value, payment_end + 1, reason_end - 1)
    local line = format('\n%-10s ', last) .. outcome .. ' - 000'
    local done = finish(last, line, 'releasing>' .. last .. ' -', request_end)
    if why ~= '' then events[#events] = token .. ' ' .. why end
    return done
  elseif state == 'releasing' and result == 'confirmed' then
    -- The booking is sold, so the reason for its release is dropped.
    local ends = request_end - (reason_end - payment_end - 1)
    value = sub(value, 1, payment_end) .. sub(value, reason_end)
    return finish(result, '\nconfirmed  - - 000', 'releasing>confirmed -', ends)
  end
end

-- Finds the line end of the request, behind those of the hold, the payment and the reason.
local function past_request()
  local ends = HOLD_START - 1
  for _ = 1, 4 do
    ends = find(value, '\n', ends + 1, true)
    if not ends then return nil end
  end
  return ends
end

-- Most holds of a call have the same length, so the last deadline is kept.
local deadline, last_length, change
local function reserve(length, reservation)
  if length ~= last_length then
    last_length, deadline = length, format('%013d', now + length)
    change = 'reserving>reserved ' .. deadline
  end
  -- A reserving booking has no hold: its third line is empty.
  write(token .. '\nreserved   - - 000\n' .. deadline .. ' ' .. reservation
    .. sub(value, HOLD_START))
  freed[#freed + 1] = client
  local at = #holds
  holds[at + 1], holds[at + 2] = deadline, client
  add_event(change)
  return 'applied reserved'
end

local count = tonumber(ARGV[4])
local keys, at = { unpack(ARGV, 5, 4 + count) }, 5 + count
for n = 1, count do keys[n] = STATUS .. keys[n] end
local values = call('MGET', unpack(keys))
for n = 1, count do
  client, key, value, token = ARGV[n + 4], keys[n], values[n] or '', ARGV[at]
  local result, a, b, answer = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], nil
  if find(value, token, 1, true) == 1 then
    local line = sub(value, STATE_START - 1, CLAIMED_AT)
    if result == 'reserved' and line == '\nreserving  - *' then
      answer = reserve(a, b)
    elseif result == 'confirmed' and line == '\nconfirming - *' then
      answer = finish(result, '\nconfirmed  - - 000', 'confirming>confirmed -', past_request())
    elseif result == 'sold_out' and line == '\nreserving  - *' then
      answer = finish(result, '\nsold_out   - - 000', 'reserving>sold_out -', past_request())
    elseif take(value) then
      if claimed == '*' then
        answer = apply(result, a, b)
      elseif find(token, '[1-9]', FENCE_START) then
        answer, repeated = 'repeated ' .. state, repeated + 1
      end
    end
  end
  if not answer then
    answer, stale = 'stale', stale + 1
  end
  reply[n] = answer
  if result == 'reserved' or result == 'retry' then
    at = at + 4
  elseif result == 'rejected' or result == 'give_up' then
    at = at + 3
  else
    at = at + 2
  end
end

if writes[1] then call('MSET', unpack(writes)) end
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
