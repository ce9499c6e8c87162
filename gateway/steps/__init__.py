"""What the steps of `pipeline.py` consist of where a step takes several capabilities; the order is told there."""
