"""The small guest image every new cloud has, built out of Debian packages without root.

It boots in a few seconds even where no hardware virtualisation is to be had, and behaves as a cloud image should: DHCP,
metadata from a config drive or from 169.254.169.254, ssh keys, user-data scripts, a serial console with a login, a root
file system that grows to its disk, ACPI shutdown, the QEMU guest agent. Ssh takes keys only.
"""

from pileus.guest_image.assembly import GuestImage, Recipe, build
from pileus.guest_image.programs import BuildFailed, missing_programs

__all__ = ["BuildFailed", "GuestImage", "Recipe", "build", "missing_programs"]
