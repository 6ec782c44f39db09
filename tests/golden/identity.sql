CREATE TABLE access_rule (
    id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    service VARCHAR(64) NOT NULL,
    method VARCHAR(16) NOT NULL,
    path VARCHAR(128) NOT NULL,
    CONSTRAINT access_rule_pk PRIMARY KEY (id),
    CONSTRAINT access_rule_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE,
    CONSTRAINT access_rule_user_id_service_method_path_uq UNIQUE (user_id, service, method, path)
);

CREATE TABLE app_credential (
    id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    secret_hash VARCHAR(255) NOT NULL,
    expires_at DOUBLE,
    unrestricted BOOLEAN NOT NULL,
    role_ids TEXT NOT NULL,
    access_rules TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT app_credential_pk PRIMARY KEY (id),
    CONSTRAINT app_credential_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT app_credential_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE,
    CONSTRAINT app_credential_user_id_name_uq UNIQUE (user_id, name)
);

CREATE INDEX app_credential_project_id_ix ON app_credential (project_id);

CREATE TABLE assignment (
    actor_id VARCHAR(64) NOT NULL,
    target_id VARCHAR(64) NOT NULL,
    role_id VARCHAR(64) NOT NULL,
    inherited BOOLEAN NOT NULL,
    user_id VARCHAR(64),
    group_id VARCHAR(64),
    project_id VARCHAR(64),
    CONSTRAINT assignment_pk PRIMARY KEY (actor_id, target_id, role_id, inherited),
    CONSTRAINT assignment_group_id_fk FOREIGN KEY(group_id) REFERENCES user_group (id) ON DELETE CASCADE,
    CONSTRAINT assignment_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT assignment_role_id_fk FOREIGN KEY(role_id) REFERENCES role (id) ON DELETE CASCADE,
    CONSTRAINT assignment_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE INDEX assignment_group_id_ix ON assignment (group_id);

CREATE INDEX assignment_project_id_ix ON assignment (project_id);

CREATE INDEX assignment_role_id_ix ON assignment (role_id);

CREATE INDEX assignment_target_id_ix ON assignment (target_id, actor_id);

CREATE INDEX assignment_user_id_ix ON assignment (user_id);

CREATE TABLE counter (
    name VARCHAR(16) NOT NULL,
    value BIGINT NOT NULL,
    CONSTRAINT counter_pk PRIMARY KEY (name)
);

CREATE TABLE credential (
    id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64),
    type VARCHAR(255) NOT NULL,
    encrypted_blob TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT credential_pk PRIMARY KEY (id),
    CONSTRAINT credential_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE INDEX credential_user_id_ix ON credential (user_id);

CREATE TABLE directory_entry (
    public_id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    kind VARCHAR(8) NOT NULL,
    local_id VARCHAR(255) NOT NULL,
    CONSTRAINT directory_entry_pk PRIMARY KEY (public_id),
    CONSTRAINT directory_entry_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT directory_entry_domain_id_kind_local_id_uq UNIQUE (domain_id, kind, local_id)
);

CREATE TABLE domain_option (
    domain_id VARCHAR(64) NOT NULL,
    section VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL,
    sensitive BOOLEAN NOT NULL,
    CONSTRAINT domain_option_pk PRIMARY KEY (domain_id, section, name),
    CONSTRAINT domain_option_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE
);

CREATE TABLE endpoint (
    id VARCHAR(64) NOT NULL,
    service_id VARCHAR(64) NOT NULL,
    region_id VARCHAR(255),
    interface VARCHAR(8) NOT NULL,
    url TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT endpoint_pk PRIMARY KEY (id),
    CONSTRAINT endpoint_region_id_fk FOREIGN KEY(region_id) REFERENCES region (id),
    CONSTRAINT endpoint_service_id_fk FOREIGN KEY(service_id) REFERENCES service (id) ON DELETE CASCADE
);

CREATE INDEX endpoint_service_id_ix ON endpoint (service_id);

CREATE TABLE endpoint_group (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    filters TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT endpoint_group_pk PRIMARY KEY (id)
);

CREATE TABLE expiring_membership (
    user_id VARCHAR(64) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    idp_id VARCHAR(64) NOT NULL,
    expires_at DOUBLE NOT NULL,
    CONSTRAINT expiring_membership_pk PRIMARY KEY (user_id, group_id),
    CONSTRAINT expiring_membership_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE,
    CONSTRAINT expiring_membership_group_id_fk FOREIGN KEY(group_id) REFERENCES user_group (id) ON DELETE CASCADE,
    CONSTRAINT expiring_membership_idp_id_fk FOREIGN KEY(idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE
);

CREATE INDEX expiring_membership_expires_at_ix ON expiring_membership (expires_at);

CREATE INDEX expiring_membership_group_id_ix ON expiring_membership (group_id);

CREATE INDEX expiring_membership_idp_id_ix ON expiring_membership (idp_id);

CREATE TABLE federated_user (
    user_id VARCHAR(64) NOT NULL,
    idp_id VARCHAR(64) NOT NULL,
    protocol_id VARCHAR(64) NOT NULL,
    unique_id TEXT NOT NULL,
    CONSTRAINT federated_user_pk PRIMARY KEY (user_id, idp_id, protocol_id),
    CONSTRAINT federated_user_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE,
    CONSTRAINT federated_user_idp_id_fk FOREIGN KEY(idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE
);

CREATE INDEX federated_user_idp_id_ix ON federated_user (idp_id);

CREATE TABLE federation_protocol (
    idp_id VARCHAR(64) NOT NULL,
    id VARCHAR(64) NOT NULL,
    mapping_id VARCHAR(64) NOT NULL,
    remote_id_attribute VARCHAR(64),
    generation INTEGER NOT NULL,
    CONSTRAINT federation_protocol_pk PRIMARY KEY (idp_id, id),
    CONSTRAINT federation_protocol_idp_id_fk FOREIGN KEY(idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE,
    CONSTRAINT federation_protocol_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mapping (id)
);

CREATE INDEX federation_protocol_mapping_id_ix ON federation_protocol (mapping_id);

CREATE TABLE former_password (
    user_id VARCHAR(64) NOT NULL,
    generation INTEGER NOT NULL,
    hashed VARCHAR(255) NOT NULL,
    CONSTRAINT former_password_pk PRIMARY KEY (user_id, generation),
    CONSTRAINT former_password_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE TABLE identity_provider (
    id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    enabled BOOLEAN NOT NULL,
    description TEXT,
    authorization_ttl INTEGER,
    generation INTEGER NOT NULL,
    CONSTRAINT identity_provider_pk PRIMARY KEY (id),
    CONSTRAINT identity_provider_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE
);

CREATE INDEX identity_provider_domain_id_ix ON identity_provider (domain_id);

CREATE TABLE idp_remote_id (
    remote_id VARCHAR(255) NOT NULL,
    idp_id VARCHAR(64) NOT NULL,
    CONSTRAINT idp_remote_id_pk PRIMARY KEY (remote_id),
    CONSTRAINT idp_remote_id_idp_id_fk FOREIGN KEY(idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE
);

CREATE INDEX idp_remote_id_idp_id_ix ON idp_remote_id (idp_id);

CREATE TABLE implied_role (
    prior_id VARCHAR(64) NOT NULL,
    implied_id VARCHAR(64) NOT NULL,
    CONSTRAINT implied_role_pk PRIMARY KEY (prior_id, implied_id),
    CONSTRAINT implied_role_implied_id_fk FOREIGN KEY(implied_id) REFERENCES role (id) ON DELETE CASCADE,
    CONSTRAINT implied_role_prior_id_fk FOREIGN KEY(prior_id) REFERENCES role (id) ON DELETE CASCADE
);

CREATE TABLE mapping (
    id VARCHAR(64) NOT NULL,
    rules TEXT NOT NULL,
    schema_version VARCHAR(8) NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT mapping_pk PRIMARY KEY (id)
);

CREATE TABLE membership (
    user_id VARCHAR(64) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    CONSTRAINT membership_pk PRIMARY KEY (user_id, group_id),
    CONSTRAINT membership_group_id_fk FOREIGN KEY(group_id) REFERENCES user_group (id) ON DELETE CASCADE,
    CONSTRAINT membership_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE INDEX membership_group_id_ix ON membership (group_id, user_id);

CREATE TABLE oauth_access_token (
    id VARCHAR(64) NOT NULL,
    consumer_id VARCHAR(64) NOT NULL,
    secret TEXT NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    role_ids TEXT NOT NULL,
    expires_at DOUBLE NOT NULL,
    CONSTRAINT oauth_access_token_pk PRIMARY KEY (id),
    CONSTRAINT oauth_access_token_consumer_id_fk FOREIGN KEY(consumer_id) REFERENCES oauth_consumer (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE INDEX oauth_access_token_consumer_id_ix ON oauth_access_token (consumer_id);

CREATE INDEX oauth_access_token_user_id_ix ON oauth_access_token (user_id);

CREATE TABLE oauth_consumer (
    id VARCHAR(64) NOT NULL,
    description TEXT,
    secret TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT oauth_consumer_pk PRIMARY KEY (id)
);

CREATE TABLE oauth_request_token (
    id VARCHAR(64) NOT NULL,
    consumer_id VARCHAR(64) NOT NULL,
    secret TEXT NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64),
    verifier VARCHAR(64),
    role_ids TEXT NOT NULL,
    expires_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT oauth_request_token_pk PRIMARY KEY (id),
    CONSTRAINT oauth_request_token_consumer_id_fk FOREIGN KEY(consumer_id) REFERENCES oauth_consumer (id) ON DELETE CASCADE,
    CONSTRAINT oauth_request_token_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT oauth_request_token_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE INDEX oauth_request_token_expires_at_ix ON oauth_request_token (expires_at);

CREATE TABLE policy (
    id VARCHAR(64) NOT NULL,
    type VARCHAR(255) NOT NULL,
    blob TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT policy_pk PRIMARY KEY (id)
);

CREATE TABLE policy_association (
    subject VARCHAR(400) NOT NULL,
    policy_id VARCHAR(64) NOT NULL,
    endpoint_id VARCHAR(64),
    service_id VARCHAR(64),
    region_id VARCHAR(255),
    CONSTRAINT policy_association_pk PRIMARY KEY (subject),
    CONSTRAINT policy_association_policy_id_fk FOREIGN KEY(policy_id) REFERENCES policy (id) ON DELETE CASCADE,
    CONSTRAINT policy_association_endpoint_id_fk FOREIGN KEY(endpoint_id) REFERENCES endpoint (id) ON DELETE CASCADE,
    CONSTRAINT policy_association_service_id_fk FOREIGN KEY(service_id) REFERENCES service (id) ON DELETE CASCADE,
    CONSTRAINT policy_association_region_id_fk FOREIGN KEY(region_id) REFERENCES region (id) ON DELETE CASCADE
);

CREATE INDEX policy_association_policy_id_ix ON policy_association (policy_id);

CREATE TABLE project (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64),
    parent_id VARCHAR(64),
    scope VARCHAR(64) NOT NULL,
    path VARCHAR(512) NOT NULL,
    is_domain BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    options TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT project_pk PRIMARY KEY (id),
    CONSTRAINT project_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT project_parent_id_fk FOREIGN KEY(parent_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT project_scope_name_uq UNIQUE (scope, name)
);

CREATE INDEX project_domain_id_ix ON project (domain_id, id);

CREATE INDEX project_parent_id_ix ON project (parent_id, id);

CREATE TABLE project_endpoint (
    project_id VARCHAR(64) NOT NULL,
    endpoint_id VARCHAR(64) NOT NULL,
    CONSTRAINT project_endpoint_pk PRIMARY KEY (project_id, endpoint_id),
    CONSTRAINT project_endpoint_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT project_endpoint_endpoint_id_fk FOREIGN KEY(endpoint_id) REFERENCES endpoint (id) ON DELETE CASCADE
);

CREATE INDEX project_endpoint_endpoint_id_ix ON project_endpoint (endpoint_id);

CREATE TABLE project_endpoint_group (
    project_id VARCHAR(64) NOT NULL,
    endpoint_group_id VARCHAR(64) NOT NULL,
    CONSTRAINT project_endpoint_group_pk PRIMARY KEY (project_id, endpoint_group_id),
    CONSTRAINT project_endpoint_group_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT project_endpoint_group_endpoint_group_id_fk FOREIGN KEY(endpoint_group_id) REFERENCES endpoint_group (id) ON DELETE CASCADE
);

CREATE INDEX project_endpoint_group_endpoint_group_id_ix ON project_endpoint_group (endpoint_group_id);

CREATE TABLE project_limit (
    id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    registered_limit_id VARCHAR(64) NOT NULL,
    resource_limit INTEGER NOT NULL,
    description TEXT,
    generation INTEGER NOT NULL,
    CONSTRAINT project_limit_pk PRIMARY KEY (id),
    CONSTRAINT project_limit_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT project_limit_registered_limit_id_fk FOREIGN KEY(registered_limit_id) REFERENCES registered_limit (id) ON DELETE CASCADE,
    CONSTRAINT project_limit_project_id_registered_limit_id_uq UNIQUE (project_id, registered_limit_id)
);

CREATE TABLE project_tag (
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    CONSTRAINT project_tag_pk PRIMARY KEY (project_id, name),
    CONSTRAINT project_tag_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE
);

CREATE INDEX project_tag_name_ix ON project_tag (name, project_id);

CREATE TABLE region (
    id VARCHAR(255) NOT NULL,
    parent_region_id VARCHAR(255),
    description TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT region_pk PRIMARY KEY (id),
    CONSTRAINT region_parent_region_id_fk FOREIGN KEY(parent_region_id) REFERENCES region (id)
);

CREATE TABLE registered_limit (
    id VARCHAR(64) NOT NULL,
    service_id VARCHAR(64) NOT NULL,
    region_id VARCHAR(255),
    region_key VARCHAR(255) NOT NULL,
    resource_name VARCHAR(255) NOT NULL,
    default_limit INTEGER NOT NULL,
    description TEXT,
    generation INTEGER NOT NULL,
    CONSTRAINT registered_limit_pk PRIMARY KEY (id),
    CONSTRAINT registered_limit_service_id_fk FOREIGN KEY(service_id) REFERENCES service (id) ON DELETE CASCADE,
    CONSTRAINT registered_limit_service_id_region_key_resource_name_uq UNIQUE (service_id, region_key, resource_name)
);

CREATE TABLE revocation (
    subject VARCHAR(128) NOT NULL,
    "before" DOUBLE NOT NULL,
    expires_at DOUBLE NOT NULL,
    seq BIGINT NOT NULL,
    CONSTRAINT revocation_pk PRIMARY KEY (subject)
);

CREATE INDEX revocation_expires_at_ix ON revocation (expires_at);

CREATE INDEX revocation_seq_ix ON revocation (seq);

CREATE TABLE role (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    domain_id VARCHAR(64),
    scope VARCHAR(64) NOT NULL,
    description TEXT,
    options TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT role_pk PRIMARY KEY (id),
    CONSTRAINT role_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT role_scope_name_uq UNIQUE (scope, name)
);

CREATE TABLE service (
    id VARCHAR(64) NOT NULL,
    type VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    enabled BOOLEAN NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT service_pk PRIMARY KEY (id)
);

CREATE TABLE service_provider (
    id VARCHAR(64) NOT NULL,
    auth_url VARCHAR(256) NOT NULL,
    sp_url VARCHAR(256) NOT NULL,
    enabled BOOLEAN NOT NULL,
    description TEXT,
    relay_state_prefix VARCHAR(256) NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT service_provider_pk PRIMARY KEY (id)
);

CREATE TABLE trust (
    id VARCHAR(64) NOT NULL,
    trustor_user_id VARCHAR(64) NOT NULL,
    trustee_user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64),
    impersonation BOOLEAN NOT NULL,
    expires_at DOUBLE,
    deleted_at DOUBLE,
    remaining_uses INTEGER,
    role_ids TEXT NOT NULL,
    generation INTEGER NOT NULL, allow_redelegation BOOLEAN, redelegation_count INTEGER, redelegated_trust_id VARCHAR(64),
    CONSTRAINT trust_pk PRIMARY KEY (id),
    CONSTRAINT trust_project_id_fk FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT trust_trustee_user_id_fk FOREIGN KEY(trustee_user_id) REFERENCES user_account (id) ON DELETE CASCADE,
    CONSTRAINT trust_trustor_user_id_fk FOREIGN KEY(trustor_user_id) REFERENCES user_account (id) ON DELETE CASCADE
);

CREATE INDEX trust_trustee_user_id_ix ON trust (trustee_user_id);

CREATE INDEX trust_trustor_user_id_ix ON trust (trustor_user_id);

CREATE TABLE used_once (
    digest VARCHAR(64) NOT NULL,
    expires_at DOUBLE NOT NULL,
    CONSTRAINT used_once_pk PRIMARY KEY (digest)
);

CREATE INDEX used_once_expires_at_ix ON used_once (expires_at);

CREATE TABLE user_account (
    id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    enabled BOOLEAN NOT NULL,
    default_project_id VARCHAR(64),
    password_hash VARCHAR(255),
    password_changed_at DOUBLE,
    options TEXT NOT NULL,
    extra TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL, password_expires_at DOUBLE,
    CONSTRAINT user_account_pk PRIMARY KEY (id),
    CONSTRAINT user_account_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT user_account_domain_id_name_uq UNIQUE (domain_id, name)
);

CREATE INDEX user_account_name_ix ON user_account (name);

CREATE TABLE user_group (
    id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    description TEXT NOT NULL,
    extra TEXT NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT user_group_pk PRIMARY KEY (id),
    CONSTRAINT user_group_domain_id_fk FOREIGN KEY(domain_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT user_group_domain_id_name_uq UNIQUE (domain_id, name)
);

CREATE TABLE user_login (
    user_id VARCHAR(64) NOT NULL,
    failures INTEGER NOT NULL,
    failed_at DOUBLE NOT NULL,
    succeeded_at DOUBLE NOT NULL,
    CONSTRAINT user_login_pk PRIMARY KEY (user_id),
    CONSTRAINT user_login_user_id_fk FOREIGN KEY(user_id) REFERENCES user_account (id) ON DELETE CASCADE
);
