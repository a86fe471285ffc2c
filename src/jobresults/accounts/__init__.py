"""Who may call: API keys and what each may do."""
