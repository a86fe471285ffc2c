"""The soak: jobs over HTTP while every process is killed at random, then an audit of all of them."""
