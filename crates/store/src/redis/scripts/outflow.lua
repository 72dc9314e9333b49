-- Loaded in front of the scripts that claim bookings and set rules: how many may leave the line.

-- The spacing of bookings that keeps the rate of the sale: interval, burst and theoretical arrival
-- time of the next booking, all in µs, and how many may go now. Nil without a rate.
local interval, burst_span, tat, tokens
-- Time until the sale opens, ms.
local opens_in
-- When the queue may probe again, ms.
local next_probe

-- Returns the time between two bookings and that of a whole burst, in µs.
local function pace(per_minute, burst)
  local rate = tonumber(per_minute)
  local at_once = math.min(rate, tonumber(burst or 1 + math.floor(rate / 100)))
  local spacing = math.floor(60000000 / (rate - at_once + 1)) + 1
  return spacing, at_once * spacing
end

-- Returns how many of `most` bookings may leave the line, or nil if the line is not served.
local function room_for(most, scope)
  local admission, rules, opens_at, max_holds, per_minute, burst, stored, since, probe =
    unpack(call('HMGET', META, 'admission', 'rules', 'opens_at', 'max_holds', 'per_minute', 'burst',
      'tat', 'tat_at', 'next_probe'))
  next_probe = tonumber(probe or '0')
  if admission == 'Paused' or (scope == 'once_ruled' and not rules) then return nil end
  if opens_at and now < tonumber(opens_at) then
    opens_in = opens_at - now
    return nil
  end
  local room = most
  if max_holds then
    local held = call('ZCARD', LEASES) + call('ZCARD', TIMEOUTS)
    room = math.max(0, math.min(room, max_holds - held))
  end
  if per_minute then
    interval, burst_span = pace(per_minute, burst)
    tat = math.max(tonumber(stored or '0'), now * 1000)
    -- A clock that was set back finds the time too far ahead.
    if now < tonumber(since or '0') then tat = math.min(tat, now * 1000 + burst_span) end
    tokens = math.max(0, math.floor((now * 1000 + burst_span - tat) / interval))
    room = math.min(room, tokens)
  end
  return room
end
