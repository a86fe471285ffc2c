"""From an error in any process to one message a problem: counted in Redis, sent by maintenance."""
