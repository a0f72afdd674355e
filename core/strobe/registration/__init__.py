"""How plugins are found, checked and loaded."""
