"""Tables in the Glue catalog, against AWS's own model of its calls."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from recstack_feast import athena
from recstack_feast.definitions import Athena, Definitions, read
from recstack_feast.errors import BadInput
from stackfiles import StackFiles

SHOP = Athena(database="shop", data_source="AwsDataCatalog", region="eu-central-1")


@pytest.fixture
def definitions(stack: StackFiles) -> Definitions:
    stack.render("v1", {"user_features": ["taste", "age"], "item_features": []})
    stack.write("user_features", "v1", datetime.now(UTC), person=[1], taste=["a"], age=[1.5])
    found = read(stack.repository)
    view = found.views[0].model_copy(update={"table": "recstack_shop_retail_user_features"})
    return found.model_copy(update={"views": [view], "athena": SHOP})


@pytest.fixture
def glue() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client(
        "glue", region_name="eu-central-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def test_a_table_is_made_where_there_is_none(definitions: Definitions, glue: tuple[Any, Stubber]) -> None:
    client, stub = glue
    stub.add_client_error("update_table", "EntityNotFoundException")
    wanted = {
        "Name": "recstack_shop_retail_user_features",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": ANY,
        "StorageDescriptor": {
            "Columns": [
                {"Name": "person", "Type": "bigint"},
                {"Name": "taste", "Type": "string"},
                {"Name": "age", "Type": "double"},
                {"Name": "event_timestamp", "Type": "timestamp"},
                {"Name": "created", "Type": "timestamp"},
            ],
            "Location": f"{definitions.offline}/user_features/",
            "InputFormat": ANY,
            "OutputFormat": ANY,
            "SerdeInfo": ANY,
        },
    }
    stub.add_response("create_table", {}, {"DatabaseName": "shop", "TableInput": wanted})
    athena.apply(definitions, SHOP, client)


def test_one_that_is_there_gets_the_columns(definitions: Definitions, glue: tuple[Any, Stubber]) -> None:
    client, stub = glue
    stub.add_response("update_table", {}, {"DatabaseName": "shop", "TableInput": ANY})
    athena.apply(definitions, SHOP, client)


def test_no_database(definitions: Definitions, glue: tuple[Any, Stubber]) -> None:
    client, stub = glue
    stub.add_client_error("update_table", "EntityNotFoundException")
    stub.add_client_error("create_table", "EntityNotFoundException")
    with pytest.raises(BadInput, match="no database shop"):
        athena.apply(definitions, SHOP, client)


def test_tables_go(definitions: Definitions, glue: tuple[Any, Stubber]) -> None:
    client, stub = glue
    name = {"DatabaseName": "shop", "Name": "recstack_shop_retail_user_features"}
    stub.add_response("delete_table", {}, name)
    athena.delete(definitions, SHOP, client)
    stub.add_client_error("delete_table", "EntityNotFoundException")
    athena.delete(definitions, SHOP, client)


def test_another_catalogs_tables_are_its_owners(definitions: Definitions, glue: tuple[Any, Stubber]) -> None:
    other = SHOP.model_copy(update={"data_source": "elsewhere"})
    athena.apply(definitions, other, glue[0])
    athena.delete(definitions, other, glue[0])
