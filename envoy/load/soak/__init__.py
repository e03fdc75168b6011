"""Some million requests through circuits that open and close all the while: what grows, what is lost, what is stuck?"""
