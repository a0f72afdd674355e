"""Ways to be broken. What each one does wrong is its docstring."""
