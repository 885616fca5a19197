"""`python -m Testing.host [scan] [--screenshot picture.png]`: the module for a person, or a picture of it."""

from Testing.host.command import main

raise SystemExit(main())
