"""Who may do what. Everybody sees; whoever may operate can start work too."""


def may_operate() -> bool:
    """Return whether this visitor may start work and change what the workspace holds."""
    return True
