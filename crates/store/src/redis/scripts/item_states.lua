-- Reads what is known of items.
-- KEYS     prelude.lua
-- ARGV     3 the items: 'closed' for those that are sold out, or 'named'
--          then how many to skip and to read, or their names
-- Returns  for each item: { name, refused, 1 if ended, credit, unsettled, waiting, left or '-' }
-- Cost     O(log N) for each item. Reads only.
local names, lines, reply = {}, {}, {}
if ARGV[3] == 'closed' then
  names = call('ZRANGE', CLOSED, ARGV[4], text(ARGV[4] + ARGV[5] - 1))
else
  names = { unpack(ARGV, 4) }
end
for n = 1, #names do lines[n] = '1 ' .. names[n] end
load(lines)
for n = 1, #names do
  local item, waiting = items[names[n]], 0
  for quantity in string.gmatch(item.parked, '%d+') do
    waiting = waiting + call('ZCARD', PARKED .. quantity .. ':' .. item.name)
  end
  reply[n] = { item.name, item.refused, item.ended and 1 or 0, item.credit, item.unsettled, waiting,
    item.left }
end
return reply
