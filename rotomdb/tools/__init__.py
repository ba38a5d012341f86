"""What the operator types: click commands with rich output. Nothing here is imported by the server."""
