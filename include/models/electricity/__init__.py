"""Electricity: will the price in New South Wales be above the mean of the last 24 hours, in the next half-hour?"""
