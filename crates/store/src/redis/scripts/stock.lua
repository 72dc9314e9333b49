-- Loaded in front of the scripts by which items close and open.

local open_item, take_back, close_item

if uses_items then
  -- Number of bookings that wait for an item; `pending` of them are not written yet.
  local function waiting_for(item)
    local waiting = item.pending or 0
    for quantity in string.gmatch(item.parked, '%d+') do
      waiting = waiting + call('ZCARD', PARKED .. quantity .. ':' .. item.name)
    end
    return waiting
  end

  -- Counts what came back. If that fits no client, a probe shows whether it is enough with what is
  -- left.
  function take_back(want)
    local item, fits = want.item, false
    item.returned = item.returned + want.quantity
    give_credit(want)
    for quantity in string.gmatch(item.parked, '%d+') do
      fits = fits or is_claimable(item, tonumber(quantity))
    end
    probe_soon(item, fits and now + PROBE_EVERY or now)
  end

  -- Opens an item in full: what the Booking Service refused before counts no longer. If `left` is
  -- known ('' otherwise) and less than what waits, it stays closed and gives that much credit.
  function open_item(item, left, events)
    if left ~= '' and item.refused > 0 and tonumber(left) < waiting_for(item) then
      item.credit = math.max(item.credit, tonumber(left))
      probe_soon(item, now + PROBE_EVERY)
      return
    end
    if item.refused > 0 then item_event(events, item.name, 'open') end
    item.refused, item.credit, item.ended, item.probe = 0, 0, false, 0
    item.opened_at = tonumber(call('HGET', STATS, 'claimed') or '0')
  end

  -- Plans the next probe if this booking was one and has ended as such without a reservation: who
  -- wants less tries at once, then the item rests.
  local function end_probe(want, place)
    local item = want.item
    if item.probe ~= place then return end
    item.probe = 0
    if item.probe_next == '0'
      and (tonumber(match(item.parked, '%d+')) or want.quantity) < want.quantity then
      item.probe_at, item.probe_next = now, '1'
    else
      item.probe_next = '0'
      item.probe_at = now + item.probe_wait
      item.probe_wait = math.min(2 * item.probe_wait, PROBE_LONGEST)
    end
  end

  -- Records that the Booking Service has refused what a booking wants: its number and claim, what
  -- is left or '', the quantity that others hold, what had come back before the claim, and whether
  -- it is a stray. Returns whether the booking has nothing to wait for.
  function close_item(want, place, fence, left, elsewhere, returned, is_stray, events)
    local item, quantity = want.item, want.quantity
    local refused, ends, is_final = item.refused, false, false
    local is_stray_probe = item.probe == place and item.probe_next == '2'
    end_probe(want, place)
    if left ~= '' then item.left = left end
    if fence <= item.opened_at then return false end
    if refused == 0 then
      item.credit = math.max(0, item.returned - returned)
      probe_soon(item, now + PROBE_EVERY)
    end
    if item.returned <= tonumber(returned) then
      local from = math.max(1, math.min(quantity, left ~= '' and left + 1 or quantity))
      -- The refused booking is still unsettled. Smaller ones that wait may fit yet.
      local smallest = tonumber(match(item.parked, '%d+') or quantity)
      local is_last = item.unsettled <= 1 and quantity <= smallest
      local is_strict = elsewhere == '0' and rule_of(item.name) == 'End'
      ends = is_strict or (elsewhere == '0' and is_last)
      -- What a late Reserve has reserved may come back, too: the strays end first.
      if ends and not is_strict and (is_stray or item.strays
        or call('ZCARD', stray_set(item)) > 0) then
        ends, is_final = false, is_stray
        if not is_stray then item.probe_at, item.probe_next = now, '2' end
      end
      -- The smaller ones that wait were refused just before the stray was asked.
      is_final = is_final or ends
        or (elsewhere == '0' and is_stray_probe and item.unsettled <= 1)
      -- With nothing else under way, this is all that is known of the stock.
      local known = refused > 0 and not (is_last and elsewhere == '0')
      item.refused = known and math.min(refused, from) or from
      -- Fewer than that are left, whatever came back before.
      item.credit = left ~= '' and tonumber(left) or math.min(item.credit, from - 1)
      if ends then item.probe_at = now + PROBE_EVERY end
    elseif refused == 0 then
      item.refused = quantity
    end
    if item.refused ~= refused then
      item_event(events, item.name, 'sold_out ' .. text(item.refused))
    end
    if ends and not item.ended then item_event(events, item.name, 'ended') end
    item.ended = item.ended or ends
    return is_final
  end
end
