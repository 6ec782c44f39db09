CREATE TABLE allocation (
    consumer_id VARCHAR(36) NOT NULL,
    provider_id VARCHAR(36) NOT NULL,
    resource_class VARCHAR(255) NOT NULL,
    used INTEGER NOT NULL,
    CONSTRAINT allocation_pk PRIMARY KEY (consumer_id, provider_id, resource_class),
    CONSTRAINT allocation_consumer_id_fk FOREIGN KEY(consumer_id) REFERENCES consumer (id),
    CONSTRAINT allocation_provider_id_fk FOREIGN KEY(provider_id) REFERENCES provider (id)
);

CREATE INDEX allocation_by_provider ON allocation (provider_id, resource_class, used);

CREATE TABLE change (
    id INTEGER NOT NULL,
    value BIGINT NOT NULL,
    removals BIGINT NOT NULL,
    CONSTRAINT change_pk PRIMARY KEY (id)
);

CREATE TABLE consumer (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    consumer_type VARCHAR(255),
    generation INTEGER NOT NULL,
    CONSTRAINT consumer_pk PRIMARY KEY (id)
);

CREATE INDEX consumer_by_project ON consumer (project_id, user_id);

CREATE TABLE custom_name (
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(255) NOT NULL,
    CONSTRAINT custom_name_pk PRIMARY KEY (kind, name)
);

CREATE TABLE inventory (
    provider_id VARCHAR(36) NOT NULL,
    resource_class VARCHAR(255) NOT NULL,
    total INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    min_unit INTEGER NOT NULL,
    max_unit INTEGER NOT NULL,
    step_size INTEGER NOT NULL,
    allocation_ratio DOUBLE NOT NULL,
    CONSTRAINT inventory_pk PRIMARY KEY (provider_id, resource_class),
    CONSTRAINT inventory_provider_id_fk FOREIGN KEY(provider_id) REFERENCES provider (id)
);

CREATE INDEX inventory_by_class ON inventory (resource_class);

CREATE TABLE provider (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(200) NOT NULL,
    generation INTEGER NOT NULL,
    parent_id VARCHAR(36),
    root_id VARCHAR(36) NOT NULL,
    changed BIGINT NOT NULL,
    updated_at DOUBLE NOT NULL,
    CONSTRAINT provider_pk PRIMARY KEY (id),
    CONSTRAINT provider_name_uq UNIQUE (name),
    CONSTRAINT provider_parent_id_fk FOREIGN KEY(parent_id) REFERENCES provider (id)
);

CREATE INDEX provider_by_change ON provider (changed);

CREATE INDEX provider_by_parent ON provider (parent_id);

CREATE INDEX provider_by_root ON provider (root_id);

CREATE TABLE provider_aggregate (
    provider_id VARCHAR(36) NOT NULL,
    aggregate_id VARCHAR(36) NOT NULL,
    CONSTRAINT provider_aggregate_pk PRIMARY KEY (provider_id, aggregate_id),
    CONSTRAINT provider_aggregate_provider_id_fk FOREIGN KEY(provider_id) REFERENCES provider (id)
);

CREATE TABLE provider_trait (
    provider_id VARCHAR(36) NOT NULL,
    trait VARCHAR(255) NOT NULL,
    CONSTRAINT provider_trait_pk PRIMARY KEY (provider_id, trait),
    CONSTRAINT provider_trait_provider_id_fk FOREIGN KEY(provider_id) REFERENCES provider (id)
);

CREATE INDEX provider_trait_by_trait ON provider_trait (trait);
