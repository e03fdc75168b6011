-- For wrk: requests for one path that take turns on hosts, and a report that a program can read.
-- Its arguments: the path, and the hosts.

local requests, last = {}, 0

function init(arguments)
  local path = table.remove(arguments, 1)
  for position, host in ipairs(arguments) do
    requests[position] = wrk.format("GET", path, { Host = host })
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "failed": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests,
    errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50),
    latency:percentile(99)
  ))
end
