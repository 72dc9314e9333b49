-- The clock of tests that own time: whatever they have put under KEYS[9], in milliseconds.
local now = tonumber(call('GET', KEYS[9]))
local moment = format('%013d', now)
