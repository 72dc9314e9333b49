-- Acquires or renews the notifier's lease, and advances its cursor.
-- KEYS     prelude.lua
-- ARGV     3 owner   4 lease, ms   5, 6 the cursor: everything up to this event is published, as
--          milliseconds and number ('' and '' to leave the cursor alone)
-- Returns  { milliseconds, number } of the cursor, or false while another owner has the lease
-- Cost     O(1).
-- Repeat   Renews the lease; the cursor never moves back.
local held = call('HMGET', NOTIFIER, 'owner', 'until', 'done_ms', 'done_number')
if held[1] and held[1] ~= ARGV[3] and tonumber(held[2]) > now then return false end
local ms, number = held[3] or '0', held[4] or '0'
if ARGV[5] ~= '' then
  local new, old = tonumber(ARGV[5]), tonumber(ms)
  if new > old or (new == old and tonumber(ARGV[6]) > tonumber(number)) then
    ms, number = ARGV[5], ARGV[6]
  end
end
call('HSET', NOTIFIER,
  'owner', ARGV[3], 'until', now + ARGV[4], 'done_ms', ms, 'done_number', number)
return { ms, number }
