"""Many prompts at once: priced before they are asked, asked side by side, kept so that nothing is paid for twice."""
