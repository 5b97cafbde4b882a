"""Pictures, printed tables and sentences. Nothing is computed here."""
