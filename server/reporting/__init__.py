"""Reports of placements: as a message on the wire, and as text for a person."""
