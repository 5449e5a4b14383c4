"""The word lists shipped with the project, in the file format of SentiStrength's folder."""
