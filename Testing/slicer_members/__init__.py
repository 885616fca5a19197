"""Which members of Qt, CTK and Slicer's Qt classes the panel uses, and where their headers declare them.

The test host cannot prove that a member exists in Slicer: its widgets are stand-ins. `usage` finds every member that
the code and the `.ui` files use; `extract` looks each up in the headers and writes `members.json`; a test fails when
the code uses a member that is not in it.
"""
