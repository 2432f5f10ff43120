"""The advisor: what a model would cost where it was not measured, and which model suits a device and a task."""
