"""One file a system: `work(url, starts)` is a worker process for ever, `producer(url)` submits.

`producer` is an asynchronous context of two functions: submit one job and answer its id; submit a thousand at once
(None where the system cannot).
"""
