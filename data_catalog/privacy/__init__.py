"""Removal of an ad or an author on request, and the places where their ids are found."""
