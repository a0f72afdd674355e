"""How a report leaves the app."""
