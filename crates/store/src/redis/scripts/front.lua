-- Part of claim.lua: claims the front of the line where all want open items and no booking is
-- parked. Nearly always it is so, and bookings are only counted.

-- How many members are taken from the front of the line.
local passed = 0
local all_open = waiting == 0
if all_open and room and room > 0 then
  local front = call('ZRANGE', QUEUE, '0', text(room - 1))
  local values, keys = read(front)
  local counts = {}
  for n = 1, #front do
    local line = values[n] and wanted(values[n])
    if line then counts[line] = (counts[line] or 0) + 1 else values[n] = false end
  end
  all_open = count_open(counts, 1, reply[4])
  if all_open then
    passed = #front
    for n = 1, passed do
      if values[n] then
        give(front[n], keys[n], values[n], '\nreserving  - * ', 'queued>reserving -')
        dispatched = dispatched + 1
      else
        damaged = damaged + 1
      end
    end
    room = room - dispatched
  end
end
local uses_items = not all_open or lines[1]
