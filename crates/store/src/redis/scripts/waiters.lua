-- Loaded in front of the script that claims bookings: who waits, smallest place first.

-- How many members are taken from the front of each parked set, by its key, and from the line.
local cut, passed = {}, 0

-- Reads the bookings of these clients with one command.
local function read(clients)
  local keys = {}
  for n = 1, #clients do keys[n] = STATUS .. clients[n] end
  return clients[1] and call('MGET', unpack(keys)) or keys
end

-- Line 7 of a queued booking, whose hold, payment and reason are empty lines, or nil.
local function wanted(was)
  if sub(was, STATE_START - 1, HOLD_START + 2) ~= '\nqueued     - - 000\n\n\n\n' then return nil end
  local request_ends = find(was, '\n', QUEUED_REQUEST_START, true)
  local line_end = request_ends and find(was, '\n', request_ends + 1, true)
  return line_end and sub(was, request_ends + 1, line_end - 1)
end

-- The part of the line that was read.
local line = { clients = {}, values = {}, wanted = {}, at = 1 }

-- Reads the next bookings of the line, if the last ones are used up.
local function read_line(most)
  if line.at <= #line.clients or line.is_over then return end
  local clients = call('ZRANGE', QUEUE, text(passed), text(passed + most - 1))
  line.clients, line.values, line.wanted, line.at = clients, read(clients), {}, 1
  line.is_over = #clients < most
  local lines = {}
  for n = 1, #clients do
    local found = wanted(line.values[n] or '')
    line.wanted[n] = found
    lines[#lines + 1] = found
  end
  load(lines)
end

-- The parked sets that a claim may take from, as quantity and item and smallest place, and those
-- that were opened.
local ready, next_ready, sets = {}, 1, {}

-- Reads the next bookings of a ready set, twice as many as the last time: with many sets a claim
-- takes few of each.
local function read_set(set)
  local from, size = set.read, set.size
  local members = call('ZRANGE', set.key, text(from), text(from + size - 1), 'WITHSCORES')
  set.clients, set.places, set.at = {}, {}, 1
  for n = 1, #members, 2 do
    set.clients[(n + 1) / 2], set.places[(n + 1) / 2] = members[n], tonumber(members[n + 1])
  end
  set.values = read(set.clients)
  set.read, set.size = from + #set.clients, 2 * size
end

-- Opens a ready set.
local function open_set(member)
  load({ member })
  local want = wants[member]
  local set = { key = parked_set(want.item, want.quantity), want = want, read = 0, size = 4 }
  -- A probe has taken its front.
  set.read = cut[set.key] or 0
  read_set(set)
  sets[#sets + 1] = set
end

-- Returns the set with the parked booking that a claim may take first, if there is one.
local function first_ready()
  local first
  for opened = 1, 256 do
    first = nil
    for n = 1, #sets do
      local set = sets[n]
      if set.clients[1] and set.at > #set.clients then read_set(set) end
      local place = is_claimable(set.want.item, set.want.quantity) and set.places[set.at]
      if place and (not first or place < first.places[first.at]) then first = set end
    end
    local next_place = tonumber(ready[next_ready + 1])
    if not next_place or (first and first.places[first.at] < next_place) then break end
    open_set(ready[next_ready])
    next_ready = next_ready + 2
  end
  return first
end
