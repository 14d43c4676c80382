"""gRPC over HTTP/2 without sockets: bytes in, calls out; replies in, bytes out."""
