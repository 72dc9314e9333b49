-- Gives new data its schema version and epoch, and reads both. Takes over data of schema 1, which
-- has no items: counts what is unsettled. Data of schema 2 has no strays, and stays as it is.
-- KEYS     prelude.lua
-- ARGV     3 schema version of this release   4 a new epoch   5 the epoch to replace, since its
--          data was set back, or ''   6, 7 number and id of the newest outbox entry that the caller
--          knows, or ''   8 '1' to read only
-- Returns  { schema, epoch, 1 if that entry is lost } as stored. Data of a newer schema stays as it
--          is.
-- Cost     O(log N); O(N log N) for N tasks and holds of schema 1.
-- Repeat   Changes nothing. A read-only replica refuses it, so no store serves from one; it answers
--          a call that reads only.

-- Whether the data was set back to before the entry, also if it has more entries again.
local function is_lost(number, id)
  if number == '' then return false end
  if tonumber(call('HGET', STATS, 'entries') or '0') < tonumber(number) then return true end
  local entry = call('XRANGE', EVENTS, id, id)[1]
  if entry then return entry[2][2] ~= number end
  -- Otherwise it was trimmed, with all before it.
  local oldest = call('XRANGE', EVENTS, '-', '+', 'COUNT', '1')[1]
  -- A foreign entry says nothing.
  local first = oldest and oldest[2][1] == 'n' and tonumber(oldest[2][2])
  return first and first <= tonumber(number)
end

local lost = is_lost(ARGV[6], ARGV[7]) and 1 or 0
local schema, epoch = unpack(call('HMGET', META, 'schema', 'epoch'))
if ARGV[8] == '1' then return { schema or '0', epoch, lost } end
if schema and not (tonumber(schema) and tonumber(schema) <= tonumber(ARGV[3])) then
  return { schema, epoch, lost }
end
if schema == '1' then
  local unsettled = {}
  for _, set in ipairs({ LEASES, TIMEOUTS }) do
    local members = call('ZRANGE', set, '0', '-1')
    for from = 1, #members, 1000 do
      local keys = {}
      for n = from, math.min(from + 999, #members) do keys[#keys + 1] = STATUS .. members[n] end
      local values = call('MGET', unpack(keys))
      for n = 1, #keys do
        -- Line 7; another text has no such line.
        local line = match(values[n] or '', '^' .. string.rep('[^\n]*\n', 6) .. '([^\n]*)\n')
        local name = line and (match(line, '^%d+ (.*)$') or '')
        if name then unsettled[name] = (unsettled[name] or 0) + 1 end
      end
    end
  end
  for name, count in pairs(unsettled) do call('HSET', ITEMS, name, text(count)) end
end
call('HSET', META, 'schema', ARGV[3])
-- Several workers detect the same set-back; the first one replaces the epoch.
if not epoch or epoch == ARGV[5] then call('HSET', META, 'epoch', ARGV[4]) end
schema, epoch = unpack(call('HMGET', META, 'schema', 'epoch'))
return { schema, epoch, lost }
