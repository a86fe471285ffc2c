"""Yardsticks for HTTP: endpoints that do or promise less than ours, under the same gunicorn."""
