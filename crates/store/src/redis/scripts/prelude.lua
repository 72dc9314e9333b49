-- Put in front of each script: names for the keys, and what most of them do at their end.
--
-- KEYS, the same for every script, all in one slot by their hash tag {Q}:
--   1 booking-queue   2 booking-leases   3 booking-timeouts   4 booking-status:{Q}: (a prefix)   5 booking-stats
--   6 booking-events  7 booking-meta     8 booking-notifier   9 booking-test-clock (read by tests only)
-- The key of one booking is made here from KEYS[4] and the client: it has the same hash tag, so the same slot.
--
-- ARGV, in front of each script's own:
--   1 outbox entries to keep   2 how long a final booking is kept, ms
-- Nobody is named twice in a call: the store sees to that.
--
-- Each script reads all the bookings it is asked about in one command, decides about one after the other, and then writes
-- what it has decided: bookings, sets, counters and the outbox in one command each. Nothing between can fail: types were
-- checked by the reads, memory by Redis before the script's first write.
--
-- A booking is one text, a line for each of these, empty where there is nothing. The first two are of fixed width, so that a
-- script takes them by their places and never has to look for them:
--   1..65     <booking id> <queue number, 12 digits> <fence of the newest claim, 15 digits>        the lead
--   67..84    <state, 10 wide> <outcome> <mark> <tries of this task that counted, 3 digits>
--        outcome  what follows or followed a release: e(xpired), c(ancelled), f(ailed); - when nothing does
--        mark     * while the newest claim is in somebody's hands; - before the first, and once it was settled
--   86..      <deadline, 13 digits, or - when there is none> <reservation>
--             <payment>
--             <reason>
--             <when it joined, ms, 13 digits> <request>
--             <quantity> <item>       this and what follows until the booking is final
--             <trace>
--             <payload>               all the rest, line ends included
--
-- Where the CPU goes, in instructions (callgrind): 3,000 for each command, 500 for each argument of one, and for each new text
-- in Lua 300 and 7 more for each byte, since Redis's Lua hashes all of it (CVE-2025-46819). A function costs 1,000 in each call of
-- a script, whether it is used or not: so there are few here.
local ARGV, call, tonumber, unpack = ARGV, redis.call, tonumber, unpack
local QUEUE, LEASES, TIMEOUTS, STATUS, STATS, EVENTS, META, NOTIFIER = unpack(KEYS)
local find, match, sub, format, concat = string.find, string.match, string.sub, string.format, table.concat

-- A whole number as text. Redis and `..` would each write a Lua number as a float, which takes as long as two commands: so no
-- number is given to either.
local function text(number) return format('%d', number) end

-- Adds to a sorted set: score, member, score, member. Returns how many were new.
-- Redis keeps a small set as a list and walks it for each change, unless one member is long: then it makes it a tree for good.
-- A batch is cheaper with a tree, so it brings such a member and takes it away again.
local function zadd(key, scored)
  if #scored < 64 then return scored[1] and call('ZADD', key, unpack(scored)) or 0 end
  local long = '~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~'
  local added = call('ZADD', key, '0', long, unpack(scored))
  call('ZREM', key, long)
  return added - 1
end

-- The outbox: all events of a call become one entry, `n <number> at <ms> events <events>`, three lines for each event: the
-- client, `from>to extra`, and `lead[ reason]`; extra is the deadline (to reserved), the outcome (to releasing) or -. Numbers
-- have no holes, so a reader sees when entries are gone. Returns the number of this entry, for the counters.
local function publish(entries, moment, events)
  local number = text((entries or 0) + 1)
  call('XADD', EVENTS, 'MAXLEN', '~', ARGV[1], '*', 'n', number, 'at', moment, 'events', concat(events, '\n'))
  return number
end
