"""What every analyzer call costs."""
