"""What moves in a notebook: the lab, live panels, and the door to JupyterLab."""
