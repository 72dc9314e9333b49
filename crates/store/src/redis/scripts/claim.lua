-- Gives tasks: what is due, earliest lease end first, then the front of the line.
-- ARGV     3 how many at most   4 lease, ms   5 'everything', or 'due_only' to leave the line alone
-- Returns  { now, next due in ms or false, 1 if the line still has somebody, task... }, 3 values for each task: client, fence,
--          the booking as it was before the claim
-- Cost     O(log N) for each task; at most 256 tasks. Members without a readable booking are dropped and counted.
-- Repeat   A repeat claims other tasks; those of a lost answer come back when their lease ends.
local max, lease_end = tonumber(ARGV[3]), text(now + ARGV[4])
local before = tonumber(call('HGET', STATS, 'claimed') or '0')
local newest, reclaimed, dispatched, damaged, fences = before, 0, 0, 0, counter(before)
local leased, leases, gone, reply, answers = {}, 0, {}, { now, false, 0 }, 3

local function give(client, was)
  newest = newest + 1
  local mine = fences()
  leased[leases + 1], leased[leases + 2] = lease_end, client
  leases = leases + 2
  reply[answers + 1], reply[answers + 2], reply[answers + 3] = client, mine, was
  answers = answers + 3
  return mine
end

local due = call('ZRANGEBYSCORE', LEASES, '-inf', moment, 'LIMIT', '0', ARGV[3])
local keys, values = read_list(due)
for n = 1, #due do
  local client = due[n]
  if is_leased(take(values[n])) then
    if tonumber(fence) > 0 then reclaimed = reclaimed + 1 end
    local mine = give(client, value)
    put(keys[n], state, mine, outcome, tries)
    tell(client, state .. '>' .. state, mine, state == 'releasing' and outcome or '-', reason())
  else
    gone[#gone + 1] = client
  end
end

local serves_line = ARGV[5] == 'everything' and call('HGET', META, 'admission') ~= 'Paused'
local room = max - (newest - before)
local front = serves_line and room > 0 and call('ZRANGE', QUEUE, '0', text(room - 1)) or {}
keys, values = read_list(front)
for n = 1, #front do
  local client = front[n]
  value, head_end = values[n] or '', #QUEUED
  if find(value, QUEUED, 1, true) == 1 and find_ends() then
    dispatched = dispatched + 1
    local mine = give(client, value)
    keep(keys[n], 'reserving ' .. mine .. ' - 0' .. sub(value, head_end))
    tell(client, 'queued>reserving', mine, '-')
  else
    damaged = damaged + 1
  end
end

save()
zrem(LEASES, gone)
if front[1] then call('ZREMRANGEBYRANK', QUEUE, '0', text(#front - 1)) end
zadd(LEASES, leased)
count('claimed', newest - before)
count('reclaimed', reclaimed)
count('dispatched', dispatched)
count('damaged', damaged + #gone)
publish(moment)

local earliest = call('ZRANGE', LEASES, '0', '0', 'WITHSCORES')
if earliest[2] then reply[2] = math.max(0, earliest[2] - now) end
if serves_line and call('ZCARD', QUEUE) > 0 then reply[3] = 1 end
return reply
