"""The paper's tables and further ones. Each is made as CSV and as Markdown to read."""
