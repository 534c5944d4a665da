"""FIX logs, without I/O: bytes to messages (`wire`), to what they say (`reports`), to rows (`book`)."""
