"""The release of this farm."""

VERSION = "0.1.0"
