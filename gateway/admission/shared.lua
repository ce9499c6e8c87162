-- What the scripts of this folder share; put in front of each. docs/budgets.md describes the keys.
--
-- Every key begins with KEYS[1], which holds a hash tag, so all of them live in one slot of a cluster. All
-- amounts are integers below 2^53, which Lua's numbers hold exactly.
--
-- Only what may be forgotten carries a time to live, since a server that is told to evict "volatile" keys may
-- take any that does. The rest stands in `:ends` with the time after which `sweep` may delete it.

local call, floor = redis.call, math.floor
local TICKS = 60000 -- one request or token of a rate limit, as in limits.py
local HOUR = 3600000
local DAY = 24 * HOUR
local KEEP = { hour = 2 * DAY, day = 2 * DAY, month = 33 * DAY } -- from a counter's first use; a period and a day at least

local function key_of(kind, name)
  return KEYS[1] .. ':' .. kind .. ':' .. name
end

-- As Redis wants an integer: never 1e+15, never -0.
local function int(number)
  return string.format('%.0f', number + 0)
end

local function delete_after(key, ms)
  call('ZADD', KEYS[1] .. ':ends', int(ms), key)
end

-- ------------------------------------------------------------------ rates

local function rate_level(kind, scope, per_minute, now)
  local held = call('GET', key_of(kind, scope))
  if not held then
    return 0
  end
  local level, at = string.match(held, '^(%d+) (%d+)$')
  return math.max(0, level - math.max(0, now - at) * per_minute)
end

local function set_rate(kind, scope, per_minute, level, now)
  if level > 0 then
    local empty_in_ms = math.ceil(level / per_minute) -- kept longer, for clocks that are set back
    call('SET', key_of(kind, scope), int(level) .. ' ' .. int(now), 'PX', int(empty_in_ms + 600000))
  else
    call('DEL', key_of(kind, scope))
  end
end

-- ------------------------------------------------------------------ budgets

-- Year, month and day of a day number since 1970-01-01: civil_from_days in Howard Hinnant,
-- "chrono-Compatible Low-Level Date Algorithms", for days from 1970 on.
local function civil(days)
  local z = days + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return year, month, doy - floor((153 * mp + 2) / 5) + 1
end

-- 'key:bot:usd:day' now → 'key:bot:usd:day:2026-11-22'; as limits.counter_name.
local function counter_name(account, now)
  local per = string.match(account, '%a+$')
  if per == 'total' then
    return account .. ':total', per
  end
  local year, month, day = civil(floor(now / DAY))
  local label = string.format('%04d-%02d', year, month)
  if per ~= 'month' then
    label = label .. string.format('-%02d', day)
  end
  if per == 'hour' then
    label = label .. string.format('T%02d', floor(now / HOUR) % 24)
  end
  return account .. ':' .. label, per
end

local function charge_new(account, amount, now)
  local name, per = counter_name(account, now)
  local key = key_of('budget', name)
  if call('HINCRBY', key, 'settled', int(amount)) == amount and KEEP[per] then
    delete_after(key, now + KEEP[per])
  end
end

-- ------------------------------------------------------------------ grants

-- End an open grant: `tokens` and `nanousd` were used, the rest of what it reserved comes back.
local function close(id, tokens, nanousd, now)
  local key = key_of('grant', id)
  local held = call('HMGET', key, 'tokens', 'nanousd', 'budgets', 'rates', 'slots')
  for unit, name in string.gmatch(held[3], '(%a) (%S+)') do
    local counter = key_of('budget', name)
    if call('EXISTS', counter) == 1 then
      call('HINCRBY', counter, 'settled', int(unit == 'u' and nanousd or tokens))
      call('HINCRBY', counter, 'reserved', int(0 - (unit == 'u' and held[2] or held[1])))
    end
  end
  for scope, per_minute in string.gmatch(held[4], '(%S+) (%d+)') do
    local level = rate_level('tokens', scope, per_minute, now)
    set_rate('tokens', scope, per_minute, level + (tokens - held[1]) * TICKS, now)
  end
  for scope in string.gmatch(held[5], '%S+') do
    if call('HINCRBY', KEYS[1] .. ':slots', scope, -1) <= 0 then
      call('HDEL', KEYS[1] .. ':slots', scope)
    end
  end
  call('ZREM', KEYS[1] .. ':leases', id)
end
