"""The report builder: a Streamlit client of `strobe`; nothing imports it."""
