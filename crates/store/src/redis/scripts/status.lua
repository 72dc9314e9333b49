-- Reads the newest booking of each client.
-- KEYS     prelude.lua
-- ARGV     the clients, from 3 on
-- Returns  for each client: { booking, position or false, 1 if it is parked }, or 0 without a
--          readable booking
-- Cost     O(log N) for each client; at most 256 clients. Reads only.
local keys, reply = {}, {}
for at = 3, #ARGV do keys[at - 2] = STATUS .. ARGV[at] end
local values = call('MGET', unpack(keys))
for n = 1, #keys do
  reply[n] = 0
  if take(values[n]) then
    reply[n] = { value, position_of(ARGV[n + 2]) }
  end
end
return reply
