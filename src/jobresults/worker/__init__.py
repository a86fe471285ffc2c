"""The worker process: takes dispatched jobs from Redis, claims them in the ledger, runs each in an
executor.
"""
