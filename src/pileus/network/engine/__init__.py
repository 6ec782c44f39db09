"""Network engines: resolved records in, real packets out, status back."""
