-- Part of claim.lua: claims due tasks.
local max, lease_end = tonumber(ARGV[3]), format('%013d', now + ARGV[4])
local counts = call('HMGET', STATS, 'claimed', 'entries', 'dispatched', 'waiting')
local before, waiting = tonumber(counts[1] or '0'), tonumber(counts[4] or '0')
local given, reclaimed, dispatched, damaged = 0, 0, 0, 0
local writes, leased, gone, events, lines, finals = {}, {}, {}, {}, {}, {}
local reply = { now, false, 0, {} }

-- Claims a booking: `line` replaces its second line up to the tries; `change` and `why` go into the
-- event.
local function give(client, key, was, line, change, why)
  given = given + 1
  local token = sub(was, 1, FENCE_START - 1) .. format('%015d', before + given)
  local two, three, at = 2 * given, 3 * given, #events
  writes[two - 1], writes[two] = key, token .. line .. sub(was, TRIES_START)
  leased[two - 1], leased[two] = lease_end, client
  events[at + 1], events[at + 2], events[at + 3] =
    client, change, why and token .. ' ' .. why or token
  reply[three + 2], reply[three + 3], reply[three + 4] = client, token, was
end

-- Reads the bookings of these clients with one command. Returns their keys, too.
local function read(clients)
  local keys = {}
  for n = 1, #clients do keys[n] = STATUS .. clients[n] end
  return clients[1] and call('MGET', unpack(keys)) or keys, keys
end

-- Line 7 of a queued booking, whose hold, payment and reason are empty lines, or nil.
local function wanted(was)
  local queued = '\nqueued     - - 000\n\n\n\n'
  if find(was, queued, STATE_START - 1, true) ~= STATE_START - 1
    and find(was, '^\nqueued     %- %? 000\n\n\n\n', STATE_START - 1) ~= STATE_START - 1 then
    return nil
  end
  local request_ends = find(was, '\n', QUEUED_REQUEST_START, true)
  local line_end = request_ends and find(was, '\n', request_ends + 1, true)
  return line_end and sub(was, request_ends + 1, line_end - 1)
end

local due = call('ZRANGEBYSCORE', LEASES, '-inf', moment, 'LIMIT', '0', ARGV[3])
local due_values, due_keys = read(due)
for n = 1, #due do
  if take(due_values[n]) == 'reserving' or state == 'confirming' or state == 'releasing' then
    if claimed == '*' or claimed == '!' then reclaimed = reclaimed + 1 end
    local follows = '-'
    if state == 'releasing' then
      follows = outcome == 'e' and 'expired' or outcome == 'c' and 'cancelled'
        or outcome == 's' and 'sold_out' or outcome == 'r' and 'rejected' or 'failed'
    end
    local why = payment_end + 1 < reason_end and sub(value, payment_end + 1, reason_end - 1)
    -- The outcome of the Reserve of its last claim is unknown, so it is a stray from now on.
    local flag = state == 'reserving' and '! ' or '* '
    local line = sub(value, STATE_START - 1, CLAIMED_AT - 1) .. flag
    give(due[n], due_keys[n], value, line, state .. '>' .. state .. ' ' .. follows, why)
    lines[#lines + 1] = match(value, '^[^\n]*', request_end + 1)
  else
    gone[#gone + 1] = due[n]
  end
end
damaged = #gone
