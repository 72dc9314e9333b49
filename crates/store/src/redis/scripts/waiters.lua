-- Part of claim.lua: claims, parks and ends waiting bookings when an item is closed.

-- How many members are taken from the front of each parked set, by its key.
local cut = {}
-- The sets of bookings that are parked, by their keys, and these keys in order.
local parked, parked_keys, parks = {}, {}, 0
-- When the queue may probe again, ms.
local next_probe = 0
-- How many parked bookings may end yet, and how many that waited were parked or ended.
local endings, aside = 256, 0
-- Strays that leave their parked set, set and client each; and those that are released: their
-- bookings, and the leases.
local strays, released, released_leases = {}, {}, {}

if uses_items then load(lines) end

if not all_open then
  next_probe = tonumber(call('HGET', META, 'next_probe') or '0')

  -- Ends a waiting booking whose item has ended; a stray is released before.
  local function finish(client, was, item)
    if take(was) ~= 'queued' then
      damaged = damaged + 1
      return
    end
    local final, at = #finals, #events
    if claimed == '?' then
      released[#released + 1] = STATUS .. client
      released[#released + 1] = sub(value, 1, STATE_START - 1) .. 'releasing  s - 000'
        .. sub(value, HOLD_START - 1)
      released_leases[#released_leases + 1], released_leases[#released_leases + 2] = moment, client
      strays[#strays + 1], strays[#strays + 2] = stray_set(item), client
      item.unsettled = item.unsettled + 1
      events[at + 1], events[at + 2], events[at + 3] =
        client, 'queued>releasing sold_out', sub(value, 1, TOKEN_END)
      return
    end
    finals[final + 1] = STATUS .. client
    finals[final + 2] = sub(value, 1, STATE_START - 1) .. 'sold_out   - - 000'
      .. sub(value, HOLD_START - 1, request_end) .. '\n\n'
    events[at + 1], events[at + 2], events[at + 3] =
      client, 'queued>sold_out -', sub(value, 1, TOKEN_END)
  end

  -- Parked bookings of items that have ended, smallest places first.
  local ended = call('ZRANGEBYSCORE', CLOSED, '0', '0', 'LIMIT', '0', '256')
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
    for at = 1, #clients do finish(clients[at], values[at], item) end
    endings = endings - #clients
  end

  -- Waiting bookings, smallest place first, while there is room.
  if room and room > 0 then
    -- The part of the line that was read.
    local line = { clients = {}, values = {}, wanted = {}, at = 1 }

    -- Reads the next bookings of the line, if the last ones are used up.
    local function read_line(most)
      if line.at <= #line.clients or line.is_over then return end
      local clients = call('ZRANGE', QUEUE, text(passed), text(passed + most - 1))
      line.clients, line.values, line.wanted, line.at = clients, read(clients), {}, 1
      line.is_over = #clients < most
      local lines = {}
      for n = 1, #clients do
        local found = wanted(line.values[n] or '')
        line.wanted[n] = found
        lines[#lines + 1] = found
      end
      load(lines)
    end

    -- The parked sets that a claim may take from, by smallest place: their names, and those that
    -- were opened.
    local ready, next_ready, sets = {}, 1, {}

    -- Reads the next bookings of a ready set, twice as many as the last time: with many sets a
    -- claim takes few of each.
    local function read_set(set)
      local last = set.read + set.size - 1
      local members = call('ZRANGE', set.key, text(set.read), text(last), 'WITHSCORES')
      set.clients, set.places, set.at = {}, {}, 1
      for n = 1, #members, 2 do
        set.clients[(n + 1) / 2], set.places[(n + 1) / 2] = members[n], tonumber(members[n + 1])
      end
      set.values = read(set.clients)
      set.read, set.size = set.read + #set.clients, 2 * set.size
    end

    -- Opens a ready set.
    local function open_set(member)
      load({ member })
      local want = wants[member]
      local key = parked_set(want.item, want.quantity)
      local set = { key = key, want = want, read = cut[key] or 0, size = 4 }
      read_set(set)
      sets[#sets + 1] = set
    end

    -- Returns the set with the parked booking that a claim may take first, if there is one.
    local function first_ready()
      local first
      for opened = 1, 256 do
        first = nil
        for n = 1, #sets do
          local set = sets[n]
          if set.clients[1] and set.at > #set.clients then read_set(set) end
          local place = is_claimable(set.want.item, set.want.quantity) and set.places[set.at]
          if place and (not first or place < first.places[first.at]) then first = set end
        end
        local next_place = tonumber(ready[next_ready + 1])
        if not next_place or (first and first.places[first.at] < next_place) then break end
        open_set(ready[next_ready])
        next_ready = next_ready + 2
      end
      return first
    end

    -- Claims a waiting booking.
    local function serve(client, was, want, probe)
      if sub(was, FENCE_START, TOKEN_END) == '000000000000000' then
        dispatched = dispatched + 1
      end
      room = room - 1
      claim_item(want, probe and tonumber(sub(was, BOOKING_END + 2, FENCE_START - 2)), events)
      local line = '\nreserving  - * '
      if sub(was, CLAIMED_AT, CLAIMED_AT) == '?' then
        line = '\nreserving  - ! '
        strays[#strays + 1], strays[#strays + 2] = stray_set(want.item), client
      end
      give(client, STATUS .. client, was, line, 'queued>reserving -')
    end

    -- A probe: the closed item may be available again.
    local probes = waiting > 0 and endings > 0 and next_probe <= now
      and call('ZRANGEBYSCORE', CLOSED, '(0', moment, 'LIMIT', '0', '1')[1]
    if probes then
      load({ '1 ' .. probes })
      local item, first, key = items[probes], nil, nil
      -- Its text was lost.
      if item.refused == 0 then call('ZREM', CLOSED, probes) end
      local stray = item.probe_next == '2'
        and call('ZRANGE', stray_set(item), '0', '0', 'WITHSCORES')
      if stray and stray[1] then first = stray end
      for quantity in string.gmatch(first and '' or item.parked, '%d+') do
        local set = PARKED .. quantity .. ':' .. probes
        local front = call('ZRANGE', set, '0', '0', 'WITHSCORES')
        if front[1] and not (first and tonumber(first[2]) < tonumber(front[2])) then
          first, key = front, set
        end
        if first and item.probe_next == '1' then break end
      end
      local was = first and read({ first[1] })[1] or ''
      local line_seven = (key or sub(was, CLAIMED_AT, CLAIMED_AT) == '?') and wanted(was)
      if key then
        cut[key] = 1
      elseif line_seven then
        strays[#strays + 1] = PARKED .. format('%03d:', match(line_seven, '^%d+')) .. probes
        strays[#strays + 1] = first[1]
      elseif first then
        strays[#strays + 1], strays[#strays + 2] = stray_set(item), first[1]
      end
      if line_seven then
        load({ line_seven })
        next_probe = now + math.max(100, math.floor((interval or 0) / 100))
        call('HSET', META, 'next_probe', text(next_probe))
        serve(first[1], was, wants[line_seven], true)
      elseif first then
        damaged = damaged + 1
      end
    end

    -- Parks the next waiting booking.
    local function park(client, was, want)
      local key = parked_set(want.item, want.quantity)
      local place = sub(was, BOOKING_END + 2, FENCE_START - 2)
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

    -- Claims, parks or ends the next waiting booking. One that meets an ended item may try all the
    -- same when a probe is due: others may have given stock back.
    local function look(client, was, want)
      local item = want and want.item
      if not want then
        damaged = damaged + 1
      elseif is_claimable(item, want.quantity) then
        serve(client, was, want)
      elseif item.ended and item.probe_at <= now then
        serve(client, was, want, true)
      elseif item.ended then
        finish(client, was, item)
      else
        park(client, was, want)
      end
    end

    if waiting > 0 then ready = call('ZRANGE', READY, '0', '255', 'WITHSCORES') end
    while room > 0 and aside < 256 do
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
      local change = 'parked ' .. text(set.want.quantity)
      item_event(events, set.want.item.name, change, concat(set.places, ' '))
    end
  end
end
