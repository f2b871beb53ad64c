"""Where the simulated exchange is put: in memory on virtual time, or on sockets of this machine."""
