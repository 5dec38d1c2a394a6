"""Messages about incidents: what they say, where they are sent, and that each is sent."""
