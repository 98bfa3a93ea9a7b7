"""The docks: one a step of the work; the only place that knows Qt and napari."""
