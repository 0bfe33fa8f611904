"""Interactive views for notebooks: the Lab, live panels, and the start of JupyterLab."""
