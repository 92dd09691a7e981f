"""Any result as text: terminal, Markdown, CSV, JUnit. Words and layout only: nothing is judged or computed here."""
