"""Proofs as files: the certificate container and the checker that stands alone."""
