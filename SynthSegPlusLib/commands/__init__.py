"""The subcommands of `synthsegplus`, one module each, imported only when chosen."""
