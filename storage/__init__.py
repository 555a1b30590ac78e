"""The memory: rows and bytes, and the only writer of job state."""
