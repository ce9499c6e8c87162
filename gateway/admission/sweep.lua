-- End the leases that were not renewed, charging what is known of their use, and delete what is over.
--
-- ARGV: beat_ms, the time between two sweeps of one process; limit, the most to end at once.
-- Returns the epoch, how many ended, and the tokens and nano-dollars they were charged.
--
-- A server that was away, or frozen, could renew nothing meanwhile. So where two beats went by without a
-- sweep, or its clock was set back, nothing ends for two more: whoever is alive renews first.
local REMEMBER = HOUR -- how long a process that was thought dead may come back with the true use
local beat_ms, limit = tonumber(ARGV[1]), ARGV[2]
local now = now_ms()

local beat = call('GET', KEYS[1] .. ':beat')
if not beat then
  return { 0, 0, 0, 0 }
end
local seen, hold, epoch = string.match(beat, '^(%d+) (%d+) (%d+)$')
if now - seen > 2 * beat_ms or now < tonumber(seen) then
  hold = now + 2 * beat_ms
end
call('SET', KEYS[1] .. ':beat', int(now) .. ' ' .. int(hold) .. ' ' .. epoch)
if now < tonumber(hold) then
  return { tonumber(epoch), 0, 0, 0 }
end

local grants, all_tokens, all_nanousd = 0, 0, 0
for _, id in ipairs(call('ZRANGE', KEYS[1] .. ':leases', '-inf', int(now), 'BYSCORE', 'LIMIT', 0, limit)) do
  local key = key_of('grant', id)
  local held = call('HMGET', key, 'used_tokens', 'used_nanousd', 'budgets')
  local tokens, nanousd = tonumber(held[1]), tonumber(held[2])
  close(id, tokens, nanousd, now)
  for unit, name in string.gmatch(held[3], '(%a) (%S+)') do
    local counter = key_of('budget', name)
    if call('EXISTS', counter) == 1 then
      call('HINCRBY', counter, 'lost', int(unit == 'u' and nanousd or tokens))
      call('HINCRBY', counter, 'lost_grants', 1)
    end
  end
  call('HSET', key, 'state', 'lost', 'tokens', int(tokens), 'nanousd', int(nanousd))
  delete_after(key, now + REMEMBER)
  grants, all_tokens, all_nanousd = grants + 1, all_tokens + tokens, all_nanousd + nanousd
end

for _, key in ipairs(call('ZRANGE', KEYS[1] .. ':ends', '-inf', int(now), 'BYSCORE', 'LIMIT', 0, limit)) do
  call('DEL', key)
  call('ZREM', KEYS[1] .. ':ends', key)
end
return { tonumber(epoch), grants, all_tokens, all_nanousd }
