"""The audit: does any forecast change with its future?"""
