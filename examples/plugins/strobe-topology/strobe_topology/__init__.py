"""Persistent homology of class centroids."""
