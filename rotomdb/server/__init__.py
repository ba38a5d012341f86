"""Who is connected, and what runs when: reactor, clients, configuration and the life of a server."""
