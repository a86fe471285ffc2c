"""Load on a service that checks every answer it gets; as light as the client, on which it stands."""
