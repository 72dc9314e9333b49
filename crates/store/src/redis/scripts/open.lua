-- Gives new data its schema version and epoch, and reads both.
-- KEYS     prelude.lua
-- ARGV     3 schema version of this release   4 a new epoch   5 the epoch to replace, since its
--          data was set back, or ''
-- Returns  { schema, epoch } as stored. Data of a newer schema stays as it is.
-- Cost     O(1).
-- Repeat   Changes nothing. A read-only replica refuses it, so no store serves from one.
local schema, epoch = unpack(call('HMGET', META, 'schema', 'epoch'))
if schema and not (tonumber(schema) and tonumber(schema) <= tonumber(ARGV[3])) then
  return { schema, epoch }
end
call('HSETNX', META, 'schema', ARGV[3])
-- Several workers detect the same set-back; the first one replaces the epoch.
if not epoch or epoch == ARGV[5] then call('HSET', META, 'epoch', ARGV[4]) end
return call('HMGET', META, 'schema', 'epoch')
