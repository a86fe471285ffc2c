"""Jobs from submission to outcome: the catalog of tasks, the ledger's transitions, dispatch,
reading.
"""
