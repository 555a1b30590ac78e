"""The hands: claim, isolate, run, publish."""
