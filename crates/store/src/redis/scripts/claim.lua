-- Claims tasks: due ones first, earliest lease end first; then who waits, smallest place first, as
-- far as the rules of the sale and the items allow. Ends and parks bookings whose item is closed.
-- KEYS     prelude.lua
-- ARGV     3 most tasks   4 lease, ms   5 whom to serve beside due tasks: 'everything' those that
--          wait, 'once_ruled' the same once the rules of the sale were written, 'due_only' none
-- Returns  { now, next task in µs or false, 1 if more can be claimed now, items, task... }
--          An item is { name, returned quantity, 1 if it was never sold out }. A task is 3 values: client,
--          claim token, the booking before the claim.
-- Cost     O(log N) for each task; at most 256 tasks, and as many bookings that end or are parked.
--          Members without a readable booking are dropped and counted.
-- Repeat   Claims other tasks. The tasks of a lost answer are due again when their lease ends.
local max, lease_end = tonumber(ARGV[3]), format('%013d', now + ARGV[4])
local counts = call('HMGET', STATS, 'claimed', 'entries', 'dispatched', 'waiting')
local before, waiting = tonumber(counts[1] or '0'), tonumber(counts[4] or '0')
local given, reclaimed, dispatched, damaged = 0, 0, 0, 0
local writes, leased, gone, events, lines, reply = {}, {}, {}, {}, {}, { now, false, 0, {} }

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

local due = call('ZRANGEBYSCORE', LEASES, '-inf', moment, 'LIMIT', '0', ARGV[3])
local due_values = read(due)
for n = 1, #due do
  if take(due_values[n]) == 'reserving' or state == 'confirming' or state == 'releasing' then
    if claimed == '*' then reclaimed = reclaimed + 1 end
    local follows = '-'
    if state == 'releasing' then
      follows = outcome == 'e' and 'expired' or outcome == 'c' and 'cancelled' or 'failed'
    end
    local why = payment_end + 1 < reason_end and sub(value, payment_end + 1, reason_end - 1)
    local line = sub(value, STATE_START - 1, CLAIMED_AT - 1) .. '* '
    give(due[n], STATUS .. due[n], value, line, state .. '>' .. state .. ' ' .. follows, why)
    lines[#lines + 1] = match(value, '^[^\n]*', request_end + 1)
  else
    gone[#gone + 1] = due[n]
  end
end
load(lines)
damaged = #gone

-- Ends a waiting booking whose item has ended.
local finals = {}
local function finish(client, was)
  if take(was) ~= 'queued' then
    damaged = damaged + 1
    return
  end
  local final, at = #finals, #events
  finals[final + 1] = STATUS .. client
  finals[final + 2] = sub(value, 1, STATE_START - 1) .. 'sold_out   - - 000'
    .. sub(value, HOLD_START - 1, request_end) .. '\n\n'
  events[at + 1], events[at + 2], events[at + 3] =
    client, 'queued>sold_out -', sub(value, 1, TOKEN_END)
end

-- Parked bookings of items that have ended, by place.
local endings = 256
local ended = waiting > 0 and call('ZRANGEBYSCORE', CLOSED, '0', '0', 'LIMIT', '0', '256') or {}
for n = 1, #ended do
  local name, found = ended[n], {}
  load({ '1 ' .. name })
  local item = items[name]
  -- Its text was lost.
  if item.refused == 0 then call('ZREM', CLOSED, name) end
  for quantity in string.gmatch(endings > 0 and item.parked or '', '%d+') do
    if not is_claimable(item, tonumber(quantity)) then
      local key = PARKED .. quantity .. ':' .. name
      local members = call('ZRANGE', key, '0', text(endings - 1), 'WITHSCORES')
      for at = 1, #members, 2 do
        found[#found + 1] = { client = members[at], place = tonumber(members[at + 1]), key = key }
      end
    end
  end
  table.sort(found, function(one, other) return one.place < other.place end)
  local clients = {}
  for at = 1, math.min(endings, #found) do
    clients[at], cut[found[at].key] = found[at].client, (cut[found[at].key] or 0) + 1
  end
  local values = read(clients)
  for at = 1, #clients do finish(clients[at], values[at]) end
  endings = endings - #clients
end

local room = ARGV[5] ~= 'due_only' and room_for(max - given, ARGV[5])
-- How many bookings were parked or ended.
local serves, aside = room, 0

-- Claims a waiting booking.
local function serve(client, was, want, probe)
  if sub(was, FENCE_START, TOKEN_END) == '000000000000000' then
    dispatched = dispatched + 1
  end
  room = room - 1
  claim_item(want, probe and tonumber(sub(was, BOOKING_END + 2, FENCE_START - 2)), events)
  give(client, STATUS .. client, was, '\nreserving  - * ', 'queued>reserving -')
end

-- A probe: the closed item may be to be had again.
local probes = waiting > 0 and endings > 0 and room and room > 0 and next_probe <= now
  and call('ZRANGEBYSCORE', CLOSED, '(0', moment, 'LIMIT', '0', '1')[1]
if probes then
  load({ '1 ' .. probes })
  local item, first, key = wants['1 ' .. probes].item, nil, nil
  if item.refused == 0 then call('ZREM', CLOSED, probes) end
  for quantity in string.gmatch(item.parked, '%d+') do
    local set = PARKED .. quantity .. ':' .. probes
    local front = call('ZRANGE', set, '0', '0', 'WITHSCORES')
    if front[1] and not (first and tonumber(first[2]) < tonumber(front[2])) then
      first, key = front, set
    end
    if first and item.probe_small then break end
  end
  if first then
    local was = read({ first[1] })[1] or ''
    local line = wanted(was)
    cut[key] = 1
    if line then
      load({ line })
      next_probe = now + math.max(100, math.floor((interval or 0) / 100))
      call('HSET', META, 'next_probe', text(next_probe))
      serve(first[1], was, wants[line], true)
    else
      damaged = damaged + 1
    end
  end
end

-- The sets of bookings that this call parks, by their keys and in the order of their first bookings.
local parked, parked_keys, parks = {}, {}, 0
local function park(client, was, want)
  local key, place = parked_set(want.item, want.quantity), sub(was, BOOKING_END + 2, FENCE_START - 2)
  local set = parked[key]
  if not set then
    set = { want = want, scored = {}, places = {} }
    parked[key], parked_keys[#parked_keys + 1] = set, key
  end
  parks = parks + 1
  local at = #set.scored
  set.scored[at + 1], set.scored[at + 2] = place, client
  set.places[#set.places + 1] = text(tonumber(place))
end

-- Claims, parks or ends the next waiting booking. One that meets an ended item may try all the same
-- when a probe is due: others may have given stock back.
local function look(client, was, want)
  local item = want and want.item
  if not want then
    damaged = damaged + 1
  elseif is_claimable(item, want.quantity) then
    serve(client, was, want)
  elseif item.ended and item.probe_at <= now then
    serve(client, was, want, true)
  elseif item.ended then
    finish(client, was)
  else
    park(client, was, want)
  end
end

if waiting > 0 and room and room > 0 then ready = call('ZRANGE', READY, '0', '255', 'WITHSCORES') end
while room and room > 0 and aside < 256 do
  local before_look = given
  read_line(passed == 0 and room or 64)
  local set, at = ready[1] and first_ready(), line.at
  local client, was = line.clients[at], line.values[at] or ''
  local place = client and (tonumber(sub(was, BOOKING_END + 2, FENCE_START - 2)) or 0)
  if set and not (place and place < set.places[set.at]) then
    client, was = set.clients[set.at], set.values[set.at] or ''
    cut[set.key], set.at = (cut[set.key] or 0) + 1, set.at + 1
    look(client, was, wanted(was) and set.want)
  elseif client then
    passed, line.at = passed + 1, at + 1
    look(client, was, wants[line.wanted[at]])
  else
    break
  end
  if given == before_look then aside = aside + 1 end
end

for n = 1, #parked_keys do
  local set = parked[parked_keys[n]]
  item_event(events, set.want.item.name, 'parked ' .. text(set.want.quantity), concat(set.places, ' '))
end
if events[1] then
  call('HSET', STATS, 'claimed', text(before + given),
    'entries', publish(counts[2], moment, events),
    'dispatched', text((counts[3] or 0) + dispatched))
end
if given > 0 then
  call('MSET', unpack(writes))
  zadd(LEASES, leased)
end
retain(finals)
if gone[1] then call('ZREM', LEASES, unpack(gone)) end
if passed > 0 then call('ZREMRANGEBYRANK', QUEUE, '0', text(passed - 1)) end
local left = waiting
for key, taken in pairs(cut) do left = left - call('ZREMRANGEBYRANK', key, '0', text(taken - 1)) end
for key, set in pairs(parked) do left = left + zadd(key, set.scored) end
if left ~= waiting then call('HSET', STATS, 'waiting', text(left)) end
if parks > 0 then call('HINCRBY', STATS, 'parked', text(parks)) end
if finals[1] then call('HINCRBY', STATS, 'sold_out', text(#finals / 2)) end
if reclaimed > 0 then call('HINCRBY', STATS, 'reclaimed', text(reclaimed)) end
if damaged > 0 then call('HINCRBY', STATS, 'damaged', text(damaged)) end
if interval then
  call('HSET', META, 'tat', text(tat + (serves - room) * interval), 'tat_at', moment)
end
save_items()

for name, item in pairs(items) do
  reply[4][#reply[4] + 1] = { name, item.returned, is_untouched(item) and 1 or 0 }
end

-- What a later claim may find without any other change, and whether more is there now.
local next_task
local function wakes(at)
  if at then next_task = math.max(0, math.min(next_task or at, at)) end
end
local earliest = call('ZRANGE', LEASES, '0', '0', 'WITHSCORES')
wakes(earliest[2] and (earliest[2] - now) * 1000)
wakes(opens_in and opens_in * 1000)
if serves then
  local waits = call('ZCARD', QUEUE) > 0 or (left > 0 and call('ZCARD', READY) > 0)
  if (waits and given >= max) or (aside == 256 and room > 0) then reply[3] = 1 end
  if tokens and waits and room == 0 and tokens == serves then
    wakes(tat + (serves + 1) * interval - burst_span - now * 1000)
  end
  local probe = left > 0 and call('ZRANGEBYSCORE', CLOSED, '(0', '(+inf', 'LIMIT', '0', '1', 'WITHSCORES')
  local probe_at = probe and probe[2] and math.max(tonumber(probe[2]), next_probe)
  if probe_at and (serves > 0 or probe_at > now) then wakes((probe_at - now) * 1000) end
end
if endings == 0 and call('ZCOUNT', CLOSED, '0', '0') > 0 then reply[3] = 1 end
reply[2] = next_task or false
return reply
