-- Marks new data with its schema version and epoch; tells which are there.
-- ARGV     3 schema version of this release   4 an epoch, if the data needs one   5 the epoch whose data was set back, or ''
-- Returns  { schema, epoch }: as stored. Nothing is written when the schema is newer than ARGV[3].
-- Cost     O(1). Safe to repeat: only what is missing or outdated is written. A read-only server refuses it, which is wanted.
local schema, epoch = unpack(call('HMGET', META, 'schema', 'epoch'))
if schema and not (tonumber(schema) and tonumber(schema) <= tonumber(ARGV[3])) then
  return { schema, epoch }
end
call('HSETNX', META, 'schema', ARGV[3])
-- Several workers notice; the first one gives the new name.
if not epoch or epoch == ARGV[5] then call('HSET', META, 'epoch', ARGV[4]) end
return call('HMGET', META, 'schema', 'epoch')
