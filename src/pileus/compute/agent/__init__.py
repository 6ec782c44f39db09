"""What runs on hypervisor hosts."""
