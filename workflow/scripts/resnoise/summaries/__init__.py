"""Numbers over runs: what tables and figures are made from. No text and no pictures here."""
