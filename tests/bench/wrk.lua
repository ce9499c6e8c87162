-- wrk's part of load.py: what to send comes from the environment, the outcome goes to stdout as one line of JSON.

local body = os.getenv("BENCH_BODY")
local nonce = os.getenv("BENCH_NONCE")
local is_unique = os.getenv("BENCH_UNIQUE") ~= ""
local before, after = body:match("^(.-)@@NONCE@@(.*)$")
local sent, the_same = 0, nil

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^:\n]+): ([^\n]*)\n") do
  wrk.headers[name] = value
end

function init()
  the_same = wrk.format(nil, nil, nil, before .. nonce .. after)
end

function request()
  if not is_unique then
    return the_same
  end
  sent = sent + 1
  return wrk.format(nil, nil, nil, before .. nonce .. string.format("-%08d", sent) .. after)
end

function done(summary, latency)
  local e, found = summary.errors, {}
  local counts = {connect = e.connect, read = e.read, write = e.write, status = e.status, timeout = e.timeout}
  local all = 0
  for kind, n in pairs(counts) do
    if n > 0 then
      found[#found + 1] = string.format('"%s": %d', kind, n)
      all = all + n
    end
  end
  io.write(string.format(
    'OUTCOME{"good": %d, "errors": {%s}, "seconds": %.6f, "p50_us": %.1f, "p99_us": %.1f}',
    summary.requests - e.status, table.concat(found, ", "), summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
