"""Write the stand-in weight files into a folder."""

import sys
from pathlib import Path

from Testing.standin import write_standin

print(write_standin(Path(sys.argv[1])))
