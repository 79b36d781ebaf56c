"""What is measured on trained networks (section 5), one quantity a module."""
