-- Now, in milliseconds since 1970, by the server's clock: processes may disagree about the time, and here they need not agree.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
