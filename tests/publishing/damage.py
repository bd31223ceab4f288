"""Dataset folders that are wrong, though every hash and size in their manifests is right."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from zoobench.files import sha256_of

SPLITS = ("train", "validation", "test")


def edit_manifest(folder, change):
    """``change`` takes the manifest as plain JSON and edits it in place."""
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def rehash(folder):
    """Give every listed file the size and hash that it has now."""

    def change(content):
        for config in content["configs"].values():
            for entry in config["files"]:
                path = folder / entry["path"]
                entry["sha256"], entry["size"] = sha256_of(path), path.stat().st_size

    edit_manifest(folder, change)


def rows_of(folder, split, config="seed"):
    return pq.read_table(folder / config / f"{split}-00000-of-00001.parquet")


def write_rows(folder, split, table, config="seed"):
    """Rows and labels of a split; the manifest's hashes are not changed."""
    pq.write_table(table, folder / config / f"{split}-00000-of-00001.parquet")
    pq.write_table(table.drop_columns("weights"), folder / "labels" / config / f"{split}.parquet")


def rewrite(folder, split, change, config="seed"):
    """Change the rows of a split, labels and manifest included, as an author of a wrong zoo would."""
    write_rows(folder, split, change(rows_of(folder, split, config)), config)
    rehash(folder)


def replace(table, column, values):
    position = table.schema.names.index(column)
    field = table.schema.field(column)
    return table.set_column(position, field, pa.array(values, field.type))


def with_weights(table, weights):
    """The same rows with other weights, float32 (rows, N)."""
    field = table.schema.field("weights")
    values = pa.FixedSizeListArray.from_arrays(pa.array(weights.reshape(-1)), type=field.type)
    return table.set_column(table.schema.names.index("weights"), field, values)
