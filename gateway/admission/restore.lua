-- Have at least so much settled on each account, if it is still of the present period: what a process knows of a
-- store that was emptied. From then on the store has an epoch, and admits.
--
-- ARGV: account, amount, and when that was heard of, for each. Returns the epoch.
local now = now_ms()
for i = 1, #ARGV, 3 do
  local account = ARGV[i]
  local name = counter_name(account, now)
  if name == counter_name(account, tonumber(ARGV[i + 2])) then
    local held = call('HMGET', key_of('budget', name), 'settled', 'reserved')
    local missing = ARGV[i + 1] - (held[1] or 0) - (held[2] or 0)
    if missing > 0 then
      charge_new(account, missing, now)
    end
  end
end

call('SET', KEYS[1] .. ':beat', '0 0 ' .. int(now), 'NX')
return tonumber(string.match(call('GET', KEYS[1] .. ':beat'), '%d+$'))
