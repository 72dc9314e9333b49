-- Put in front of the scripts that look at more of a booking than its fixed lines.

-- By comparison and not by tables, which would be built anew for each call.
local function is_final(name)
  return name == 'confirmed' or name == 'sold_out' or name == 'rejected'
    or name == 'expired' or name == 'cancelled' or name == 'failed'
end

-- The booking in hand: its text, what its second line says, and where the lines end that every booking has.
local value, state, outcome, mark, tries
local hold_end, payment_end, reason_end, request_end

-- Takes a booking in hand. Returns its state; nothing if it is none or damaged. Such a one is dropped from the set that named
-- it, or replaced by the next Enqueue, so that it never stops the queue.
local function take(found)
  value = found or ''
  state, outcome, mark, tries, hold_end, payment_end, reason_end, request_end = match(value,
    '^([%l_]+) *([%-ecf]) ([%-%*]) (%d%d%d)\n[^\n]*()\n[^\n]*()\n[^\n]*()\n%d+ [^\n]+()\n', 67)
  local fits = state and match(value, '^%x+%-%x+%-%x+%-%x+%-%x+() %d+ %d+\n') == 37 and sub(value, 50, 50) == ' '
    and sub(value, 66, 66) == '\n' and sub(value, 85, 85) == '\n'
    and (state == 'queued' or state == 'reserving' or is_final(state)
      or (state == 'releasing' and outcome ~= '-')
      -- These have a hold, which begins with a deadline.
      or ((state == 'reserved' or state == 'confirming') and find(value, '^%d', 86)))
  if not fits then state = nil end
  return state
end

-- Writes bookings that have ended: key, booking, key, booking. Their retention starts.
local function retain(finals)
  for n = 1, #finals, 2 do call('SET', finals[n], finals[n + 1], 'PX', ARGV[2]) end
end
