-- Where budgets stand in their present period.
--
-- ARGV: accounts. Returns now, then settled, reserved, lost and lost grants of each.
local now = now_ms()
local found = { now }
for i = 1, #ARGV do
  local held = call('HMGET', key_of('budget', (counter_name(ARGV[i], now))), 'settled', 'reserved', 'lost', 'lost_grants')
  for j = 1, 4 do
    found[#found + 1] = tonumber(held[j] or 0)
  end
end
return found
