-- Claims tasks: due ones first, earliest lease end first, then the front of the line.
-- KEYS     prelude.lua
-- ARGV     3 most tasks   4 lease, ms   5 'everything', or 'due_only' to leave the line alone
-- Returns  { now, next due in ms or false, 1 if the line still has bookings, task... }
--          A task is 3 values: client, claim token, the booking before the claim.
-- Cost     O(log N) for each task; at most 256 tasks. Members without a readable booking are
--          dropped and counted.
-- Repeat   Claims other tasks. The tasks of a lost answer are due again when their lease ends.
local max, lease_end = tonumber(ARGV[3]), format('%013d', now + ARGV[4])
local counts = call('HMGET', STATS, 'claimed', 'entries', 'dispatched')
local before = tonumber(counts[1] or '0')
local given, reclaimed, dispatched = 0, 0, 0
local writes, leased, gone, events, reply = {}, {}, {}, {}, { now, false, 0 }

-- Claims a booking: `line` replaces its second line up to the tries; `change` and `why` go into the
-- event.
local function give(client, key, was, line, change, why)
  given = given + 1
  local token = sub(was, 1, FENCE_START - 1) .. format('%015d', before + given)
  local two, three = 2 * given, 3 * given
  writes[two - 1], writes[two] = key, token .. line .. sub(was, TRIES_START)
  leased[two - 1], leased[two] = lease_end, client
  events[three - 2], events[three - 1], events[three] =
    client, change, why and token .. ' ' .. why or token
  reply[three + 1], reply[three + 2], reply[three + 3] = client, token, was
end

local function keys_of(clients)
  local keys = {}
  for n = 1, #clients do keys[n] = STATUS .. clients[n] end
  return keys
end

local due = call('ZRANGEBYSCORE', LEASES, '-inf', moment, 'LIMIT', '0', ARGV[3])
if due[1] then
  local keys = keys_of(due)
  local values = call('MGET', unpack(keys))
  for n = 1, #due do
    if take(values[n]) == 'reserving' or state == 'confirming' or state == 'releasing' then
      if claimed == '*' then reclaimed = reclaimed + 1 end
      local follows = '-'
      if state == 'releasing' then
        follows = outcome == 'e' and 'expired' or outcome == 'c' and 'cancelled' or 'failed'
      end
      local why = payment_end + 1 < reason_end and sub(value, payment_end + 1, reason_end - 1)
      local line = sub(value, STATE_START - 1, CLAIMED_AT - 1) .. '* '
      give(due[n], keys[n], value, line, state .. '>' .. state .. ' ' .. follows, why)
    else
      gone[#gone + 1] = due[n]
    end
  end
end

local damaged = #gone
local serves_line = ARGV[5] == 'everything' and call('HGET', META, 'admission') ~= 'Paused'
local front = serves_line and max > given
  and call('ZRANGE', QUEUE, '0', text(max - given - 1)) or {}
if front[1] then
  local keys = keys_of(front)
  local values = call('MGET', unpack(keys))
  for n = 1, #front do
    local was = values[n] or ''
    -- A queued booking has no hold, no payment and no reason, but a request.
    if sub(was, STATE_START - 1, HOLD_START + 2) == '\nqueued     - - 000\n\n\n\n'
      and find(was, '\n', QUEUED_REQUEST_START, true) then
      dispatched = dispatched + 1
      give(front[n], keys[n], was, '\nreserving  - * ', 'queued>reserving -')
    else
      damaged = damaged + 1
    end
  end
end

if given > 0 then
  call('MSET', unpack(writes))
  zadd(LEASES, leased)
  call('HSET', STATS, 'claimed', text(before + given),
    'entries', publish(counts[2], moment, events),
    'dispatched', text((counts[3] or 0) + dispatched))
end
if gone[1] then call('ZREM', LEASES, unpack(gone)) end
if front[1] then call('ZREMRANGEBYRANK', QUEUE, '0', text(#front - 1)) end
if reclaimed > 0 then call('HINCRBY', STATS, 'reclaimed', text(reclaimed)) end
if damaged > 0 then call('HINCRBY', STATS, 'damaged', text(damaged)) end

local earliest = call('ZRANGE', LEASES, '0', '0', 'WITHSCORES')
if earliest[2] then reply[2] = math.max(0, earliest[2] - now) end
if serves_line and call('ZCARD', QUEUE) > 0 then reply[3] = 1 end
return reply
