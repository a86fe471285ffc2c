"""What the service tells about itself: log lines and the context they carry."""
