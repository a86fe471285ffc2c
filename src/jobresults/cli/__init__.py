"""The `jobresults` command."""
