"""The tables of compute."""

import sqlalchemy as sa

from pileus.kit import db

metadata = db.metadata()

servers = sa.Table(
    "server", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.String(255)),
    sa.Column("hostname", sa.String(255), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("power", sa.Integer, nullable=False),              # 0 none, 1 running, 4 shut down
    sa.Column("flavor_id", sa.String(255), nullable=False),
    sa.Column("vcpus", sa.Integer, nullable=False),              # of the flavor, for quotas
    sa.Column("memory_mb", sa.Integer, nullable=False),
    sa.Column("flavor", db.Json, nullable=False),                # as it was at boot
    sa.Column("image_id", sa.String(36)),
    sa.Column("image", db.Json),                                 # what booting needs to know of it
    sa.Column("key_name", sa.String(255)),
    sa.Column("key", db.Json),                                   # {type, public_key}
    sa.Column("user_data", db.LongText),                         # base64
    sa.Column("config_drive", sa.Boolean, nullable=False),
    sa.Column("metadata", db.Json, nullable=False),
    sa.Column("security_groups", db.Json, nullable=False),       # names asked for
    sa.Column("nics", db.Json, nullable=False),                  # ports with addresses, as last heard of the network
    sa.Column("personality", db.Json),
    sa.Column("zone", sa.String(255)),                           # asked for
    sa.Column("host", sa.String(255)),
    sa.Column("locked", sa.Boolean, nullable=False),
    sa.Column("locked_reason", sa.String(255)),
    sa.Column("access_ip_v4", sa.String(39)),
    sa.Column("access_ip_v6", sa.String(39)),
    sa.Column("disk_config", sa.String(8), nullable=False),
    sa.Column("reservation_id", sa.String(16), nullable=False),
    sa.Column("launch_index", sa.Integer, nullable=False),
    sa.Column("hints", db.Json),
    sa.Column("certificates", db.Json),
    sa.Column("fault", db.Json),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("launched_at", sa.Double),
    sa.Column("deleted_at", sa.Double),
    sa.Column("disk_tags", db.Json),                             # by the disk's name in the guest: root, swap0 …
    sa.Column("root", sa.Integer),                               # which root disk it has; NULL: the first
    sa.Column("rescue", db.Json),                                # the image it runs from while it is rescued
    sa.Column("moved", db.Json),                                 # what an unconfirmed resize can be taken back to
    sa.Column("shelved", db.Json),
    sa.Column("group_id", sa.String(36)),
    sa.Column("place", sa.String(255)),                          # host it has been promised to, for its group
    sa.Column("alive", sa.Boolean),                              # NULL once deleted: keeps the index small
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Index("server_by_project", "alive", "project_id", "created_at", "id"),
    sa.Index("server_by_age", "alive", "created_at", "id"),
    sa.Index("server_by_host", "host", "alive"),
    sa.Index("server_by_change", "updated_at"),
    sa.Index("server_by_group", "group_id", "alive"),
)

tags = sa.Table(
    "server_tag", metadata,
    sa.Column("server_id", sa.String(36), primary_key=True),
    sa.Column("tag", sa.String(60), primary_key=True),
)

passwords = sa.Table(
    "server_password", metadata,
    sa.Column("server_id", sa.String(36), primary_key=True),
    sa.Column("password", sa.Text, nullable=False),              # as the guest encrypted it
)

actions = sa.Table(
    "server_action", metadata,
    sa.Column("server_id", sa.String(36), primary_key=True),
    sa.Column("request_id", sa.String(64), primary_key=True),
    sa.Column("action", sa.String(64), primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("message", db.LongText),
    sa.Index("server_action_by_time", "server_id", "started_at"),
)

flavors = sa.Table(
    "flavor", metadata,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("memory_mb", sa.Integer, nullable=False),
    sa.Column("disk_gb", sa.Integer, nullable=False),
    sa.Column("ephemeral_gb", sa.Integer, nullable=False),
    sa.Column("swap_mb", sa.Integer, nullable=False),
    sa.Column("rxtx_factor", sa.Double, nullable=False),
    sa.Column("is_public", sa.Boolean, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("description", db.LongText),
    sa.Column("extra_specs", db.Json, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
)

flavor_access = sa.Table(
    "flavor_access", metadata,
    sa.Column("flavor_id", sa.String(255), primary_key=True),
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Index("flavor_access_by_project", "project_id"),
)

keypairs = sa.Table(
    "keypair", metadata,
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("id", sa.Integer, nullable=False),                 # what the API tells; random, small, positive
    sa.Column("type", sa.String(8), nullable=False),
    sa.Column("fingerprint", sa.String(128), nullable=False),
    sa.Column("public_key", db.LongText, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

hosts = sa.Table(
    "host", metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),         # also of its provider in placement
    sa.Column("number", sa.Integer, nullable=False),                     # the ids of before microversion 2.53
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("disabled_reason", sa.String(255)),
    sa.Column("forced_down", sa.Boolean, nullable=False),
    sa.Column("zone", sa.String(255)),
    sa.Column("facts", db.Json, nullable=False),                         # drivers.base.HostFacts
    sa.Column("can", db.Json, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("boot_id", sa.String(64), nullable=False),                 # a new one: all that ran is gone
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("failed_builds", sa.Integer),                              # since the last one that succeeded
    sa.Column("generation", sa.Integer, nullable=False),
)

quotas = sa.Table(
    "quota", metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(64), primary_key=True),               # empty: of the project
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("hard_limit", sa.Integer, nullable=False),
)

# A move of a server from host to host, or from flavor to flavor; kept when it is over.
migrations = sa.Table(
    "server_migration", metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),         # also of its claim in placement
    sa.Column("server_id", sa.String(36), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("type", sa.String(16), nullable=False),                    # resize, migration
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("source", sa.String(255), nullable=False),
    sa.Column("dest", sa.String(255)),
    sa.Column("old_flavor_id", sa.String(255), nullable=False),
    sa.Column("new_flavor_id", sa.String(255), nullable=False),
    sa.Column("going_on", sa.Boolean),                                   # NULL when it is over
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.UniqueConstraint("server_id", "going_on"),                        # one at a time
    sa.Index("server_migration_going_on", "going_on"),
    sa.Index("server_migration_by_change", "updated_at", "number"),
)

groups = sa.Table(
    "server_group", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("policy", sa.String(32), nullable=False),
    sa.Column("rules", db.Json, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Index("server_group_by_project", "project_id", "created_at", "id"),
)

aggregates = sa.Table(
    "aggregate", metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("metadata", db.Json, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double),
    sa.Column("generation", sa.Integer, nullable=False),
)

aggregate_hosts = sa.Table(
    "aggregate_host", metadata,
    sa.Column("aggregate_id", sa.String(36), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Index("aggregate_host_by_host", "host"),
)

# A token opens one console once, until it is used or its time has come.
console_tokens = sa.Table(
    "console_token", metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("server_id", sa.String(36), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),                    # vnc, serial
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Index("console_token_by_server", "server_id"),
    sa.Index("console_token_by_time", "expires_at"),
)
