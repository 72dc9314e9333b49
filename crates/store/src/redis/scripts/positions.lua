-- Loaded in front of the scripts that return positions.

-- Returns the position of the current booking, or false if it does not wait; and 1 if it is parked:
-- then its position is among all that wait for its item, in any quantity.
local function position_of(client)
  if state ~= 'queued' then return false end
  local rank = call('ZRANK', QUEUE, client)
  if rank then return rank + 1 end
  local line_end = find(value, '\n', request_end + 1, true) or 0
  local quantity, name = match(sub(value, request_end + 1, line_end - 1), '^(%d+) (.*)$')
  quantity, name = format('%03d', quantity or '1'), name or ''
  local place = call('ZSCORE', PARKED .. quantity .. ':' .. name, client)
  if not place then return false end
  local position, item = 1, call('HGET', ITEMS, name) or ''
  for other in string.gmatch(match(item, '[%d,]*$'), '(%d+),') do
    position = position + call('ZCOUNT', PARKED .. other .. ':' .. name, '-inf', '(' .. place)
  end
  return position, 1
end
