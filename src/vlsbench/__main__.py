"""`python -m vlsbench` is the command `vlsbench`."""

from vlsbench.cli import main

main()
