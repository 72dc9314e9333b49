-- Extends leases, from now.
-- ARGV     3 lease, ms   then for each lease: client, booking id, fence
-- Returns  1 or 0 for each lease: 0 where the fence is not the newest claim's, or was settled
-- Cost     O(log N) for each lease; at most 256 leases.
-- Repeat   Extends again.
local ends = text(now + ARGV[3])
local leased, reply = {}, {}
for i = 4, #ARGV, 3 do
  local client, id, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local row = try('HMGET', STATUS .. client, 'state', 'id')
  local state, newest = parse(row[1])
  local holds = LEASED[state] and newest == fence and find(row[2] or '', id, 1, true) == 1
  if holds then
    leased[#leased + 1] = ends
    leased[#leased + 1] = client
  end
  reply[#reply + 1] = holds and 1 or 0
end
zadd(LEASES, leased)
return reply
