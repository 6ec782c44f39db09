CREATE TABLE attachment (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    volume_id VARCHAR(36) NOT NULL,
    server_id VARCHAR(64),
    host VARCHAR(255),
    status VARCHAR(16) NOT NULL,
    mode VARCHAR(4),
    mountpoint VARCHAR(255),
    connector TEXT,
    connection TEXT,
    "exclusive" VARCHAR(36),
    attached_at DOUBLE,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT attachment_pk PRIMARY KEY (id),
    CONSTRAINT attachment_volume_id_fk FOREIGN KEY(volume_id) REFERENCES volume (id),
    CONSTRAINT attachment_exclusive_uq UNIQUE ("exclusive"),
    CONSTRAINT attachment_volume_id_server_id_uq UNIQUE (volume_id, server_id)
);

CREATE INDEX attachment_by_project ON attachment (project_id, created_at, id);

CREATE INDEX attachment_by_server ON attachment (server_id);

CREATE TABLE backup (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    status VARCHAR(32) NOT NULL,
    volume_id VARCHAR(36) NOT NULL,
    snapshot_id VARCHAR(36),
    parent_id VARCHAR(36),
    size_gb INTEGER NOT NULL,
    object_count INTEGER NOT NULL,
    container VARCHAR(255),
    zone VARCHAR(255),
    host VARCHAR(255),
    fail_reason TEXT,
    data_at DOUBLE,
    restore_volume_id VARCHAR(36),
    metadata TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL, encryption_key_id VARCHAR(36),
    CONSTRAINT backup_pk PRIMARY KEY (id),
    CONSTRAINT backup_parent_id_fk FOREIGN KEY(parent_id) REFERENCES backup (id)
);

CREATE INDEX backup_by_age ON backup (created_at, id);

CREATE INDEX backup_by_parent ON backup (parent_id);

CREATE INDEX backup_by_project ON backup (project_id, created_at, id);

CREATE INDEX backup_by_volume ON backup (volume_id, created_at);

CREATE TABLE default_type (
    project_id VARCHAR(64) NOT NULL,
    type_id VARCHAR(36) NOT NULL,
    CONSTRAINT default_type_pk PRIMARY KEY (project_id),
    CONSTRAINT default_type_type_id_fk FOREIGN KEY(type_id) REFERENCES volume_type (id)
);

CREATE INDEX default_type_by_type ON default_type (type_id);

CREATE TABLE encryption_key (
    id VARCHAR(36) NOT NULL,
    sealed TEXT NOT NULL,
    CONSTRAINT encryption_key_pk PRIMARY KEY (id)
);

CREATE TABLE group_snapshot (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    status VARCHAR(32) NOT NULL,
    group_id VARCHAR(36) NOT NULL,
    group_type_id VARCHAR(36) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT group_snapshot_pk PRIMARY KEY (id),
    CONSTRAINT group_snapshot_group_id_fk FOREIGN KEY(group_id) REFERENCES volume_group (id)
);

CREATE INDEX group_snapshot_by_group ON group_snapshot (group_id);

CREATE INDEX group_snapshot_by_project ON group_snapshot (project_id, created_at, id);

CREATE TABLE group_type (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255),
    is_public BOOLEAN NOT NULL,
    group_specs TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT group_type_pk PRIMARY KEY (id),
    CONSTRAINT group_type_name_uq UNIQUE (name)
);

CREATE TABLE image_property (
    owner_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT image_property_pk PRIMARY KEY (owner_id, name)
);

CREATE INDEX image_property_by_name ON image_property (name);

CREATE TABLE message (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    resource_type VARCHAR(64) NOT NULL,
    resource_id VARCHAR(36),
    action VARCHAR(8) NOT NULL,
    detail VARCHAR(8) NOT NULL,
    text TEXT,
    created_at DOUBLE NOT NULL,
    CONSTRAINT message_pk PRIMARY KEY (id)
);

CREATE INDEX message_by_age ON message (created_at, id);

CREATE INDEX message_by_project ON message (project_id, created_at, id);

CREATE TABLE property (
    owner_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    CONSTRAINT property_pk PRIMARY KEY (owner_id, name)
);

CREATE INDEX property_by_name ON property (name);

CREATE TABLE qos (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    consumer VARCHAR(16) NOT NULL,
    specs TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT qos_pk PRIMARY KEY (id),
    CONSTRAINT qos_name_uq UNIQUE (name)
);

CREATE TABLE quota (
    project_id VARCHAR(64) NOT NULL,
    resource VARCHAR(255) NOT NULL,
    hard_limit BIGINT NOT NULL,
    CONSTRAINT quota_pk PRIMARY KEY (project_id, resource)
);

CREATE TABLE service (
    id VARCHAR(36) NOT NULL,
    host VARCHAR(255) NOT NULL,
    binary VARCHAR(32) NOT NULL,
    zone VARCHAR(255) NOT NULL,
    disabled BOOLEAN NOT NULL,
    disabled_reason VARCHAR(255),
    frozen BOOLEAN NOT NULL,
    seen_at DOUBLE NOT NULL,
    facts TEXT,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT service_pk PRIMARY KEY (id),
    CONSTRAINT service_host_binary_uq UNIQUE (host, binary)
);

CREATE TABLE snapshot (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    status VARCHAR(32) NOT NULL,
    volume_id VARCHAR(36) NOT NULL,
    size_gb INTEGER NOT NULL,
    progress INTEGER NOT NULL,
    type_id VARCHAR(36) NOT NULL,
    group_snapshot_id VARCHAR(36),
    name_id VARCHAR(255),
    metadata TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT snapshot_pk PRIMARY KEY (id),
    CONSTRAINT snapshot_volume_id_fk FOREIGN KEY(volume_id) REFERENCES volume (id)
);

CREATE INDEX snapshot_by_age ON snapshot (created_at, id);

CREATE INDEX snapshot_by_group_snapshot ON snapshot (group_snapshot_id);

CREATE INDEX snapshot_by_project ON snapshot (project_id, created_at, id);

CREATE INDEX snapshot_by_volume ON snapshot (volume_id, created_at);

CREATE TABLE transfer (
    id VARCHAR(36) NOT NULL,
    volume_id VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    project_id VARCHAR(64) NOT NULL,
    destination_project_id VARCHAR(64),
    salt VARCHAR(32) NOT NULL,
    key_hash VARCHAR(64) NOT NULL,
    no_snapshots BOOLEAN NOT NULL,
    accepted BOOLEAN NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT transfer_pk PRIMARY KEY (id),
    CONSTRAINT transfer_volume_id_fk FOREIGN KEY(volume_id) REFERENCES volume (id) ON DELETE CASCADE
);

CREATE INDEX transfer_by_project ON transfer (project_id, created_at, id);

CREATE INDEX transfer_by_volume ON transfer (volume_id);

CREATE TABLE type_access (
    type_id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    CONSTRAINT type_access_pk PRIMARY KEY (type_id, project_id),
    CONSTRAINT type_access_type_id_fk FOREIGN KEY(type_id) REFERENCES volume_type (id) ON DELETE CASCADE
);

CREATE TABLE volume (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    status VARCHAR(32) NOT NULL,
    previous_status VARCHAR(32),
    migration_status VARCHAR(32),
    size_gb INTEGER NOT NULL,
    type_id VARCHAR(36) NOT NULL,
    zone VARCHAR(255) NOT NULL,
    host VARCHAR(255),
    bootable BOOLEAN NOT NULL,
    read_only BOOLEAN,
    multiattach BOOLEAN NOT NULL,
    encrypted BOOLEAN NOT NULL,
    encryption_key_id VARCHAR(36),
    snapshot_id VARCHAR(36),
    source_volume_id VARCHAR(36),
    group_id VARCHAR(36),
    metadata TEXT NOT NULL,
    image_metadata TEXT,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT volume_pk PRIMARY KEY (id),
    CONSTRAINT volume_group_id_fk FOREIGN KEY(group_id) REFERENCES volume_group (id),
    CONSTRAINT volume_type_id_fk FOREIGN KEY(type_id) REFERENCES volume_type (id)
);

CREATE INDEX volume_by_age ON volume (created_at, id);

CREATE INDEX volume_by_group ON volume (group_id);

CREATE INDEX volume_by_host ON volume (host);

CREATE INDEX volume_by_project ON volume (project_id, created_at, id);

CREATE INDEX volume_by_type ON volume (type_id);

CREATE TABLE volume_group (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    status VARCHAR(32) NOT NULL,
    group_type_id VARCHAR(36) NOT NULL,
    volume_types TEXT NOT NULL,
    zone VARCHAR(255),
    group_snapshot_id VARCHAR(36),
    source_group_id VARCHAR(36),
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT volume_group_pk PRIMARY KEY (id),
    CONSTRAINT volume_group_group_type_id_fk FOREIGN KEY(group_type_id) REFERENCES group_type (id)
);

CREATE INDEX volume_group_by_project ON volume_group (project_id, created_at, id);

CREATE INDEX volume_group_by_type ON volume_group (group_type_id);

CREATE TABLE volume_type (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255),
    is_public BOOLEAN NOT NULL,
    extra_specs TEXT NOT NULL,
    qos_id VARCHAR(36),
    encryption TEXT,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    CONSTRAINT volume_type_pk PRIMARY KEY (id),
    CONSTRAINT volume_type_name_uq UNIQUE (name)
);

CREATE INDEX volume_type_qos_id_ix ON volume_type (qos_id);
