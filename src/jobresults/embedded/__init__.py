"""The whole service on one machine: a private Redis and the processes beside it."""
