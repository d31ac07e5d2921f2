"""The local dimension: bracket it by proofs, then close the gap."""
