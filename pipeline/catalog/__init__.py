"""The catalog: what is where and how far it is, as rows. Rebuilt from the object store if lost."""

from pipeline.catalog.catalog import Catalog, open_catalog

__all__ = ["Catalog", "open_catalog"]
