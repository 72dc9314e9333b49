-- The clock of tests that control time: the value of KEYS[13], in milliseconds.
local now = tonumber(call('GET', KEYS[13]))
local moment = format('%013d', now)
