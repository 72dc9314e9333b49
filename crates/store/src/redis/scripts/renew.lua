-- Extends leases from now.
-- KEYS     prelude.lua
-- ARGV     3 lease, ms   then for each lease: client, claim token
-- Returns  for each lease 1, or 0 if a newer claim or a settlement has ended it
-- Cost     O(log N) for each lease; at most 256 leases.
-- Repeat   Extends again.
local lease_end, keys, leased, reply = format('%013d', now + ARGV[3]), {}, {}, {}
for at = 4, #ARGV, 2 do keys[at / 2 - 1] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  local was = values[n] or ''
  reply[n] = 0
  if find(was, ARGV[2 * n + 3], 1, true) == 1
    and find(was, '^ [*!] ', CLAIMED_AT - 1) then
    reply[n] = 1
    leased[#leased + 1], leased[#leased + 2] = lease_end, ARGV[2 * n + 2]
  end
end
zadd(LEASES, leased)
return reply
