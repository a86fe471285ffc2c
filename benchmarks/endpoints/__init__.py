"""Yardsticks for HTTP: endpoints that do less than ours, or promise less, under the same gunicorn."""
