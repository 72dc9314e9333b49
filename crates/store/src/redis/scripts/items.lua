-- Loaded in front of the scripts that read or change items. `uses_items` says whether the call
-- needs these functions: to make them costs as much as a booking.
--
-- An item is a field of a hash, by its name. Its text has twelve values, or the first one alone if
-- all others are as in an item that was never sold out:
--   <unsettled> <returned> <refused> <credit> <opened at> <probe at> <probe wait> <probe next>
--   <probe> <ended> <left> <parked>, all on one line
-- unsettled  bookings of it that are reserving, reserved, confirming or releasing
-- returned   quantity that ever came back
-- refused    the smallest refused quantity, or 0: the item is open
-- credit     quantity that came back while it was closed, and that no claim has used yet
-- opened at  the newest fence when it was last opened: a refusal of an earlier claim closes nothing
-- probe at   when the next probe is due, ms
-- probe wait ms from the end of the next probe to the one after it
-- probe next whom the next probe takes: 0 the smallest place, 1 the smallest quantity, since the
--            smallest place was refused, 2 the first stray, since the item waits for nothing else
-- probe      the queue number of the booking that probes, or 0
-- ended      1: sold out for good
-- left       what the Booking Service last said to be left, or -
-- parked     the quantities of its parked bookings, ascending, three digits and a comma each
-- An open item without unsettled and parked bookings has no field.

-- From the closing of an item, or from the end of its first probe, to the next one, ms. It doubles
-- with each refused probe, up to the second time, which also ends a probe without an answer.
local PROBE_EVERY, PROBE_LONGEST = 5000, 60000

-- The items by name; and by line 7 of a booking what it wants, an item and a quantity.
local items, wants = {}, {}

local load, is_claimable, is_untouched, parked_set, stray_set, rule_of, probe_soon, settle_item,
  give_credit, item_event, claim_item, save_items

if uses_items then
  -- Reads the items that some bookings want, by line 7 of each, with one command.
  function load(lines)
    local names = {}
    for n = 1, #lines do
      local line = lines[n]
      if not wants[line] then
        local quantity, name = match(line, '^(%d+) (.*)$')
        name = name or ''
        if not items[name] then
          items[name], names[#names + 1] = { name = name }, name
        end
        wants[line] = { item = items[name], quantity = tonumber(quantity or '1') }
      end
    end
    local texts = names[1] and call('HMGET', ITEMS, unpack(names))
    for n = 1, #names do
      local item, found = items[names[n]], texts[n] or '0'
      local unsettled, returned, refused, credit, opened_at, probe_at, probe_wait, probe_next,
        probe, ended, left, parked = tonumber(found), '0', '0', '0', '0', '0', '0', '0', '0', '0',
        '-', ''
      if not unsettled then
        unsettled, returned, refused, credit, opened_at, probe_at, probe_wait, probe_next, probe,
          ended, left, parked = match(found, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ([012])'
            .. ' (%d+) ([01]) (%-?%d*) ([%d,]*)$')
      end
      -- A corrupt text is that of an open item.
      item.text, item.unsettled = texts[n], tonumber(unsettled or 0)
      item.returned = tonumber(returned or 0)
      item.refused, item.credit = tonumber(refused or 0), tonumber(credit or 0)
      item.opened_at, item.probe_at = tonumber(opened_at or 0), tonumber(probe_at or 0)
      item.probe_wait, item.probe_next = tonumber(probe_wait or 0), probe_next or '0'
      item.probe, item.ended = tonumber(probe or 0), ended == '1'
      item.left, item.parked, item.was_closed = left or '-', parked or '', item.refused > 0
    end
  end

  -- Whether a claim may take a booking of this quantity.
  function is_claimable(item, quantity)
    return item.refused == 0 or quantity < item.refused or quantity <= item.credit
  end

  -- Whether it was never sold out.
  function is_untouched(item) return item.refused == 0 and item.opened_at == 0 end

  -- Returns the key of the bookings that wait for this quantity, and notes that there are some.
  function parked_set(item, quantity)
    local noted = format('%03d,', quantity)
    if not find(item.parked, noted, 1, true) then
      local quantities = { noted }
      for other in string.gmatch(item.parked, '%d+,') do quantities[#quantities + 1] = other end
      table.sort(quantities)
      item.parked = concat(quantities)
    end
    return PARKED .. format('%03d:', quantity) .. item.name
  end

  -- Returns the key of the parked bookings of which a late Reserve may still arrive, by place.
  function stray_set(item) return PARKED .. 'stray:' .. item.name end

  -- What it means that this item is sold out: 'Wait' or 'End'.
  function rule_of(name)
    local own, default = unpack(call('HMGET', META, 'sold_out:' .. name, 'sold_out'))
    return own or default or 'Wait'
  end

  -- Makes the next probes come soon: something has changed.
  function probe_soon(item, at)
    item.probe_at, item.probe_wait, item.probe_next = at, PROBE_EVERY, '0'
  end

  -- One booking less of which something may come back. After the last one a probe shows what is
  -- left, unless that one was refused and waits.
  function settle_item(item, waits)
    item.unsettled = math.max(0, item.unsettled - 1)
    if item.unsettled == 0 and not waits and not item.ended then probe_soon(item, now) end
  end

  -- Gives a closed item back what a claim has used, or has brought back.
  function give_credit(want)
    local item = want.item
    if item.refused > 0 then item.credit = item.credit + want.quantity end
  end

  -- Adds an event about an item; `places` are those of bookings that are parked.
  function item_event(events, name, change, places)
    local at = #events
    events[at + 1], events[at + 2], events[at + 3] = name, change, places or '-'
  end

  -- Counts a claim of an available item, or with its number a probe. What it reserves may
  -- come back, so an item that had ended is only sold out at the moment now, if it may wait.
  function claim_item(want, probe, events)
    local item = want.item
    item.unsettled = item.unsettled + 1
    if item.ended and rule_of(item.name) == 'Wait' then
      item.ended = false
      item_event(events, item.name, 'sold_out ' .. text(item.refused))
    end
    if probe then
      item.probe, item.probe_at = probe, now + PROBE_LONGEST
    elseif item.refused > 0 and want.quantity >= item.refused then
      item.credit = item.credit - want.quantity
    end
  end

  -- Writes the items that have changed, and the sets that depend on them. Runs after all other
  -- writes to parked sets.
  function save_items()
    local written, gone, ready, unready, closed, opened = {}, {}, {}, {}, {}, {}
    for name, item in pairs(items) do
      local claimable, waiting, parked = false, false, ''
      for quantity in string.gmatch(item.parked, '%d+') do
        local front = call('ZRANGE', PARKED .. quantity .. ':' .. name, '0', '0', 'WITHSCORES')
        local takes = front[1] and is_claimable(item, tonumber(quantity))
        if front[1] then parked = parked .. quantity .. ',' end
        if takes then
          claimable = true
          ready[#ready + 1], ready[#ready + 2] = front[2], quantity .. ' ' .. name
        else
          waiting = waiting or front[1]
          unready[#unready + 1] = quantity .. ' ' .. name
        end
      end
      item.parked = parked
      if item.refused > 0 then
        local at = '+inf'
        if item.ended then
          at = waiting and '0' or at
        elseif waiting and not claimable then
          at = text(item.probe_at)
        end
        closed[#closed + 1], closed[#closed + 2] = at, name
      elseif item.was_closed then
        opened[#opened + 1] = name
      end
      local new = text(item.unsettled)
      if item.refused == 0 and item.unsettled == 0 and parked == '' then
        if item.text then gone[#gone + 1] = name end
        new = item.text
      elseif item.refused > 0 or item.returned > 0 or item.opened_at > 0 or item.left ~= '-'
        or parked ~= '' then
        new = format('%d %d %d %d %d %d %d %s %d %d %s %s', item.unsettled, item.returned,
          item.refused, item.credit, item.opened_at, item.probe_at, item.probe_wait,
          item.probe_next, item.probe, item.ended and 1 or 0, item.left, parked)
      end
      if new ~= item.text then written[#written + 1], written[#written + 2] = name, new end
    end
    if written[1] then call('HSET', ITEMS, unpack(written)) end
    if gone[1] then call('HDEL', ITEMS, unpack(gone)) end
    if ready[1] then call('ZADD', READY, unpack(ready)) end
    if unready[1] then call('ZREM', READY, unpack(unready)) end
    if closed[1] then call('ZADD', CLOSED, unpack(closed)) end
    if opened[1] then call('ZREM', CLOSED, unpack(opened)) end
  end
end
