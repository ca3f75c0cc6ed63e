-- What wrk counted, as one line of JSON; times are microseconds. `refused` are answers of 400 and more.
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\nreport {"requests":%d,"microseconds":%d,"failed":%d,"refused":%d,"p50":%d,"p95":%d,"p99":%d}\n',
        summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status,
        latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
