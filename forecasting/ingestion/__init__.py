"""Where prices come from, and how they are judged before they are stored."""
