"""What people read and look at: plain fields in, text and pictures out. Never imports an answer class."""
