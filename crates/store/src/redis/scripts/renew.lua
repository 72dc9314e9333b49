-- Extends leases, from now.
-- ARGV     3 lease, ms   then for each lease: client, booking id, fence
-- Returns  1 or 0 for each lease: 0 where the fence is not the newest claim's, or was settled
-- Cost     O(log N) for each lease; at most 256 leases.
-- Repeat   Extends again.
local lease_end = text(now + ARGV[3])
local leased, reply = {}, {}
local keys, values = read(4, 3)
for n = 1, #keys do
  local at = 3 * n + 1
  local holds = is_leased(take(values[n])) and fence == ARGV[at + 2] and is(ARGV[at + 1])
  if holds then
    leased[#leased + 1] = lease_end
    leased[#leased + 1] = ARGV[at]
  end
  reply[n] = holds and 1 or 0
end
zadd(LEASES, leased)
return reply
