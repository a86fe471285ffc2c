"""What the service under test is given: tasks."""
