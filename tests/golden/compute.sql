CREATE TABLE aggregate (
    number INTEGER NOT NULL,
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    metadata TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT aggregate_pk PRIMARY KEY (number),
    CONSTRAINT aggregate_id_uq UNIQUE (id),
    CONSTRAINT aggregate_name_uq UNIQUE (name)
);

CREATE TABLE aggregate_host (
    aggregate_id VARCHAR(36) NOT NULL,
    host VARCHAR(255) NOT NULL,
    CONSTRAINT aggregate_host_pk PRIMARY KEY (aggregate_id, host)
);

CREATE INDEX aggregate_host_by_host ON aggregate_host (host);

CREATE TABLE console_token (
    digest VARCHAR(64) NOT NULL,
    server_id VARCHAR(36) NOT NULL,
    host VARCHAR(255) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    expires_at DOUBLE NOT NULL,
    CONSTRAINT console_token_pk PRIMARY KEY (digest)
);

CREATE INDEX console_token_by_server ON console_token (server_id);

CREATE INDEX console_token_by_time ON console_token (expires_at);

CREATE TABLE flavor (
    id VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    disk_gb INTEGER NOT NULL,
    ephemeral_gb INTEGER NOT NULL,
    swap_mb INTEGER NOT NULL,
    rxtx_factor DOUBLE NOT NULL,
    is_public BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL,
    description TEXT,
    extra_specs TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT flavor_pk PRIMARY KEY (id),
    CONSTRAINT flavor_name_uq UNIQUE (name)
);

CREATE TABLE flavor_access (
    flavor_id VARCHAR(255) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    CONSTRAINT flavor_access_pk PRIMARY KEY (flavor_id, project_id)
);

CREATE INDEX flavor_access_by_project ON flavor_access (project_id);

CREATE TABLE host (
    name VARCHAR(255) NOT NULL,
    id VARCHAR(36) NOT NULL,
    number INTEGER NOT NULL,
    disabled BOOLEAN NOT NULL,
    disabled_reason VARCHAR(255),
    forced_down BOOLEAN NOT NULL,
    zone VARCHAR(255),
    facts TEXT NOT NULL,
    can TEXT NOT NULL,
    address VARCHAR(64) NOT NULL,
    boot_id VARCHAR(64) NOT NULL,
    seen_at DOUBLE NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL, failed_builds INTEGER,
    CONSTRAINT host_pk PRIMARY KEY (name),
    CONSTRAINT host_id_uq UNIQUE (id)
);

CREATE TABLE keypair (
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    id INTEGER NOT NULL,
    type VARCHAR(8) NOT NULL,
    fingerprint VARCHAR(128) NOT NULL,
    public_key TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT keypair_pk PRIMARY KEY (user_id, name)
);

CREATE TABLE quota (
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    resource VARCHAR(64) NOT NULL,
    hard_limit INTEGER NOT NULL,
    CONSTRAINT quota_pk PRIMARY KEY (project_id, user_id, resource)
);

CREATE TABLE server (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255),
    hostname VARCHAR(255) NOT NULL,
    state VARCHAR(16) NOT NULL,
    power INTEGER NOT NULL,
    flavor_id VARCHAR(255) NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    flavor TEXT NOT NULL,
    image_id VARCHAR(36),
    image TEXT,
    key_name VARCHAR(255),
    "key" TEXT,
    user_data TEXT,
    config_drive BOOLEAN NOT NULL,
    metadata TEXT NOT NULL,
    security_groups TEXT NOT NULL,
    nics TEXT NOT NULL,
    personality TEXT,
    zone VARCHAR(255),
    host VARCHAR(255),
    locked BOOLEAN NOT NULL,
    locked_reason VARCHAR(255),
    access_ip_v4 VARCHAR(39),
    access_ip_v6 VARCHAR(39),
    disk_config VARCHAR(8) NOT NULL,
    reservation_id VARCHAR(16) NOT NULL,
    launch_index INTEGER NOT NULL,
    hints TEXT,
    certificates TEXT,
    fault TEXT,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    launched_at DOUBLE,
    deleted_at DOUBLE,
    alive BOOLEAN,
    generation INTEGER NOT NULL, disk_tags TEXT, root INTEGER, rescue TEXT, moved TEXT, shelved TEXT, group_id VARCHAR(36), place VARCHAR(255),
    CONSTRAINT server_pk PRIMARY KEY (id)
);

CREATE INDEX server_by_age ON server (alive, created_at, id);

CREATE INDEX server_by_change ON server (updated_at);

CREATE INDEX server_by_group ON server (group_id, alive);

CREATE INDEX server_by_host ON server (host, alive);

CREATE INDEX server_by_project ON server (alive, project_id, created_at, id);

CREATE TABLE server_action (
    server_id VARCHAR(36) NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    action VARCHAR(64) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    started_at DOUBLE NOT NULL,
    message TEXT,
    CONSTRAINT server_action_pk PRIMARY KEY (server_id, request_id, action)
);

CREATE INDEX server_action_by_time ON server_action (server_id, started_at);

CREATE TABLE server_group (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    policy VARCHAR(32) NOT NULL,
    rules TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT server_group_pk PRIMARY KEY (id)
);

CREATE INDEX server_group_by_project ON server_group (project_id, created_at, id);

CREATE TABLE server_migration (
    number INTEGER NOT NULL,
    id VARCHAR(36) NOT NULL,
    server_id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    type VARCHAR(16) NOT NULL,
    status VARCHAR(16) NOT NULL,
    source VARCHAR(255) NOT NULL,
    dest VARCHAR(255),
    old_flavor_id VARCHAR(255) NOT NULL,
    new_flavor_id VARCHAR(255) NOT NULL,
    going_on BOOLEAN,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT server_migration_pk PRIMARY KEY (number),
    CONSTRAINT server_migration_id_uq UNIQUE (id),
    CONSTRAINT server_migration_server_id_going_on_uq UNIQUE (server_id, going_on)
);

CREATE INDEX server_migration_by_change ON server_migration (updated_at, number);

CREATE INDEX server_migration_going_on ON server_migration (going_on);

CREATE TABLE server_password (
    server_id VARCHAR(36) NOT NULL,
    password TEXT NOT NULL,
    PRIMARY KEY (server_id)
);

CREATE TABLE server_tag (
    server_id VARCHAR(36) NOT NULL,
    tag VARCHAR(60) NOT NULL,
    CONSTRAINT server_tag_pk PRIMARY KEY (server_id, tag)
);
