"""Must never be imported: its requirement, `strobe>=99`, says that it cannot work here."""

raise RuntimeError("imported in spite of an unmet requirement")
