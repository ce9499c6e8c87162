-- All of a request's limits and budgets at once: either everything is taken, or nothing.
--
-- ARGV: two texts, since the client pays for every argument and every number of an answer apart.
--   plan     a line for each limit: kind, name, limit, soft limit; a dash where there is none. Kinds: r requests
--            and t tokens a minute, c concurrent; budgets: k in tokens, u in nano-dollars
--   request  id of the grant to open (a dash for a request that has nothing to settle), lease_ms, tokens,
--            nanousd, prompt_tokens, prompt_nanousd, may_be_cheap (0 or 1)
-- Returns now, a verdict, and how full each limit is, after it was taken or before it was refused; blanks between.
local ADMITTED, REFUSED, CHEAP, CLOSED, EMPTY = 0, 1, 2, 3, 4

local id, lease_ms, tokens, nanousd, prompt_tokens, prompt_nanousd, may_be_cheap =
  string.match(ARGV[2], '^(%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d)$')
local holds = id ~= '-'
local demand = { r = TICKS, t = tokens * TICKS, c = holds and 1 or 0, k = tonumber(tokens), u = tonumber(nanousd) }
local now = now_ms()

local function answer(verdict, levels)
  local words = { int(now), verdict }
  for i, level in ipairs(levels) do
    words[i + 2] = int(level)
  end
  return table.concat(words, ' ')
end

if holds and call('EXISTS', KEYS[1] .. ':beat') == 0 then
  return answer(EMPTY, {})
elseif holds and call('EXISTS', key_of('grant', id)) == 1 then
  return answer(CLOSED, {})
end

local rows, levels = {}, {}
local is_refused, is_over_budget, is_over_soft = false, false, false
for kind, name, limit, soft in string.gmatch(ARGV[1], '(%a) (%S+) (%S+) (%S+)') do
  local row = { kind = kind, name = name, limit = tonumber(limit) }
  local level, want = 0, demand[kind]
  if kind == 'r' or kind == 't' then
    row.store = kind == 'r' and 'requests' or 'tokens'
    level = rate_level(row.store, name, limit, now)
    is_refused = is_refused or (want > 0 and level + want > limit * TICKS)
  elseif kind == 'c' then
    level = tonumber(call('HGET', KEYS[1] .. ':slots', name) or 0)
    is_refused = is_refused or (want > 0 and level + want > row.limit)
  else
    row.counter, row.per = counter_name(name, now)
    local held = call('HMGET', key_of('budget', row.counter), 'settled', 'reserved')
    row.is_new = not (held[1] or held[2])
    level = (held[1] or 0) + (held[2] or 0)
    is_over_budget = is_over_budget or (want > 0 and row.limit and level + want > row.limit)
    is_over_soft = is_over_soft or (want > 0 and soft ~= '-' and level + want > tonumber(soft))
  end
  row.level = level
  rows[#rows + 1], levels[#levels + 1] = row, level
end

if is_refused then
  return answer(REFUSED, levels)
elseif may_be_cheap == '1' and is_over_soft then
  return answer(CHEAP, levels)
elseif is_over_budget then
  return answer(REFUSED, levels)
end

local budgets, rates, slots = {}, {}, {}
for i, row in ipairs(rows) do
  local want = demand[row.kind]
  if want > 0 then
    levels[i] = row.level + want
    if row.store then
      set_rate(row.store, row.name, row.limit, levels[i], now)
      if row.kind == 't' then
        rates[#rates + 1] = row.name .. ' ' .. int(row.limit)
      end
    elseif row.kind == 'c' then
      call('HINCRBY', KEYS[1] .. ':slots', row.name, 1)
      slots[#slots + 1] = row.name
    else
      local key = key_of('budget', row.counter)
      call('HINCRBY', key, 'reserved', int(want))
      if row.is_new and KEEP[row.per] then
        delete_after(key, now + KEEP[row.per])
      end
      budgets[#budgets + 1] = row.kind .. ' ' .. row.counter
    end
  end
end

if holds then
  call('HSET', key_of('grant', id), 'state', 'open', 'tokens', tokens, 'nanousd', nanousd,
    'used_tokens', prompt_tokens, 'used_nanousd', prompt_nanousd, 'budgets', table.concat(budgets, ' '),
    'rates', table.concat(rates, ' '), 'slots', table.concat(slots, ' '))
  call('ZADD', KEYS[1] .. ':leases', int(now + lease_ms), id)
end
return answer(ADMITTED, levels)
