"""Where the bytes of images are kept."""
