"""Bike demand: how many bikes will be rented in an hour, from the calendar and the weather?"""
