"""Real servers for tests: Redis, PostgreSQL, and the whole service on top of them."""
