"""A large file from one device to another by way of a hub: memory of each process, bytes on the wire, and cuts."""
