"""How many neurons an input leaves silent: an analyzer of activations, and its renderer."""
