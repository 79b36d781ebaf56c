"""What is measured on trained networks (section 5), one module for each quantity."""
