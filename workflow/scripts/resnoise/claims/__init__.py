"""The paper's claims: what config/paper.yaml says of them, measured and judged."""
