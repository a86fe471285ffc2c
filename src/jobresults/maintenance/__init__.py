"""The maintenance process: makes good what was lost, dispatches what came due, forgets what is
over.
"""
