"""The hypervisors compute can drive, behind one interface: see base."""
