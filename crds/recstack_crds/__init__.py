"""The API of recstack: pydantic models that are the only source of the CRDs."""
