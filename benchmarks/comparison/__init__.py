"""The comparison of all codes: the signals, the grids of parameters, the measurements, and the page."""
