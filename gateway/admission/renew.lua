-- Give grants their full lease again, and note what each has used so far: what it is charged if it is never heard of again.
--
-- ARGV: lease_ms; then id, tokens, nanousd for each. Returns the ids that are no longer open.
local ends = int(now_ms() + ARGV[1])
local gone = {}
for i = 2, #ARGV, 3 do
  local id, key = ARGV[i], key_of('grant', ARGV[i])
  local held = call('HMGET', key, 'state', 'used_tokens', 'used_nanousd')
  if held[1] == 'open' then
    call('HSET', key,
      'used_tokens', int(math.max(held[2], ARGV[i + 1])),
      'used_nanousd', int(math.max(held[3], ARGV[i + 2])))
    call('ZADD', KEYS[1] .. ':leases', ends, id)
  else
    gone[#gone + 1] = id
  end
end
return gone
