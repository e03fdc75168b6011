-- A circuit breaker as one would write it for Envoy's Lua filter, with the rules that fusebox has by default. Each
-- worker has circuits of its own, by the name of the route: Lua shares nothing between workers. It sees response
-- headers, but not how a body ends.

local CONSECUTIVE_FAILURES = 5
local FAILURE_RATIO, MINIMUM_REQUESTS, WINDOW_SECONDS = 0.5, 20, 10
local OPEN_SECONDS = 30
local MULTIPLIER, MAX_OPEN_SECONDS = 2, 300
local PROBE_SECONDS = 30
local IGNORED = { ["429"] = true, ["501"] = true, ["505"] = true }

local circuits = {}

-- Both count afresh in each life of a circuit.
local function close(circuit)
  circuit.state = "closed"
  circuit.openings = 0
  circuit.run, circuit.requests, circuit.failures = 0, 0, 0
  circuit.second = os.time()
  circuit.buckets = {}
  for second = 0, WINDOW_SECONDS - 1 do
    circuit.buckets[second] = { requests = 0, failures = 0 }
  end
end

local function open(circuit)
  local wait = math.min(OPEN_SECONDS * MULTIPLIER ^ circuit.openings, MAX_OPEN_SECONDS)
  circuit.state = "open"
  circuit.openings = circuit.openings + 1
  circuit.retry_at = os.time() + wait
end

local function circuit_of(handle)
  local name = handle:streamInfo():routeName()
  local circuit = circuits[name]
  if circuit == nil then
    circuit = {}
    close(circuit)
    circuits[name] = circuit
  end
  return circuit
end

-- Takes what has become too old out of the sums. Returns the bucket of this second.
local function roll(circuit)
  local now = os.time()
  for second = circuit.second + 1, math.min(now, circuit.second + WINDOW_SECONDS) do
    local bucket = circuit.buckets[second % WINDOW_SECONDS]
    circuit.requests = circuit.requests - bucket.requests
    circuit.failures = circuit.failures - bucket.failures
    bucket.requests, bucket.failures = 0, 0
  end
  circuit.second = now
  return circuit.buckets[now % WINDOW_SECONDS]
end

local function count(circuit, failed)
  local bucket = roll(circuit)
  bucket.requests = bucket.requests + 1
  circuit.requests = circuit.requests + 1
  if not failed then
    circuit.run = 0
    return
  end
  bucket.failures = bucket.failures + 1
  circuit.failures = circuit.failures + 1
  circuit.run = circuit.run + 1
  local enough = circuit.requests >= MINIMUM_REQUESTS
  if circuit.run >= CONSECUTIVE_FAILURES or (enough and circuit.failures >= FAILURE_RATIO * circuit.requests) then
    open(circuit)
  end
end

local function reject(handle, state, seconds)
  local headers = {
    [":status"] = "503",
    ["retry-after"] = tostring(math.max(seconds, 1)),
    ["x-circuit-breaker"] = state,
    ["cache-control"] = "no-store",
  }
  handle:respond(headers, "the circuit is " .. state .. "\n")
end

function envoy_on_request(handle)
  local circuit = circuit_of(handle)
  if circuit.state == "closed" then
    return
  end
  local now = os.time()
  if circuit.state == "open" and now < circuit.retry_at then
    reject(handle, "open", circuit.retry_at - now)
  elseif circuit.state == "half-open" and now < circuit.probe_until then
    reject(handle, "half-open", 1)
  else
    circuit.state = "half-open"
    circuit.probe_until = now + PROBE_SECONDS
    handle:streamInfo():dynamicMetadata():set("breaker", "probe", true)
  end
end

function envoy_on_response(handle)
  local circuit = circuit_of(handle)
  if circuit.state == "open" then
    return
  end
  local status = handle:headers():get(":status")
  local ignored, failed = IGNORED[status], status:sub(1, 1) == "5"
  if circuit.state == "closed" then
    if not ignored then
      count(circuit, failed)
    end
  elseif (handle:streamInfo():dynamicMetadata():get("breaker") or {}).probe then
    if ignored then
      circuit.probe_until = 0
    elseif failed then
      open(circuit)
    else
      close(circuit)
    end
  end
end
