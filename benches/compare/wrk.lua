-- For wrk: `-- METHOD [BYTES]` after its own arguments makes the request, and the last line of its output is what the driver reads.
-- No Lua runs between the two: without request() and response() here, wrk sends the same bytes again and again.

function init(args)
    wrk.method = args[1]
    if args[2] then
        wrk.body = string.rep("x", tonumber(args[2]))
    end
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{"requests": %d, "microseconds": %d, "refused": %d, "failed": %d, "p50": %d, "p99": %d, "p99.9": %d}',
        summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
