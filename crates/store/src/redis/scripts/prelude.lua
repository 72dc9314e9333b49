-- Put in front of each script: names for the keys, reading a booking, writing sets, counters and the outbox.
--
-- KEYS, the same for every script, all in one slot by their hash tag {Q}:
--   1 booking-queue   2 booking-leases   3 booking-timeouts   4 booking-status:{Q}: (a prefix)   5 booking-stats
--   6 booking-events  7 booking-meta     8 booking-notifier   9 booking-test-clock (read by tests only)
-- The key of one booking is made here from KEYS[4] and the client: it has the same hash tag, so the same slot.
--
-- ARGV, in front of each script's own:
--   1 outbox entries to keep   2 how long a final booking is kept, ms
--
-- Each script decides about one booking after reading all it needs of it, and then writes; sets, counters and the outbox
-- follow in one command each at the end. Nothing between can fail: types were checked by the reads, memory by Redis before
-- the script's first write.
--
-- Where the CPU goes, measured: 0.3 µs for each field read and 0.4 µs for each command. So what is read together is kept
-- together in few fields, a script reads only those it needs, and the busy ones answer in flat lists.
local ARGV, call, try, tonumber, unpack = ARGV, redis.call, redis.pcall, tonumber, unpack
local QUEUE, LEASES, TIMEOUTS, STATUS, STATS, EVENTS, META, NOTIFIER = unpack(KEYS)

-- A whole number as text. Redis and `..` would each write a Lua number as a float, which is slow: a number that is used
-- more than once, or for each booking, is made a text first.
local format = string.format
local function text(number) return format('%d', number) end

-- What a client may see of a booking is read as a row: a table of fields in this order. A missing field is false.
--   state    '<state> <fence>[ <outcome>]'; the fence is the newest claim, 0 before the first, and has a minus sign once that
--            claim was settled: a task is in somebody's hands while its fence is positive
--   id       '<booking id> <ticket> <when it joined>'
--   hold     '<deadline, or - when there is none> <reservation>'
local STATE, ID, REQUEST, HOLD, PAYMENT, REASON, POSITION = 1, 2, 3, 4, 5, 6, 7

local function read_booking(key)
  return try('HMGET', key, 'state', 'id', 'request', 'hold', 'payment', 'reason')
end

local find, match = string.find, string.match

-- State, fence and outcome ('' if none); nothing if it is not a state.
local function parse(state)
  return match(state or '', '^([%l_]+) (%-?%d+) ?(%l*)$')
end

local FINAL = { confirmed = true, expired = true, cancelled = true, sold_out = true, rejected = true, failed = true }
local LEASED = { reserving = true, confirming = true, releasing = true }
local OUTCOMES = { expired = true, cancelled = true, failed = true }

-- State, fence and outcome of a row that is a booking; nothing if it is of another type or damaged. Such a one is dropped
-- from the set that named it, or replaced by the next Enqueue, so that it never stops the queue.
local function booking(row)
  if row.err or not row[REQUEST] or not find(row[ID] or '', '^%x+%-%x+%-%x+%-%x+%-%x+ %d+ %d+$') then return nil end
  local state, fence, outcome = parse(row[STATE])
  local held = find(row[HOLD] or '', '^%d+ .')
  local fits = state == 'queued' or state == 'reserving' or FINAL[state]
    or (state == 'releasing' and OUTCOMES[outcome])
    or (state == 'reserved' and held) or (state == 'confirming' and held and row[PAYMENT])
  if fits then return state, fence, outcome end
end

-- How a state is written.
local function written(state, fence, outcome)
  if outcome ~= '' then return state .. ' ' .. fence .. ' ' .. outcome end
  return state .. ' ' .. fence
end

-- The number of a fence, without the sign that says it was settled.
local function unsigned(fence) return match(fence, '%d+') end

local function zadd(key, scores_and_members)
  if scores_and_members[1] then call('ZADD', key, unpack(scores_and_members)) end
end

local function zrem(key, members)
  if members[1] then call('ZREM', key, unpack(members)) end
end

local function count(counter, by)
  if by > 0 then call('HINCRBY', STATS, counter, by) end
end

-- The outbox: all events of a call become one entry, `n <number> at <ms> <client> <event> <client> <event> ...`.
-- Numbers have no holes, so a reader sees when entries are gone. An event is `from>to fence extra id[ reason]`, the id as it is
-- kept; extra is the deadline (to reserved), the outcome (to releasing) or -.
local events, told = {}, 0

local function tell(client, change, fence, extra, id)
  events[told + 1], events[told + 2] = client, change .. fence .. ' ' .. extra .. ' ' .. id
  told = told + 2
end

local function tell_why(client, change, fence, extra, id, reason)
  tell(client, change, fence, extra, reason and reason ~= '' and id .. ' ' .. reason or id)
end

local function publish(now)
  if told > 0 then
    call('XADD', EVENTS, 'MAXLEN', '~', ARGV[1], '*', 'n', call('HINCRBY', STATS, 'entries', 1), 'at', now,
      unpack(events))
  end
end

-- A booking has ended: drops what only a worker needs, and starts its retention.
local function retire(key)
  call('HDEL', key, 'payload', 'item', 'trace')
  call('PEXPIRE', key, ARGV[2])
end

