"""The worker process: a supervisor takes dispatched jobs from Redis, claims them in the ledger, and
has an executor run them.
"""
