-- Loaded in front of the scripts that count unsettled bookings.

-- Changes by `by` times its count how many bookings of each item are unsettled, by line 7 of the
-- bookings. Changes nothing and returns false unless every item is open and no booking waits for
-- it. Adds to `found` the items of which something has come back.
local function count_open(counts, by, found)
  local lines, names, numbers, rests, written, gone = {}, {}, {}, {}, {}, {}
  for line in pairs(counts) do
    lines[#lines + 1], names[#names + 1] = line, match(line, '^%d+ (.*)$') or ''
  end
  local texts = names[1] and call('HMGET', ITEMS, unpack(names))
  for n = 1, #names do
    local name, number, rest = names[n], match(texts[n] or '0', '^(%d+)(.*)$')
    local returned, opened_at = match(rest or '', '^ (%d+) 0 %d+ (%d+) .* $')
    if rest ~= '' and not returned then return false end
    if returned then
      found[#found + 1] = { name, tonumber(returned), opened_at == '0' and 1 or 0 }
    end
    numbers[name] = (numbers[name] or number) + by * counts[lines[n]]
    rests[name] = rest
  end
  for name, number in pairs(numbers) do
    if number > 0 then
      written[#written + 1], written[#written + 2] = name, text(number) .. rests[name]
    else
      gone[#gone + 1] = name
    end
  end
  if written[1] then call('HSET', ITEMS, unpack(written)) end
  if gone[1] then call('HDEL', ITEMS, unpack(gone)) end
  return true
end
