"""Users and groups that come from the LDAP servers of domains."""
