"""The metrics of the weightwatcher package."""
