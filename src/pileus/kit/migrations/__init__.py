"""Tables the kit keeps in every service's database."""
