-- Gives tasks: what is due, earliest lease end first, then the front of the line.
-- ARGV     3 how many at most   4 lease, ms   5 'everything', or 'due_only' to leave the line alone
-- Returns  { now, next due in ms or false, 1 if the line still has somebody, task... }, 10 values for each task: client, state
--          before the claim, fence, id, attempts, hold, payment, item, payload, trace
-- Cost     O(log N) for each task; at most 256 tasks. Members without a readable booking are dropped and counted.
-- Repeat   A repeat claims other tasks; those of a lost answer come back when their lease ends.
local max, ends = tonumber(ARGV[3]), text(now + ARGV[4])
local before = tonumber(call('HGET', STATS, 'claimed') or '0')
local fence, reclaimed, dispatched, damaged = before, 0, 0, 0
local leased, leases, gone, reply, answers = {}, 0, {}, { now, false, 0 }, 3

local function give(client, state, mine, id, attempts, hold, payment, item, payload, trace)
  leased[leases + 1], leased[leases + 2] = ends, client
  leases = leases + 2
  local n = answers
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4], reply[n + 5] = client, state, mine, id, attempts
  reply[n + 6], reply[n + 7], reply[n + 8], reply[n + 9], reply[n + 10] = hold, payment, item, payload, trace
  answers = n + 10
end

for _, client in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, max)) do
  local key = STATUS .. client
  local row = read_booking(key)
  local state, old, outcome = booking(row)
  if LEASED[state] then
    if tonumber(old) > 0 then reclaimed = reclaimed + 1 end
    fence = fence + 1
    local mine = text(fence)
    call('HSET', key, 'state', written(state, mine, outcome))
    tell_why(client, state .. '>' .. state .. ' ', mine, state == 'releasing' and outcome or '-', row[ID], row[REASON])
    local rest = call('HMGET', key, 'attempts_' .. state, 'item', 'payload', 'trace')
    give(client, row[STATE], mine, row[ID], rest[1], row[HOLD], row[PAYMENT], rest[2], rest[3], rest[4])
  else
    damaged = damaged + 1
    gone[damaged] = client
  end
end
zrem(LEASES, gone)

local serves_line = ARGV[5] == 'everything' and call('HGET', META, 'admission') ~= 'Paused'
local room = max - (fence - before)
if serves_line and room > 0 then
  local front = call('ZPOPMIN', QUEUE, room)
  for i = 1, #front, 2 do
    local client = front[i]
    local key = STATUS .. client
    -- Only what a booking in the line can have.
    local row = try('HMGET', key, 'state', 'id', 'item', 'payload', 'trace')
    local id = row[2]
    if not row.err and row[1] == 'queued 0' and find(id or '', ' %d+ %d+$', 37) then
      fence, dispatched = fence + 1, dispatched + 1
      local mine = text(fence)
      call('HSET', key, 'state', 'reserving ' .. mine)
      tell(client, 'queued>reserving ', mine, '-', id)
      give(client, 'queued 0', mine, id, false, false, false, row[3], row[4], row[5])
    else
      damaged = damaged + 1
    end
  end
end

zadd(LEASES, leased)
count('claimed', fence - before)
count('reclaimed', reclaimed)
count('dispatched', dispatched)
count('damaged', damaged)
publish(now)

local earliest = call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
if earliest[2] then reply[2] = math.max(0, earliest[2] - now) end
if serves_line and call('ZCARD', QUEUE) > 0 then reply[3] = 1 end
return reply
