"""To whom: the policies that send a request to a replica. No clock and no I/O: simulator and gateway run this code."""
