"""What a person sees in the terminal: the plan, the stages as they run, the table at the end."""
