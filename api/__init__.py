"""The door: jobs over HTTP."""
