-- Reads a page of the places that wait for an item.
-- KEYS     prelude.lua
-- ARGV     3 item   4 the place before the page   5 most places
-- Returns  the places, ascending
-- Cost     O(log N) for each place and each quantity that is waited for. Reads only.
load({ '1 ' .. ARGV[3] })
local places = {}
for quantity in string.gmatch(items[ARGV[3]].parked, '%d+') do
  local found = call('ZRANGEBYSCORE', PARKED .. quantity .. ':' .. ARGV[3], '(' .. ARGV[4], '+inf',
    'WITHSCORES', 'LIMIT', '0', ARGV[5])
  for n = 2, #found, 2 do places[#places + 1] = tonumber(found[n]) end
end
table.sort(places)
for n = ARGV[5] + 1, #places do places[n] = nil end
return places
