-- Loaded in front of the scripts that limit the outflow.

-- Returns the time between two bookings and that of a whole burst, in µs.
local function pace(per_minute, burst)
  local rate = tonumber(per_minute)
  local at_once = math.min(rate, tonumber(burst or 1 + math.floor(rate / 100)))
  local interval = math.floor(60000000 / (rate - at_once + 1)) + 1
  return interval, at_once * interval
end
