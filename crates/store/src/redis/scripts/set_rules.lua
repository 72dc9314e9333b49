-- Sets the rules of the sale, or its outflow alone. Closed items whose rule is now End end, and
-- clients wait again for items whose rule is now Wait.
-- KEYS     prelude.lua
-- ARGV     3 'rules', or 'outflow' to leave all others as they are, written or not
--          then fields and values
-- Returns  1
-- Cost     O(1); O(N) for N closed items if a sold out rule has changed.
-- Repeat   Changes nothing.
local whole = ARGV[3] == 'rules'
local old, new, gone = {}, {}, {}
local found = call('HGETALL', META)
for n = 1, #found, 2 do
  local name = found[n]
  old[name] = found[n + 1]
  if name == 'per_minute' or name == 'burst' or name == 'max_holds'
    or (whole and (name == 'opens_at' or find(name, 'sold_out', 1, true) == 1)) then
    gone[#gone + 1] = name
  end
end
for n = 4, #ARGV, 2 do new[ARGV[n]] = ARGV[n + 1] end
if gone[1] then call('HDEL', META, unpack(gone)) end
if whole then call('HSET', META, 'rules', '1') end
if ARGV[4] then call('HSET', META, unpack(ARGV, 4)) end

-- No booking leaves before the new burst, or what is left of the old one, is paid off.
local old_interval, old_span = pace(old.per_minute or '1', old.per_minute and old.burst)
local new_interval, new_span = pace(new.per_minute or '1', new.per_minute and new.burst)
local differs = not old.per_minute or old_interval ~= new_interval or old_span ~= new_span
if new.per_minute and differs then
  local ahead = math.max(0, tonumber(old.tat or '0') - now * 1000)
  local debt = old.per_minute and math.max(math.ceil(ahead / old_interval) * new_interval, new_span)
  local start = now * 1000 + (debt or 0)
  call('HSET', META, 'tat', text(start), 'tat_at', moment)
end

local changed = false
old.sold_out = old.sold_out or 'Wait'
for name in pairs(old) do
  changed = changed or (find(name, 'sold_out', 1, true) == 1 and old[name] ~= new[name])
end
for name in pairs(new) do
  changed = changed or (find(name, 'sold_out', 1, true) == 1 and old[name] ~= new[name])
end
local closed = whole and changed and call('ZRANGE', CLOSED, '0', '-1') or {}
local events = {}
for from = 1, #closed, 1000 do
  local lines = {}
  for n = from, math.min(from + 999, #closed) do lines[#lines + 1] = '1 ' .. closed[n] end
  load(lines)
  for n = 1, #lines do
    local item = wants[lines[n]].item
    local ends = rule_of(item.name) == 'End'
    if ends and not item.ended then
      item.ended = true
      item_event(events, item.name, 'ended')
    elseif not ends and item.ended and item.unsettled > 0 then
      item.ended = false
      probe_soon(item, now + PROBE_EVERY)
      item_event(events, item.name, 'sold_out ' .. text(item.refused))
    end
  end
  save_items()
  items, wants = {}, {}
end
if events[1] then publish(call('HINCRBY', STATS, 'entries', '1') - 1, moment, events) end
return { written, 1 }
