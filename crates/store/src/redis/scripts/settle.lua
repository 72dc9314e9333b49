-- Records what became of tasks. Only the holder of the newest claim changes anything.
-- ARGV     for each task: client, booking id, fence, verdict, a, b, busy time in µs. Verdicts, with a and b:
--            reserved   reservation, hold in ms      confirmed   -, -
--            sold_out   -, -                         released    -, -
--            rejected   reason, -                    retry       after in ms, 1 if the try counts, else 0
--            give_up    reason, -
-- Returns  for each task: 'applied <state>', 'repeated <state>' or 'stale'
-- Cost     O(log N) for each task; at most 256 tasks.
-- Repeat   A fence that has settled once is remembered: its second settlement is 'repeated' and changes nothing.
local moment = text(now)
local holds, hold_count, leased, lease_count, freed, freed_count = {}, 0, {}, 0, {}, 0
local ended, busy_total, stale, retried, reply = {}, 0, 0, 0, {}

local function lease_until(ends, client)
  leased[lease_count + 1], leased[lease_count + 2] = ends, client
  lease_count = lease_count + 2
end

local function free(client)
  freed_count = freed_count + 1
  freed[freed_count] = client
end

-- A release becomes due now. `field` is what the verdict brought, if anything.
local function release(client, key, state, id, fence, outcome, field, value)
  call('HSET', key, 'state', 'releasing -' .. fence .. ' ' .. outcome)
  if field then call('HSET', key, field, value) end
  lease_until(moment, client)
  tell_why(client, state .. '>releasing ', fence, outcome, id, field == 'reason' and value)
  return 'applied releasing'
end

local function finish(client, key, state, id, fence, outcome, last, reason)
  call('HSET', key, 'state', written(last, '-' .. fence, outcome))
  retire(key)
  free(client)
  ended[last] = (ended[last] or 0) + 1
  tell_why(client, state .. '>' .. last .. ' ', fence, '-', id, reason)
  return 'applied ' .. last
end

local function hold(client, key, id, fence, reservation, length)
  local deadline = text(now + length)
  call('HSET', key, 'state', 'reserved -' .. fence, 'hold', deadline .. ' ' .. reservation)
  free(client)
  holds[hold_count + 1], holds[hold_count + 2] = deadline, client
  hold_count = hold_count + 2
  tell(client, 'reserving>reserved ', fence, deadline, id)
  return 'applied reserved'
end

-- Parked until `after` has passed; the fence is used up. Each kind of task counts its own attempts.
local function park(client, key, state, fence, outcome, after, counts)
  call('HSET', key, 'state', written(state, '-' .. fence, outcome))
  if counts == '1' then call('HINCRBY', key, 'attempts_' .. state, 1) end
  lease_until(text(now + after), client)
  retried = retried + 1
  return 'applied ' .. state
end

-- The verdict on a reservation; nil where it is none.
local function reserving(client, key, id, fence, outcome, verdict, a, b)
  local leaving = outcome == 'cancelled'
  local follows = leaving and 'cancelled' or 'failed'
  if verdict == 'reserved' then
    if not leaving then return hold(client, key, id, fence, a, b) end
    return release(client, key, 'reserving', id, fence, follows, 'hold', '- ' .. a)
  elseif verdict == 'sold_out' then
    return finish(client, key, 'reserving', id, fence, outcome, verdict)
  elseif verdict == 'rejected' then
    call('HSET', key, 'reason', a)
    return finish(client, key, 'reserving', id, fence, outcome, verdict, a)
  elseif verdict == 'give_up' then
    return release(client, key, 'reserving', id, fence, follows, 'reason', a)
  elseif verdict == 'retry' and leaving then
    return release(client, key, 'reserving', id, fence, follows)
  elseif verdict == 'retry' then
    return park(client, key, 'reserving', fence, outcome, a, b)
  end
end

-- The verdict of whoever holds the task; nil where it does not fit the state.
local function apply(client, key, state, id, fence, outcome, verdict, a, b)
  if state == 'reserving' then
    return reserving(client, key, id, fence, outcome, verdict, a, b)
  elseif verdict == 'retry' then
    return park(client, key, state, fence, outcome, a, b)
  elseif state == 'confirming' then
    if verdict == 'confirmed' then return finish(client, key, state, id, fence, outcome, verdict) end
    if verdict == 'give_up' then return release(client, key, state, id, fence, 'failed', 'reason', a) end
  elseif verdict == 'released' and OUTCOMES[outcome] then
    return finish(client, key, state, id, fence, outcome, outcome, call('HGET', key, 'reason'))
  end
end

-- State, fence and outcome; the common ones without taking them apart.
local function read_state(state, fence)
  if state == 'reserving ' .. fence then return 'reserving', fence, '' end
  if state == 'confirming ' .. fence then return 'confirming', fence, '' end
  return parse(state)
end

local answers = 0
for i = 3, #ARGV, 7 do
  local client, id, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = STATUS .. client
  local row = try('HMGET', key, 'state', 'id')
  local answer
  if not row.err and find(row[2] or '', id, 1, true) == 1 then
    local state, newest, outcome = read_state(row[1], fence)
    if newest == fence and LEASED[state] then
      answer = apply(client, key, state, row[2], fence, outcome, ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
      if answer then busy_total = busy_total + ARGV[i + 6] end
    elseif newest == '-' .. fence and (LEASED[state] or FINAL[state] or state == 'reserved') then
      answer = 'repeated ' .. state
    end
  end
  if not answer then
    answer, stale = 'stale', stale + 1
  end
  answers = answers + 1
  reply[answers] = answer
end

zrem(LEASES, freed)
zadd(LEASES, leased)
zadd(TIMEOUTS, holds)
count('reserved', hold_count / 2)
count('retried', retried)
count('stale', stale)
count('busy_us', busy_total)
for last, by in pairs(ended) do count(last, by) end
publish(now)
return reply
