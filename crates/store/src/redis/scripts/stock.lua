-- Loaded in front of the scripts by which items close and open.

local open_item, close_item

if uses_items then
  -- Opens an item in full: what the Booking Service refused before counts no longer.
  function open_item(item, events)
    if item.refused > 0 then item_event(events, item.name, 'open') end
    item.refused, item.credit, item.ended, item.probe = 0, 0, false, 0
    item.opened_at = tonumber(call('HGET', STATS, 'claimed') or '0')
  end

  -- Records that the Booking Service has refused what a booking wants: the claim, what is left or
  -- '', the quantity that others hold, and what had come back before the claim. Returns whether the
  -- booking has nothing to wait for.
  function close_item(want, fence, left, elsewhere, returned, events)
    local item, quantity = want.item, want.quantity
    local refused, ends = item.refused, false
    if item.probe == fence then item.probe = 0 end
    if left ~= '' then item.left = left end
    if fence <= item.opened_at then return false end
    if item.returned <= tonumber(returned) then
      local from = math.min(quantity, left ~= '' and left + 1 or quantity)
      -- The refused booking is still unsettled. Smaller ones that wait may fit yet.
      local smallest = tonumber(match(item.parked, '%d+') or quantity)
      local is_last = item.unsettled <= 1 and elsewhere == '0' and quantity <= smallest
      ends = is_last or rule_of(item.name) == 'End'
      -- With nothing else under way, this is all that is known of the stock.
      item.refused = refused > 0 and not is_last and math.min(refused, from) or from
    elseif refused == 0 then
      item.refused = quantity
    end
    if refused == 0 then item.credit = math.max(0, item.returned - returned) end
    if refused == 0 or ends then item.probe_at = now + PROBE_EVERY end
    if item.refused ~= refused then
      item_event(events, item.name, 'sold_out ' .. text(item.refused))
    end
    if ends and not item.ended then item_event(events, item.name, 'ended') end
    item.ended = item.ended or ends
    return ends
  end
end
