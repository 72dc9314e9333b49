-- Loaded in front of every script: the names of the keys and the shared writes.
--
-- KEYS, the same for every script. Their hash tag {Q} puts them all in one slot:
--   1 booking-queue     2 booking-leases     3 booking-timeouts
--   4 booking-status:{Q}: (the prefix of the booking keys)
--   5 booking-stats     6 booking-events     7 booking-meta
--   8 booking-notifier  9 booking-items        10 booking-closed     11 booking-ready
--   12 booking-parked:{Q}: (the prefix of the parked sets)
--   13 booking-test-clock (read in tests only)
-- A script appends the client to KEYS[4], and a quantity or 'stray' and an item to KEYS[12]. Those
-- keys have the same hash tag, so the same slot.
--
-- ARGV, before the arguments of the script itself:
--   1 outbox entries to keep   2 retention of a final booking, ms
-- The store names each client at most once in a call.
--
-- A script reads all bookings of its call with one command, decides about one after the other, then
-- writes its decisions: one command for each kind of key. The writes cannot fail halfway: the reads
-- have checked the types, and Redis checks its memory before the first write of a script.
--
-- A booking is a text of nine lines. The first two have a fixed width, so that a script can address
-- them by column. The names in capitals stand for columns; the store puts the numbers in when it
-- loads a script (COLUMNS in record.rs). An absent value is an empty line.
--   1  <booking id> <queue number> <fence of the newest claim>
--      This line up to TOKEN_END is the claim token.
--   2  <state> <outcome> <claimed flag> <counted tries of the current task>
--      outcome       the final state after a release: e(xpired), c(ancelled), f(ailed), s(old_out),
--                    r(ejected); otherwise -
--      claimed flag  * from a claim until its settlement; otherwise -
--                    of a stray, ! and ?: Reserve was repeated before the outcome of the one before
--                    was known, and that one may still arrive
--   3  <deadline, or -> <reservation>
--   4  <payment>
--   5  <reason>
--   6  <time of joining, ms> <request>
--   7  <quantity> <item>      lines 7 to 9 are empty in a final booking
--   8  <trace>
--   9  <payload>              everything that follows, line ends included
--
-- Cost in CPU instructions (callgrind): 3,000 for a command and 500 for each of its arguments; 300
-- for a new Lua string and 7 for each of its bytes, since the Lua of Redis hashes all of it
-- (CVE-2025-46819). A local function costs 1,000 in each call of a script, used or not, so there
-- are few.
local ARGV, call, tonumber, unpack = ARGV, redis.call, tonumber, unpack
local QUEUE, LEASES, TIMEOUTS, STATUS, STATS, EVENTS, META, NOTIFIER, ITEMS, CLOSED, READY, PARKED =
  unpack(KEYS)
local find, match, sub, format, concat =
  string.find, string.match, string.sub, string.format, table.concat

-- Formats a whole number. Redis and `..` would format a Lua number as a float, at the cost of two
-- commands, so the scripts pass only texts to both.
local function text(number) return format('%d', number) end

-- Adds score, member, score, member ... to a sorted set. Returns the number of new members.
-- Redis stores a small set as a list and scans it for every change. A member of over 64 bytes turns
-- the list into a skip list for good, which is cheaper for a batch: so a batch adds such a member
-- and removes it again.
local function zadd(key, scored)
  if #scored < 64 then return scored[1] and call('ZADD', key, unpack(scored)) or 0 end
  local long = '~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~'
  local added = call('ZADD', key, '0', long, unpack(scored))
  call('ZREM', key, long)
  return added - 1
end

-- Writes all events of a call as one outbox entry, `n <number> at <ms> events <events>`. An event
-- has three lines: the client, `from>to extra`, and the claim token with ` reason` if it has one;
-- extra is the deadline (to reserved), the outcome (to releasing), line 7 of the booking (to queued
-- again) or -. An event about an item has the item, its change, and the places of the bookings that
-- are parked or -. Entry numbers have no holes, so a reader notices missing entries. Returns the
-- number of this entry, for the counters.
--
-- A script that may call it returns { written, answer }: who knows the last entry that it wrote
-- notices when the data is set back to before it.
local written = false
local function publish(entries, moment, events)
  local number = text((entries or 0) + 1)
  local id = call('XADD', EVENTS, 'MAXLEN', '~', ARGV[1], '*',
    'n', number, 'at', moment, 'events', concat(events, '\n'))
  written = number .. ' ' .. id
  return number
end
