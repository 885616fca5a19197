"""`python -m SynthSegPlusLib` is the command line."""

import sys

from SynthSegPlusLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
