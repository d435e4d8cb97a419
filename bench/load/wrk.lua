-- For wrk: sends the bytes of a file as each request, and says at the end what came of it, as a line of JSON.
-- usage: wrk -s wrk.lua http://127.0.0.1:<port> -- <file>
local bytes

function init(args)
  local file = assert(io.open(args[1], "rb"))
  bytes = file:read("*a")
  file:close()
end

function request()
  return bytes
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('{"completed":%d,"failed":%d,"wallMs":%.3f}',
    summary.requests, failed, summary.duration / 1000))
end
