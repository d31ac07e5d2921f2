"""For people who test their own rank, Jacobian and network code."""
