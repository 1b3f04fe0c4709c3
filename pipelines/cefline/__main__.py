"""`python -m cefline`."""

from cefline.cli import main

main()
