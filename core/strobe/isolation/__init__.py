"""Strangers' analyzers in processes of their own: what one does there costs its own cells, and nobody else's."""
