CREATE TABLE image (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    owner VARCHAR(255),
    status VARCHAR(16) NOT NULL,
    visibility VARCHAR(16) NOT NULL,
    disk_format VARCHAR(20),
    container_format VARCHAR(20),
    size BIGINT,
    virtual_size BIGINT,
    checksum VARCHAR(32),
    os_hash_algo VARCHAR(16),
    os_hash_value VARCHAR(128),
    min_disk INTEGER NOT NULL,
    min_ram INTEGER NOT NULL,
    protected BOOLEAN NOT NULL,
    os_hidden BOOLEAN NOT NULL,
    store VARCHAR(64),
    data_id VARCHAR(36),
    busy_until DOUBLE NOT NULL,
    tags TEXT NOT NULL,
    properties TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL, stores TEXT, importing_to TEXT, failed_import TEXT, made_id VARCHAR(36), locations TEXT,
    CONSTRAINT image_pk PRIMARY KEY (id)
);

CREATE INDEX image_by_age ON image (created_at, id);

CREATE INDEX image_by_owner ON image (owner, created_at, id);

CREATE INDEX image_by_status ON image (status, busy_until);

CREATE INDEX image_by_visibility ON image (visibility, created_at, id);

CREATE TABLE image_cached (
    image_id VARCHAR(36) NOT NULL,
    status VARCHAR(8) NOT NULL,
    hits BIGINT NOT NULL,
    size BIGINT NOT NULL,
    accessed_at DOUBLE NOT NULL,
    changed_at DOUBLE NOT NULL,
    CONSTRAINT image_cached_pk PRIMARY KEY (image_id),
    CONSTRAINT image_cached_image_id_fk FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);

CREATE INDEX image_cached_by_access ON image_cached (status, accessed_at);

CREATE TABLE image_member (
    image_id VARCHAR(36) NOT NULL,
    member_id VARCHAR(255) NOT NULL,
    status VARCHAR(16) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    CONSTRAINT image_member_pk PRIMARY KEY (image_id, member_id),
    CONSTRAINT image_member_image_id_fk FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);

CREATE INDEX image_member_by_member ON image_member (member_id, status);

CREATE TABLE image_property (
    image_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT image_property_pk PRIMARY KEY (image_id, name),
    CONSTRAINT image_property_image_id_fk FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);

CREATE INDEX image_property_by_name ON image_property (name);

CREATE TABLE image_tag (
    image_id VARCHAR(36) NOT NULL,
    tag VARCHAR(255) NOT NULL,
    CONSTRAINT image_tag_pk PRIMARY KEY (image_id, tag),
    CONSTRAINT image_tag_image_id_fk FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);

CREATE INDEX image_tag_by_tag ON image_tag (tag);

CREATE TABLE image_task (
    id VARCHAR(36) NOT NULL,
    type VARCHAR(32) NOT NULL,
    status VARCHAR(16) NOT NULL,
    owner VARCHAR(255),
    user_id VARCHAR(255),
    request_id VARCHAR(64) NOT NULL,
    image_id VARCHAR(36) NOT NULL,
    input TEXT NOT NULL,
    result TEXT,
    message TEXT,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT image_task_pk PRIMARY KEY (id)
);

CREATE INDEX image_task_by_age ON image_task (created_at, id);

CREATE INDEX image_task_by_image ON image_task (image_id, created_at);

CREATE TABLE metadef_association (
    namespace_id VARCHAR(36) NOT NULL,
    resource_type VARCHAR(80) NOT NULL,
    prefix VARCHAR(80),
    properties_target VARCHAR(80),
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    CONSTRAINT metadef_association_pk PRIMARY KEY (namespace_id, resource_type),
    CONSTRAINT metadef_association_namespace_id_fk FOREIGN KEY(namespace_id) REFERENCES metadef_namespace (id) ON DELETE CASCADE,
    CONSTRAINT metadef_association_resource_type_fk FOREIGN KEY(resource_type) REFERENCES metadef_resource_type (name)
);

CREATE INDEX metadef_association_by_type ON metadef_association (resource_type);

CREATE TABLE metadef_entry (
    id VARCHAR(36) NOT NULL,
    namespace_id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(80) NOT NULL,
    content TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT metadef_entry_pk PRIMARY KEY (id),
    CONSTRAINT metadef_entry_namespace_id_kind_name_uq UNIQUE (namespace_id, kind, name),
    CONSTRAINT metadef_entry_namespace_id_fk FOREIGN KEY(namespace_id) REFERENCES metadef_namespace (id) ON DELETE CASCADE
);

CREATE INDEX metadef_entry_by_age ON metadef_entry (namespace_id, kind, created_at, name);

CREATE TABLE metadef_namespace (
    id VARCHAR(36) NOT NULL,
    namespace VARCHAR(80) NOT NULL,
    display_name VARCHAR(80),
    description VARCHAR(500),
    visibility VARCHAR(16) NOT NULL,
    protected BOOLEAN NOT NULL,
    owner VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT metadef_namespace_pk PRIMARY KEY (id),
    CONSTRAINT metadef_namespace_namespace_uq UNIQUE (namespace)
);

CREATE INDEX metadef_namespace_by_age ON metadef_namespace (created_at, namespace);

CREATE TABLE metadef_resource_type (
    name VARCHAR(80) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    CONSTRAINT metadef_resource_type_pk PRIMARY KEY (name)
);
