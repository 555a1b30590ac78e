"""One module for each step kind; only the child imports them."""
