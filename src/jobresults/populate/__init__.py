"""Load on a service, every answer checked; as light as the client, on which it stands."""
