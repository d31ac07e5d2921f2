"""``python -m exactdim``: the same as the ``exactdim`` command."""

from exactdim.cli import main

main()
