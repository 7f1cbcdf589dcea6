"""Work beside the event loop: threads, admission, and a mailbox for the newest item."""
