"""What a notebook remembers: conversations, messages and their vectors, and how they are found again."""
