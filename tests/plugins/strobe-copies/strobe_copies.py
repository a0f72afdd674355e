"""Nothing of its own: its entry points name what Strobe brings."""
