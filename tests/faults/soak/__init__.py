"""The soak: jobs over HTTP while processes are killed at random, then an audit of every job."""
