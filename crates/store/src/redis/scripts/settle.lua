-- Settles tasks. Only the newest claim of a booking can change it.
-- KEYS     prelude.lua
-- ARGV     3 slot time of all tasks, µs (each applied one counts for its share)
--          4 number of tasks   5 1 if a result may close or open an item: left and those below it
--          then all clients, then for each task: claim token, result and its arguments:
--            reserved   hold in ms, reservation
--            retry      delay in ms, 1 if it counts or 0
--            confirmed
--            left       hold in ms, reservation, what is left: reserved, with the rest of the item
--            sold_out   what is left or '', quantity held elsewhere, returned quantity at the claim
--            rejected   reason                       give_up    reason
--            released
-- Returns  for each task: 'applied <state>', 'repeated <state>' or 'stale'
-- Cost     O(log N) for each task; at most 256 tasks.
-- Repeat   Returns 'repeated' for a claim that was settled before, and changes nothing.
local writes, finals, holds, leased, freed, events = {}, {}, {}, {}, {}, {}
local ended, repeated, stale, retried, reserved, reply = {}, 0, 0, 0, 0, {}
-- The current task, beside its booking. If items may close or open, what the booking wants, and the
-- columns of the line ends of its request and of line 7; otherwise how many end, by line 7.
local client, key, token, want, request_ends, want_ends
local ended_by_line = {}
-- Bookings that are parked, by the keys of their sets.
local parked, parks = {}, 0

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
-- of the request's line end. `rest` replaces the lines behind it.
local function finish(last, line, change, ends, rest)
  if want then
    settle_item(want.item)
  else
    local wanted_ends = ends and find(value, '\n', ends + 1, true)
    if not wanted_ends then return nil end
    local wanted = sub(value, ends + 1, wanted_ends - 1)
    ended_by_line[wanted] = (ended_by_line[wanted] or 0) + 1
  end
  local at = #finals
  finals[at + 1] = key
  finals[at + 2] = token .. line .. sub(value, HOLD_START - 1, ends) .. (rest or '\n\n')
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
local function try_later(delay, counts)
  write(token .. sub(value, STATE_START - 1, CLAIMED_AT - 1) .. (claimed == '!' and '? ' or '- ')
    .. format('%03d', math.min(999, tries + counts)) .. sub(value, HOLD_START - 1))
  leased[#leased + 1], leased[#leased + 2] = format('%013d', now + delay), client
  retried = retried + 1
  return 'applied ' .. state
end

local refuse, note_reserved
if uses_items then
  -- Applies the refusal of the Booking Service.
  function refuse(left, elsewhere, returned)
    local fence = tonumber(sub(token, FENCE_START))
    local place = tonumber(sub(token, BOOKING_END + 2, FENCE_START - 2))
    local is_final = close_item(want, place, fence, left, elsewhere, returned, claimed == '!',
      events)
    if is_final or payment_end > hold_end + 1 then
      if claimed == '!' then return release('sold_out') end
      local line = '\nsold_out   ' .. outcome .. ' - 000'
      return finish('sold_out', line, 'reserving>sold_out -', request_end)
    elseif outcome == 'c' then
      return release('cancelled')
    end
    settle_item(want.item, true)
    local flag = '-'
    if claimed == '!' then
      flag = '?'
      local strays = want.item.strays or {}
      want.item.strays, strays[#strays + 1], strays[#strays + 2] =
        strays, sub(token, BOOKING_END + 2, FENCE_START - 2), client
    end
    write(token .. '\nqueued     - ' .. flag .. ' 000' .. sub(value, HOLD_START - 1))
    freed[#freed + 1], parks = client, parks + 1
    want.item.pending = (want.item.pending or 0) + 1
    local set = parked_set(want.item, want.quantity)
    local scored = parked[set] or {}
    parked[set], scored[#scored + 1], scored[#scored + 2] =
      scored, sub(token, BOOKING_END + 2, FENCE_START - 2), client
    add_event('reserving>queued ' .. format('%d ', want.quantity) .. want.item.name)
    return 'applied queued'
  end

  -- Notes what a reservation says about the item: that of a probe opens it.
  function note_reserved(left)
    if left ~= '' then want.item.left = left end
    if want.item.probe == tonumber(sub(token, BOOKING_END + 2, FENCE_START - 2)) then
      want.item.probe = 0
      open_item(want.item, left, events)
    end
  end
end

-- Applies a result to the claimed current booking. Returns nil if it does not fit the state.
local function apply(result, a, b, c)
  if state == 'reserving' then
    local leaving = outcome == 'c'
    local follows = leaving and 'cancelled' or 'failed'
    if result == 'reserved' then
      if want then note_reserved(c) end
      local rest = '\n- ' .. b .. sub(value, HOLD_START)
      if leaving then return release(follows, rest) end
      -- A payment waits for this reservation: its confirmation is due now.
      write(token .. '\nconfirming - - 000' .. rest)
      leased[#leased + 1], leased[#leased + 2], reserved = moment, client, reserved + 1
      add_event('reserving>confirming -')
      return 'applied confirming'
    elseif result == 'sold_out' then
      return refuse(a, b, c)
    elseif result == 'rejected' and claimed == '!' then
      return give_up('rejected', a)
    elseif result == 'rejected' then
      value = sub(value, 1, payment_end) .. a .. sub(value, reason_end)
      give_credit(want)
      local done = finish(result, '\nrejected   ' .. outcome .. ' - 000', 'reserving>rejected -',
        request_end + #a - (reason_end - payment_end - 1))
      if a ~= '' then events[#events] = token .. ' ' .. a end
      return done
    elseif result == 'give_up' then
      return give_up(follows, a)
    elseif result == 'retry' and leaving then
      return release(follows)
    elseif result == 'retry' then
      return try_later(a, b)
    end
  elseif result == 'retry' then
    return try_later(a, b)
  elseif state == 'confirming' and result == 'give_up' then
    return give_up('failed', a)
  elseif state == 'releasing' and result == 'released' then
    local last = outcome == 'e' and 'expired' or outcome == 'c' and 'cancelled'
      or outcome == 's' and 'sold_out' or outcome == 'r' and 'rejected' or 'failed'
    local why = sub(value, payment_end + 1, reason_end - 1)
    local line = format('\n%-10s ', last) .. outcome .. ' - 000'
    take_back(want)
    -- What an expired booking wanted is kept: its client may pay late and reacquire it.
    local rest = last == 'expired' and sub(value, request_end + 1, want_ends)
      .. match(value, '\n.*', want_ends + 1)
    local done = finish(last, line, 'releasing>' .. last .. ' -', request_end, rest)
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
local function past_request(found)
  local ends = HOLD_START - 1
  for _ = 1, 4 do
    ends = find(found, '\n', ends + 1, true)
    if not ends then return nil end
  end
  return ends
end

-- Most holds of a call have the same length, so the last deadline is kept.
local deadline, last_length, change
local function reserve(length, reservation, left)
  if want then note_reserved(left) end
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
local keys, at = { unpack(ARGV, 6, 5 + count) }, 6 + count
for n = 1, count do keys[n] = STATUS .. keys[n] end
local values = call('MGET', unpack(keys))

-- What each booking wants, or false if it is corrupt, and the columns of those line ends.
local lines, line_of, requests, ends = {}, {}, {}, {}
if uses_items then
  for n = 1, count do
    local found = values[n] or ''
    local request = past_request(found)
    local line_end = request and find(found, '\n', request + 1, true)
    requests[n], ends[n] = request, line_end
    line_of[n] = line_end and sub(found, request + 1, line_end - 1) or false
    lines[#lines + 1] = line_of[n] or nil
  end
  load(lines)
end

for n = 1, count do
  client, key, value, token = ARGV[n + 5], keys[n], values[n] or '', ARGV[at]
  local result, a, b, left, answer = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], '', nil
  at = at + ((result == 'reserved' or result == 'retry') and 4
    or (result == 'sold_out' or result == 'left') and 5
    or (result == 'rejected' or result == 'give_up') and 3 or 2)
  if result == 'left' then result, left = 'reserved', ARGV[at - 1] end
  if uses_items then
    want, request_ends, want_ends = wants[line_of[n]], requests[n], ends[n]
    -- A booking without the line of its item is corrupt.
    if not want then value = '' end
  end
  if find(value, token, 1, true) == 1 then
    -- One that was paid before has a payment behind its empty hold.
    if result == 'reserved'
      and (find(value, '\nreserving  - *', STATE_START - 1, true) == STATE_START - 1
        or find(value, '\nreserving  - !', STATE_START - 1, true) == STATE_START - 1)
      and find(value, '\n\n', HOLD_START, true) == HOLD_START then
      answer = reserve(a, b, left)
    elseif result == 'confirmed'
      and find(value, '\nconfirming - *', STATE_START - 1, true) == STATE_START - 1 then
      answer = finish(result, '\nconfirmed  - - 000', 'confirming>confirmed -', past_request(value))
    elseif take(value) then
      if claimed == '*' or claimed == '!' then
        answer = apply(result, a, b, result == 'reserved' and left or ARGV[at - 1])
      elseif find(token, '[1-9]', FENCE_START) then
        answer, repeated = 'repeated ' .. state, repeated + 1
      end
    end
  end
  if not answer then
    answer, stale = 'stale', stale + 1
  end
  reply[n] = answer
end

if writes[1] then call('MSET', unpack(writes)) end
retain(finals)
if freed[1] then call('ZREM', LEASES, unpack(freed)) end
zadd(LEASES, leased)
zadd(TIMEOUTS, holds)
local applied = count - repeated - stale
if applied > 0 then call('HINCRBY', STATS, 'busy_us', text(ARGV[3] * applied / count)) end
reserved = reserved + #holds / 2
if reserved > 0 then call('HINCRBY', STATS, 'reserved', text(reserved)) end
if retried > 0 then call('HINCRBY', STATS, 'retried', text(retried)) end
if stale > 0 then call('HINCRBY', STATS, 'stale', text(stale)) end
for last, by in pairs(ended) do call('HINCRBY', STATS, last, text(by)) end
for set, scored in pairs(parked) do zadd(set, scored) end
if parks > 0 then
  call('HINCRBY', STATS, 'parked', text(parks))
  call('HINCRBY', STATS, 'waiting', text(parks))
end
if uses_items then
  for _, item in pairs(items) do
    if item.strays then zadd(stray_set(item), item.strays) end
  end
  save_items()
elseif next(ended_by_line) then
  count_open(ended_by_line, -1, {})
end
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return { written, reply }
