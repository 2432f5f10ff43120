"""`python -m slm_atlas` is `slm`."""

from slm_atlas.cli.main import main

main()
