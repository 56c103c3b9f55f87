"""CSV files for people and programs, each under a published schema. `data/README.md` has columns and rules."""
