-- The clock of tests that control time: the value of KEYS[9], in milliseconds.
local now = tonumber(call('GET', KEYS[9]))
local moment = format('%013d', now)
