-- Put in front of each script: names for the keys, reading and writing bookings, sets, counters and the outbox.
--
-- KEYS, the same for every script, all in one slot by their hash tag {Q}:
--   1 booking-queue   2 booking-leases   3 booking-timeouts   4 booking-status:{Q}: (a prefix)   5 booking-stats
--   6 booking-events  7 booking-meta     8 booking-notifier   9 booking-test-clock (read by tests only)
-- The key of one booking is made here from KEYS[4] and the client: it has the same hash tag, so the same slot.
--
-- ARGV, in front of each script's own:
--   1 outbox entries to keep   2 how long a final booking is kept, ms
--
-- Each script reads all the bookings it is asked about in one command, decides about one after the other, and then writes
-- what it has decided: bookings, sets, counters and the outbox in one command each. Nothing between can fail: types were
-- checked by the reads, memory by Redis before the script's first write.
--
-- Where the CPU goes, in instructions (callgrind): 2,000 for each command, 500 for each argument of one, and for each new text
-- in Lua 300 and 5 more for each byte, since Redis's Lua hashes all of it (CVE-2025-46819). So a command serves a whole batch, a
-- booking is one text, and it is taken apart by positions rather than into pieces.
local ARGV, call, tonumber, unpack = ARGV, redis.call, tonumber, unpack
local QUEUE, LEASES, TIMEOUTS, STATUS, STATS, EVENTS, META, NOTIFIER = unpack(KEYS)
local find, match, sub, byte, format, concat =
  string.find, string.match, string.sub, string.byte, string.format, table.concat

-- A whole number as text. Redis and `..` would each write a Lua number as a float, which takes as long as two commands: so no
-- number is given to either.
local function text(number) return format('%d', number) end

-- The whole numbers after `from`, one with each call, as texts: cheaper than to format each.
local function counter(from)
  local digit = from % 10
  local tens = (from - digit) / 10
  local front = tens > 0 and text(tens) or ''
  return function()
    digit = digit + 1
    if digit == 10 then
      tens, digit = tens + 1, 0
      front = text(tens)
    end
    return front .. sub('0123456789', digit + 1, digit + 1)
  end
end

-- A booking is one text, a line for each of these, empty where there is nothing:
--   <state> <fence> <outcome or -> <tries of this task that counted>
--        the fence is the newest claim, 0 before the first, and has a minus sign once that claim was settled: a task is in
--        somebody's hands while its fence is positive
--   <booking id> <ticket> <when it joined>
--   <deadline, or - when there is none> <reservation>
--   <payment>
--   <reason>
--   <request>
--   <quantity> <item>             this and what follows until the booking is final
--   <trace>
--   <payload>                     all the rest, line ends included
local HEAD = '^([%l_]+) (%-?%d+) ([%l%-]+) (%d+)()\n'
local LINES = '^[^\n]*()\n[^\n]*()\n[^\n]*()\n[^\n]+()\n'
-- How the text of a booking in the line begins.
local QUEUED = 'queued 0 - 0\n'

-- By comparison and not by tables, which would be built anew for each call.
local function is_outcome(name) return name == 'expired' or name == 'cancelled' or name == 'failed' end
local function is_final(name)
  return name == 'confirmed' or name == 'sold_out' or name == 'rejected' or is_outcome(name)
end
local function is_leased(name) return name == 'reserving' or name == 'confirming' or name == 'releasing' end

-- The booking in hand: its text, what the first line says, its id, and where the lines end that every booking has.
local value, state, fence, outcome, tries, id
local head_end, id_end, hold_end, payment_end, reason_end, request_end

-- Finds the ends of the lines behind the first. Returns nothing if one is missing, or the id has not the shape of one: a booking
-- id of 36 characters, a space, and two numbers.
local function find_ends()
  id_end = byte(value, head_end + 9) == 45 and byte(value, head_end + 37) == 32 and find(value, '\n', head_end + 40, true)
  if not id_end then return nil end
  id = sub(value, head_end + 1, id_end - 1)
  hold_end, payment_end, reason_end, request_end = match(value, LINES, id_end + 1)
  return request_end
end

-- Takes a booking in hand. Returns its state; nothing if it is none or damaged. Such a one is dropped from the set that named
-- it, or replaced by the next Enqueue, so that it never stops the queue.
local function take(found)
  value = found or ''
  state, fence, outcome, tries, head_end = match(value, HEAD)
  local fits = state and find_ends() and (state == 'queued' or state == 'reserving' or is_final(state)
    or (state == 'releasing' and is_outcome(outcome))
    -- These have a hold, which begins with a deadline.
    or ((state == 'reserved' or state == 'confirming') and find(value, '^%d', id_end + 1)))
  if not fits then state = nil end
  return state
end

-- Whether the booking in hand is the one of this id; any is, where the caller knows none ('').
local function is(booking) return find(id, booking, 1, true) == 1 end

-- The number of a fence, without the sign that says it was settled.
local function unsigned(number) return match(number, '%d+') end

local function reason()
  return sub(value, payment_end + 1, reason_end - 1)
end

-- Bookings as they will be: a client may be named twice in a call. `kept` is what MSET takes, `finals` the keys of those that
-- have ended.
local written, kept, keeps, finals = {}, {}, 0, {}

-- The keys of the clients from ARGV[first] on, each `step` further, and what is there (false for nothing).
local function read(first, step)
  local keys, n = {}, 0
  for i = first, #ARGV, step do
    n = n + 1
    keys[n] = STATUS .. ARGV[i]
  end
  return keys, n > 0 and call('MGET', unpack(keys)) or {}
end

-- The same of a list of clients.
local function read_list(clients)
  local keys = {}
  for n = 1, #clients do keys[n] = STATUS .. clients[n] end
  return keys, #keys > 0 and call('MGET', unpack(keys)) or {}
end

local function keep(key, new)
  written[key] = new
  kept[keeps + 1], kept[keeps + 2] = key, new
  keeps = keeps + 2
end

-- The booking in hand, in another state. `rest` is all behind the first line, if something of that is new.
local function put(key, new_state, new_fence, new_outcome, new_tries, rest)
  local new = new_state .. ' ' .. new_fence .. ' ' .. new_outcome .. ' ' .. new_tries .. (rest or sub(value, head_end))
  keep(key, new)
  return new
end

-- The booking in hand has ended: drops what only a worker needs, and starts its retention.
local function put_final(key, new_state, new_fence, new_outcome, new_reason)
  local new = new_state .. ' ' .. new_fence .. ' ' .. new_outcome .. ' 0'
  if new_reason then
    new = new .. sub(value, head_end, payment_end) .. new_reason .. sub(value, reason_end, request_end) .. '\n\n'
  else
    new = new .. sub(value, head_end, request_end) .. '\n\n'
  end
  written[key] = new
  finals[#finals + 1] = key
  return new
end

local function save()
  if keeps > 0 then call('MSET', unpack(kept)) end
  for n = 1, #finals do call('SET', finals[n], written[finals[n]], 'PX', ARGV[2]) end
end

local function zadd(key, scores_and_members)
  if scores_and_members[1] then return call('ZADD', key, unpack(scores_and_members)) end
  return 0
end

local function zrem(key, members)
  if members[1] then call('ZREM', key, unpack(members)) end
end

local function count(name, by)
  if by > 0 then call('HINCRBY', STATS, name, text(by)) end
end

-- The outbox: all events of a call become one entry, `n <number> at <ms> events <events>`, two lines for each event: the client,
-- and `from>to fence extra id[ reason]`, the id as it is kept; extra is the deadline (to reserved), the outcome (to
-- releasing) or -. Numbers have no holes, so a reader sees when entries are gone.
local events, told = {}, 0

local function tell(client, change, number, extra, why)
  local event = change .. ' ' .. number .. ' ' .. extra .. ' ' .. id
  if why and why ~= '' then event = event .. ' ' .. why end
  events[told + 1], events[told + 2] = client, event
  told = told + 2
end

local function publish(moment)
  if told > 0 then
    local number = text(call('HINCRBY', STATS, 'entries', '1'))
    call('XADD', EVENTS, 'MAXLEN', '~', ARGV[1], '*', 'n', number, 'at', moment, 'events', concat(events, '\n'))
  end
end
