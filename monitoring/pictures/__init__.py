"""Draws the dashboards for the documents, from a run of the real service watched by a real
Prometheus: `make pictures`.
"""
