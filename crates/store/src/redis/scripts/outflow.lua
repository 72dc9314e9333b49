-- Part of claim.lua: how many bookings may leave the line.

-- The spacing of bookings that keeps the rate of the sale: interval, burst and theoretical arrival
-- time of the next booking, all in µs, and how many may go now. Nil without a rate.
local interval, burst_span, tat, tokens
-- Time until the sale opens, ms.
local opens_in

-- How many bookings may leave the line, or false if it is not served.
local room = false
if ARGV[5] ~= 'due_only' then
  local admission, rules, opens_at, max_holds, per_minute, burst, stored = unpack(call('HMGET',
    META, 'admission', 'rules', 'opens_at', 'max_holds', 'per_minute', 'burst', 'tat'))
  local opens = opens_at and opens_at - now
  if admission ~= 'Paused' and (ARGV[5] == 'everything' or rules) then
    if opens and opens > 0 then opens_in = opens else room = max - given end
  end
  if room and max_holds then
    local held = call('ZCARD', LEASES) + call('ZCARD', TIMEOUTS)
    room = math.max(0, math.min(room, max_holds - held))
  end
  if room and per_minute then
    interval, burst_span = pace(per_minute, burst)
    tat = math.max(tonumber(stored or '0'), now * 1000)
    -- A clock that was set back finds the time too far ahead.
    local since = tonumber(call('HGET', META, 'tat_at') or '0')
    if now < since then tat = math.min(tat, now * 1000 + burst_span) end
    tokens = math.max(0, math.floor((now * 1000 + burst_span - tat) / interval))
    room = math.min(room, tokens)
  end
end
local served = room
