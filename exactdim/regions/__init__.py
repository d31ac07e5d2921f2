"""Where the activation pattern is constant: regions of input space."""
