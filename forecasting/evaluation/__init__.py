"""Is it better than doing nothing, and is that luck?"""
