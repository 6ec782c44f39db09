"""The tables of identity and the functions that read and write them."""
