-- The clock of the store: Redis's own, in milliseconds. No other clock decides anything.
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local moment = format('%013d', now)
