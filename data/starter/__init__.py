"""The starter corpus and the starter that was made from it; ``README.md`` says what each file holds."""
