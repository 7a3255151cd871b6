"""What a kernel is doing, live: the state a front end shows, and what it may ask for. See `live.v1.schema.json`."""
