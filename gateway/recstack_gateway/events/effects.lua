-- All that one event does, with its acknowledgement: wholly or not at all, and once, however often it is delivered.
-- KEYS: stream, landmarks, recent (empty for somebody anonymous), behaviour and row (empty for nobody), rows that go
-- offline, trending lists…
-- ARGV: an object in JSON; numbers that must keep every digit are texts.
local a = cjson.decode(ARGV[1])
if #redis.call('XRANGE', KEYS[1], a.entry, a.entry) == 0 then
  redis.call('XACK', KEYS[1], a.group, a.entry)
  return 0 -- worked off before, or its user was forgotten
end
local at = tonumber(a.at)

-- Forward decay: scores stand relative to the list's landmark, which moves before they overflow.
local function count(list)
  local landmark, half = at, a.half
  local stored = redis.call('HGET', KEYS[2], list)
  if stored then
    landmark, half = string.match(stored, '(%S+) (%S+)')
    landmark, half = tonumber(landmark), tonumber(half)
  end
  if half ~= a.half or (at - landmark) / half > a.exponent then
    local moved = math.max(at, landmark)
    local factor = 2 ^ ((landmark - moved) / half)
    redis.call('ZUNIONSTORE', list, 1, list, 'WEIGHTS', string.format('%.17g', factor))
    redis.call('ZREMRANGEBYSCORE', list, '-inf', a.least)
    landmark, half, stored = moved, a.half, false
  end
  if not stored then
    redis.call('HSET', KEYS[2], list, string.format('%.17g %.17g', landmark, half))
  end
  local score = a.weight * 2 ^ ((at - landmark) / half)
  if score <= a.least then
    return
  end
  redis.call('ZINCRBY', list, string.format('%.17g', score), a.item)
  if redis.call('ZCARD', list) > 2 * a.kept then
    redis.call('ZREMRANGEBYRANK', list, 0, -a.kept - 1)
  end
  redis.call('EXPIRE', list, a.expiry)
end

if KEYS[3] ~= '' then
  redis.call('ZADD', KEYS[3], 'GT', a.at, a.item)
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -a.recent - 1)
  redis.call('EXPIRE', KEYS[3], a.retention)
end
if KEYS[4] ~= '' then
  behave(KEYS[4], KEYS[5], KEYS[6], a.behaviour, a.at)
end
if a.weight > 0 then
  for i = 7, #KEYS do
    count(KEYS[i])
  end
end
-- Last: what a command above refuses stays in the stream, for whoever puts it aside.
redis.call('XACK', KEYS[1], a.group, a.entry)
redis.call('XDEL', KEYS[1], a.entry)
return 1
