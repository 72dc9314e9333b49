-- Sets the rules of the sale. Closed items whose rule is now End end.
-- KEYS     prelude.lua
-- ARGV     fields and values of the rules from 3 on
-- Returns  1
-- Cost     O(N) for N closed items.
-- Repeat   Changes nothing.
local fields, gone, events = call('HKEYS', META), {}, {}
for n = 1, #fields do
  local name = fields[n]
  if name == 'opens_at' or name == 'per_minute' or name == 'burst' or name == 'max_holds'
    or find(name, 'sold_out', 1, true) == 1 then
    gone[#gone + 1] = name
  end
end
if gone[1] then call('HDEL', META, unpack(gone)) end
call('HSET', META, 'rules', '1', unpack(ARGV, 3))

local closed = call('ZRANGE', CLOSED, '0', '-1')
for from = 1, #closed, 1000 do
  local lines = {}
  for n = from, math.min(from + 999, #closed) do lines[#lines + 1] = '1 ' .. closed[n] end
load(lines)
  for n = 1, #lines do
    local item = wants[lines[n]].item
    if not item.ended and rule_of(item.name) == 'End' then
      item.ended = true
      item_event(events, item.name, 'ended')
    end
  end
  save_items()
  items, wants = {}, {}
end
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return 1
