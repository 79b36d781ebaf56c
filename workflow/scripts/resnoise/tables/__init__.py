"""The paper's tables and further ones, as CSV and as Markdown to read."""
