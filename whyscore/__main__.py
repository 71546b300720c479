"""``python -m whyscore``."""

from whyscore.cli import main

main()
