"""The comparison of all codes: the signals, the other packages, and the page."""
