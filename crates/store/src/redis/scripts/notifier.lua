-- Takes, keeps or refuses the right to notify, and records how far the notifier got.
-- ARGV     3 who asks   4 lease, ms   5 and 6 everything up to here is told: milliseconds, number ('' for nothing new)
-- Returns  { milliseconds, number } up to which everything is told, or false when somebody else has the right
-- Cost     O(1).
-- Repeat   Keeps the right; the point never moves back.
local held = call('HMGET', NOTIFIER, 'owner', 'until', 'done_ms', 'done_number')
if held[1] and held[1] ~= ARGV[3] and tonumber(held[2]) > now then return false end
local ms, number = held[3] or '0', held[4] or '0'
if ARGV[5] ~= '' then
  local new, old = tonumber(ARGV[5]), tonumber(ms)
  if new > old or (new == old and tonumber(ARGV[6]) > tonumber(number)) then ms, number = ARGV[5], ARGV[6] end
end
call('HSET', NOTIFIER, 'owner', ARGV[3], 'until', now + ARGV[4], 'done_ms', ms, 'done_number', number)
return { ms, number }
