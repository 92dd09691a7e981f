"""The vocabulary: frozen types that every other room speaks in. No I/O lives here."""
