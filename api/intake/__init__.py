"""What is looked at before a stranger's files are registered: their content, never their names."""
