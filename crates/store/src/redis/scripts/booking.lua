-- Loaded in front of the scripts that parse more of a booking than its two fixed lines.

-- Compares instead of using a table, which every call would build again.
local function is_final(name)
  return name == 'confirmed' or name == 'sold_out' or name == 'rejected'
    or name == 'expired' or name == 'cancelled' or name == 'failed'
end

-- The current booking: its text, the fields of its second line, and the columns of the line ends
-- that every booking has.
local value, state, outcome, claimed, tries
local hold_end, payment_end, reason_end, request_end

-- Makes a text the current booking. Returns its state, or nil if the text is absent or corrupt. The
-- script then drops the member that named it, or Enqueue replaces it: it never stops the queue.
local function take(found)
  value = found or ''
  state, outcome, claimed, tries, hold_end, payment_end, reason_end, request_end = match(value,
    '^([%l_]+) *([%-ecfsr]) ([%-%*!?]) (%d%d%d)\n[^\n]*()\n[^\n]*()\n[^\n]*()\n%d+ [^\n]+()\n',
    STATE_START)
  local fits = state
    and match(value, '^%x+%-%x+%-%x+%-%x+%-%x+() %d+ %d+\n') == BOOKING_END + 1
    and sub(value, FENCE_START - 1, FENCE_START - 1) == ' '
    and sub(value, STATE_START - 1, STATE_START - 1) == '\n'
    and sub(value, HOLD_START - 1, HOLD_START - 1) == '\n'
    and (state == 'queued' or state == 'reserving' or is_final(state)
      or (state == 'releasing' and outcome ~= '-')
      -- These two have a hold, which starts with its deadline; one that was paid before has none.
      or (state == 'reserved' and find(value, '^%d', HOLD_START))
      or (state == 'confirming' and find(value, '^[%d%-]', HOLD_START)))
  if not fits then state = nil end
  return state
end

-- Writes final bookings (key, booking, key, booking ...) and starts their retention.
local function retain(finals)
  for n = 1, #finals, 2 do call('SET', finals[n], finals[n + 1], 'PX', ARGV[2]) end
end
