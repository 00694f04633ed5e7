"""The comparison of all codes: signals, what is searched, what is measured, and the page."""
