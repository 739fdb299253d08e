"""The transparent relay: programs that know nothing of TCP-ENO, encrypted."""
