-- Charge what grants have used, each once: of a grant that is settled already, nothing is known and nothing changes.
--
-- ARGV: one text with a line for each: id, tokens, nanousd and unsure, blanks between.
--   unsure  empty, or for a grant of which the client does not know whether it was ever opened: its budgets
--           (unit, account, …), or a dash where it has none. If it is unknown here too, its use is charged to
--           them. Either way the id is remembered, so that neither a command that arrives late can open it nor
--           this one, repeated, charge it again.
local REMEMBER = HOUR -- how long a command may lie in a frozen server's socket

local function correct(id, tokens, nanousd)
  local held = call('HMGET', key_of('grant', id), 'tokens', 'nanousd', 'budgets')
  for unit, name in string.gmatch(held[3], '(%a) (%S+)') do
    local counter = key_of('budget', name)
    if call('EXISTS', counter) == 1 then
      local charged = unit == 'u' and held[2] or held[1]
      call('HINCRBY', counter, 'settled', int((unit == 'u' and nanousd or tokens) - charged))
      call('HINCRBY', counter, 'lost', int(0 - charged))
      call('HINCRBY', counter, 'lost_grants', -1)
    end
  end
end

local function remember_closed(key, now)
  call('HSET', key, 'state', 'closed')
  delete_after(key, now + REMEMBER)
end

local now = now_ms()
for id, tokens_text, nanousd_text, unsure in string.gmatch(ARGV[1], '(%S+) (%d+) (%d+) ([^\n]*)') do
  local tokens, nanousd = tonumber(tokens_text), tonumber(nanousd_text)
  local key = key_of('grant', id)
  local state = call('HGET', key, 'state')
  if state == 'open' then
    close(id, tokens, nanousd, now)
    call('DEL', key)
    if unsure ~= '' then
      remember_closed(key, now)
    end
  elseif state == 'lost' then -- its process was thought dead and was not
    correct(id, tokens, nanousd)
    remember_closed(key, now)
  elseif not state and unsure ~= '' then
    for unit, account in string.gmatch(unsure, '(%a) (%S+)') do
      local amount = unit == 'u' and nanousd or tokens
      if amount > 0 then
        charge_new(account, amount, now)
      end
    end
    remember_closed(key, now)
  end
end
return now
