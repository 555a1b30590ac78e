"""ovfarm."""
