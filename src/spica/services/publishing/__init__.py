"""What a release is made of, how far it is, and how it is closed: compared, ranked, published, removed."""
