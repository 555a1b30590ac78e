"""Every architecture and format that the farm takes, tiny and random, compared with its original."""
