-- The newest booking of each client.
-- ARGV     3... clients
-- Returns  for each client a row, with its position (or false); 0 where there is no readable booking
-- Cost     O(log N) for each client; at most 256 clients. Reads only.
local reply = {}
for i = 3, #ARGV do
  local client = ARGV[i]
  local row = read_booking(STATUS .. client)
  local state = booking(row)
  if state then
    local rank = state == 'queued' and call('ZRANK', QUEUE, client)
    row[POSITION] = rank and rank + 1
    reply[#reply + 1] = row
  else
    reply[#reply + 1] = 0
  end
end
return reply
