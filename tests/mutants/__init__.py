"""Twelve bugs that farms have had, put into a copy of this one in turn: the suite must see each."""
