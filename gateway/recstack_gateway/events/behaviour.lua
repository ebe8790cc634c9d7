-- What a user did lately, and the row of the feature store that follows from it.

local function unhex(text)
  return (string.gsub(text, '..', function(pair) return string.char(tonumber(pair, 16)) end))
end

-- google.protobuf.Timestamp, both ways, as whole microseconds, which a double holds exactly.
local function read_time(content)
  local parts, place = {}, 1
  while content and place <= #content do
    local tag, value, factor, byte = string.byte(content, place), 0, 1
    repeat
      place = place + 1
      byte = string.byte(content, place) or 0
      value, factor = value + byte % 128 * factor, factor * 128
    until byte < 128
    parts[tag], place = value, place + 1
  end
  local seconds = parts[8] or 0
  return seconds < 1e11 and seconds * 1e6 + math.ceil((parts[16] or 0) / 1000) or 0 -- else before 1970
end

local function varint(value)
  local out = ''
  while value > 127 do
    out, value = out .. string.char(value % 128 + 128), math.floor(value / 128)
  end
  return out .. string.char(value)
end

local function write_time(micros)
  return '\8' .. varint(math.floor(micros / 1e6)) .. '\16' .. varint(micros % 1e6 * 1000)
end

-- Of each field the value that most entries have; of equally many the one met last.
local function dominant(entries)
  local counts, best = {}, {}
  for _, entry in ipairs(entries) do -- rising in time, so that the later of equals wins
    for name, value in string.gmatch(entry, '(%x+)=(%x+)') do
      counts[name] = counts[name] or {}
      counts[name][value] = (counts[name][value] or 0) + 1
      if not best[name] or counts[name][value] >= counts[name][best[name]] then
        best[name] = value
      end
    end
  end
  return best
end

-- KEYS: the user's entries, the row, rows that go offline. What another writer put beside these columns stays.
local function behave(entries, row, rows, b, at)
  redis.call('ZADD', entries, at, b.member)
  local newest = redis.call('ZRANGE', entries, -1, -1, 'WITHSCORES')[2]
  local first = tonumber(newest) - b.window
  redis.call('ZREMRANGEBYSCORE', entries, '-inf', '(' .. string.format('%.17g', first))
  redis.call('ZREMRANGEBYRANK', entries, 0, -b.kept - 1)
  redis.call('EXPIRE', entries, b.window)
  local before = read_time(redis.call('HGET', row, b.stamp))
  local now = math.max(math.floor(tonumber(newest) * 1e6 + 0.5), before + 1)
  local age = now - before
  local words, changed = {}, b.refresh > 0 and age > b.refresh * 1e6
  for name, value in pairs(dominant(redis.call('ZRANGE', entries, 0, -1))) do
    local field, content = unhex(name), unhex(value)
    changed = changed or redis.call('HGET', row, field) ~= content
    words[#words + 1] = field
    words[#words + 1] = content
  end
  if #words == 0 or not changed then
    return
  end
  if b.ttl > 0 and age > b.ttl * 1e6 then -- a new time must not bring back what was too old to count
    for _, name in ipairs(b.fields) do
      redis.call('HDEL', row, unhex(name))
    end
  end
  redis.call('HSET', row, b.stamp, write_time(now), unpack(words))
  local fields, told = {}, {'user', b.user, 'at', string.format('%.0f', now)}
  for i, name in ipairs(b.fields) do
    fields[i] = unhex(name)
  end
  for i, content in ipairs(redis.call('HMGET', row, unpack(fields))) do
    if content then
      told[#told + 1] = b.columns[i]
      told[#told + 1] = content
    end
  end
  redis.call('XADD', rows, '*', unpack(told))
end
