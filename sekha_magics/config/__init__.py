"""The configuration: where it is found, what it may say, who may be trusted, and where keys come from."""
