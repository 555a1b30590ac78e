"""Models from elsewhere: the one place of the farm that talks to other machines for a user."""
