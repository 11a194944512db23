"""What a run found, as HTML, JUnit, JSON and Markdown. Nothing is measured here."""
