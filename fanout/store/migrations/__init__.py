"""The store's schema, version by version. A migration adds and moves; it never loses a row."""
