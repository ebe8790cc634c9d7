"""An offline store of Feast over Parquet files whose columns come and go.

Feast's own file store reads a folder with Dask and fails when a file lacks a column. Point-in-time joins
(``get_historical_features``) stay Dask's.
"""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from recstack_feast import files

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ParquetOfflineStoreConfig(DaskOfflineStoreConfig):  # type: ignore[misc]
    """No settings; named by its class in feature_store.yaml."""

    type: str = "recstack_feast.offline.ParquetOfflineStore"


class Rows(RetrievalJob):  # type: ignore[misc]
    """Rows that are there already."""

    def __init__(self, table: pa.Table) -> None:
        # Feast takes the first chunk for the whole.
        self._table = table.combine_chunks()

    @property
    def full_feature_names(self) -> bool:
        """Columns bear no view's name."""
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """None."""
        return None

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Refused: these rows lie in files already."""
        raise NotImplementedError("the rows are in the offline store already")


class ParquetOfflineStore(DaskOfflineStore):  # type: ignore[misc]
    """Reads what materialization needs by itself."""

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0917  Feast's own signature
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """The newest row of each entity between the dates."""
        table = _rows(
            data_source,
            join_key_columns + feature_name_columns,
            timestamp_field,
            created_timestamp_column,
            (start_date, end_date),
        )
        order = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        return Rows(files.latest(table, join_key_columns, order))

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0917  Feast's own signature
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows between the dates."""
        table = _rows(
            data_source,
            join_key_columns + feature_name_columns,
            timestamp_field,
            created_timestamp_column,
            (start_date, end_date),
        )
        return Rows(table)


def _rows(
    source: DataSource,
    columns: list[str],
    timestamp: str,
    created: str | None,
    between: tuple[datetime | None, datetime | None],
) -> pa.Table:
    assert isinstance(source, FileSource)
    moment = pa.timestamp("us", tz="UTC")
    # The source carries its types: which file was written first must not decide them.
    types = {name: pa.type_for_alias(alias) for name, alias in source.tags.items()}
    wanted = pa.schema(
        [(name, types[name]) for name in dict.fromkeys(columns)]
        + [(name, moment) for name in (timestamp, created) if name]
    )
    endpoint = source.file_options.s3_endpoint_override or None
    start, end = between
    return files.read(source.path, endpoint, wanted, timestamp, (start or EPOCH, end or datetime.now(UTC)))
