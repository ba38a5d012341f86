"""`python -m rotomdb` starts the server."""

from rotomdb.server.main import main

if __name__ == "__main__":
    main()
