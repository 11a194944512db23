"""Load on a hub or a stack: open-model arrivals, exact latencies, a ledger of all jobs, a fleet, one judged result.

`runner.run(LoadSpec(...), folder)` makes one load, `comparison.compare` the same one on both sides in turns,
`saturation.find_saturation` searches the highest rate. gevent and Locust live in processes of their own (`loadtests`).
"""
