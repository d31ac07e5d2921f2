"""The conformance checks; the public names are in `exactdim.testing.conformance`."""
