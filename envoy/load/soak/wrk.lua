-- For wrk: requests for many paths of one host until a certain file is there, and a report, for a program to read, of what
-- they were answered. All that was sent is waited for, so that the counts are exact.
-- Its arguments: the host, the path's beginning, how many paths there are, and the file.

local head, paths, tail, file
-- wrk asks for one request only to see whether it is one.
local sent, answered = -1, 0
local is_over = false
local kinds = {}

function init(arguments)
  local host
  host, head, paths, file = unpack(arguments)
  head, tail = "GET " .. head, " HTTP/1.1\r\nhost: " .. host .. "\r\n\r\n"
end

function request()
  if not is_over and sent % 100 == 0 then
    local found = io.open(file)
    is_over = found ~= nil
    if found then found:close() end
  end
  if is_over then
    if sent == answered then report() end
    -- Nothing is sent, and the connection is left alone.
    return ""
  end
  sent = sent + 1
  return head .. math.random(paths) .. tail
end

function response(status, headers)
  answered = answered + 1
  local by = headers["x-circuit-breaker-fallback"] or headers["x-circuit-breaker"] and "rejected" or "upstream"
  local kind = by .. " " .. status
  kinds[kind] = (kinds[kind] or 0) + 1
end

function report()
  local counts = {}
  for kind, count in pairs(kinds) do
    counts[#counts + 1] = string.format('"%s": %d', kind, count)
  end
  print("{" .. table.concat(counts, ", ") .. "}")
  io.flush()
end
