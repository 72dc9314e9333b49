-- Opens an item that is available again.
-- KEYS     prelude.lua
-- ARGV     3 item   4 what is left of it, or ''
-- Returns  1
-- Cost     O(log N) for each quantity that is waited for.
-- Repeat   Opens it again: refusals from between the two calls count no longer.
local events = {}
load({ '1 ' .. ARGV[3] })
local item = items[ARGV[3]]
if item.text then
  if ARGV[4] ~= '' then item.left = ARGV[4] end
  open_item(item, ARGV[4], events)
  if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
  save_items()
end
return { written, 1 }
