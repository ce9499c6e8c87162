-- All of a request's limits and budgets at once: either everything is taken, or nothing.
--
-- ARGV: plan, id, lease_ms, tokens, nanousd, prompt_tokens, prompt_nanousd, may_be_cheap
--   plan   a line for each limit: kind, name, limit, soft limit; a dash where there is none. Kinds: r requests
--          and t tokens a minute, c concurrent; budgets: k in tokens, u in nano-dollars
--   id     of the grant to open; empty for a request that has nothing to settle
-- Returns now, a verdict, and how full each limit is: after it was taken, or before it was refused.
local ADMITTED, REFUSED, CHEAP, CLOSED, EMPTY = 0, 1, 2, 3, 4

local id, lease_ms, tokens, nanousd = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local may_be_cheap = ARGV[8] == '1'
local demand = { r = TICKS, t = tokens * TICKS, c = id ~= '' and 1 or 0, k = tokens, u = nanousd }
local now = now_ms()

if id ~= '' and call('EXISTS', KEYS[1] .. ':beat') == 0 then
  return { now, EMPTY, {} }
elseif id ~= '' and call('EXISTS', key_of('grant', id)) == 1 then
  return { now, CLOSED, {} }
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
  return { now, REFUSED, levels }
elseif may_be_cheap and is_over_soft then
  return { now, CHEAP, levels }
elseif is_over_budget then
  return { now, REFUSED, levels }
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

if id ~= '' then
  call('HSET', key_of('grant', id), 'state', 'open', 'tokens', ARGV[4], 'nanousd', ARGV[5],
    'used_tokens', ARGV[6], 'used_nanousd', ARGV[7], 'budgets', table.concat(budgets, ' '),
    'rates', table.concat(rates, ' '), 'slots', table.concat(slots, ' '))
  call('ZADD', KEYS[1] .. ':leases', int(now + lease_ms), id)
end
return { now, ADMITTED, levels }
