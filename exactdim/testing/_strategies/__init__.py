"""What the strategies are made of; the public names are in `exactdim.testing.strategies`."""
