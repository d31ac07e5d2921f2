"""What a ReLU network is: weights, patterns, Jacobian, symmetries, files."""
