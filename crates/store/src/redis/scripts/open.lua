-- Marks new data with its schema version and epoch; tells which are there.
-- ARGV     3 schema version of this release   4 an epoch, if the data has none yet
-- Returns  { schema, epoch }: as stored. Nothing is written when the schema is newer than ARGV[3].
-- Cost     O(1). Safe to repeat: only what is missing is written. A read-only server refuses it, which is wanted.
local schema = call('HGET', META, 'schema')
if schema and not (tonumber(schema) and tonumber(schema) <= tonumber(ARGV[3])) then
  return { schema, call('HGET', META, 'epoch') }
end
call('HSETNX', META, 'schema', ARGV[3])
call('HSETNX', META, 'epoch', ARGV[4])
return call('HMGET', META, 'schema', 'epoch')
