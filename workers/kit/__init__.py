"""What steps share: models, data, devices, statistics."""
