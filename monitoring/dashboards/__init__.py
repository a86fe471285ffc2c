"""Grafana dashboards: described in the `.yaml` files here, written to the `.json` files beside them
by `make dashboards`.
"""
