"""Sparse autoencoders whose features are followed over training."""
