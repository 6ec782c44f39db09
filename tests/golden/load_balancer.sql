CREATE TABLE availability_zone (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    enabled BOOLEAN NOT NULL,
    availability_zone_profile_id VARCHAR(36) NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT availability_zone_pk PRIMARY KEY (id),
    CONSTRAINT availability_zone_profile_fk FOREIGN KEY(availability_zone_profile_id) REFERENCES availability_zone_profile (id),
    CONSTRAINT availability_zone_name_uq UNIQUE (name)
);

CREATE TABLE availability_zone_profile (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    provider_name VARCHAR(64) NOT NULL,
    availability_zone_data TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT availability_zone_profile_pk PRIMARY KEY (id)
);

CREATE INDEX availability_zone_profile_by_age ON availability_zone_profile (created_at, id);

CREATE TABLE flavor (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    enabled BOOLEAN NOT NULL,
    flavor_profile_id VARCHAR(36) NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT flavor_pk PRIMARY KEY (id),
    CONSTRAINT flavor_flavor_profile_id_fk FOREIGN KEY(flavor_profile_id) REFERENCES flavor_profile (id),
    CONSTRAINT flavor_name_uq UNIQUE (name)
);

CREATE TABLE flavor_profile (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    provider_name VARCHAR(64) NOT NULL,
    flavor_data TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT flavor_profile_pk PRIMARY KEY (id)
);

CREATE INDEX flavor_profile_by_age ON flavor_profile (created_at, id);

CREATE TABLE health_monitor (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    pool_id VARCHAR(36) NOT NULL,
    type VARCHAR(16) NOT NULL,
    delay INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    max_retries INTEGER NOT NULL,
    max_retries_down INTEGER NOT NULL,
    http_method VARCHAR(16),
    url_path VARCHAR(255),
    expected_codes VARCHAR(64),
    http_version VARCHAR(8),
    domain_name VARCHAR(255),
    CONSTRAINT health_monitor_pk PRIMARY KEY (id),
    CONSTRAINT health_monitor_pool_id_fk FOREIGN KEY(pool_id) REFERENCES pool (id),
    CONSTRAINT health_monitor_pool_id_uq UNIQUE (pool_id)
);

CREATE INDEX health_monitor_by_project ON health_monitor (project_id, created_at, id);

CREATE TABLE host (
    id VARCHAR(255) NOT NULL,
    seen_at DOUBLE NOT NULL,
    unable TEXT,
    CONSTRAINT host_pk PRIMARY KEY (id)
);

CREATE TABLE l7policy (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    listener_id VARCHAR(36) NOT NULL,
    action VARCHAR(32) NOT NULL,
    redirect_pool_id VARCHAR(36),
    redirect_url VARCHAR(255),
    redirect_prefix VARCHAR(255),
    redirect_http_code INTEGER,
    position INTEGER NOT NULL,
    CONSTRAINT l7policy_pk PRIMARY KEY (id),
    CONSTRAINT l7policy_listener_id_fk FOREIGN KEY(listener_id) REFERENCES listener (id),
    CONSTRAINT l7policy_redirect_pool_id_fk FOREIGN KEY(redirect_pool_id) REFERENCES pool (id)
);

CREATE INDEX l7policy_by_listener ON l7policy (listener_id, position);

CREATE INDEX l7policy_by_pool ON l7policy (redirect_pool_id);

CREATE INDEX l7policy_by_project ON l7policy (project_id, created_at, id);

CREATE TABLE l7rule (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    l7policy_id VARCHAR(36) NOT NULL,
    type VARCHAR(32) NOT NULL,
    compare_type VARCHAR(16) NOT NULL,
    "key" VARCHAR(255),
    value VARCHAR(255) NOT NULL,
    invert BOOLEAN NOT NULL,
    CONSTRAINT l7rule_pk PRIMARY KEY (id),
    CONSTRAINT l7rule_l7policy_id_fk FOREIGN KEY(l7policy_id) REFERENCES l7policy (id)
);

CREATE INDEX l7rule_by_policy ON l7rule (l7policy_id, created_at);

CREATE TABLE leg (
    id VARCHAR(36) NOT NULL,
    load_balancer_id VARCHAR(36) NOT NULL,
    network_id VARCHAR(36) NOT NULL,
    subnet_id VARCHAR(36) NOT NULL,
    CONSTRAINT leg_pk PRIMARY KEY (id),
    CONSTRAINT leg_load_balancer_id_fk FOREIGN KEY(load_balancer_id) REFERENCES load_balancer (id),
    CONSTRAINT leg_load_balancer_id_network_id_uq UNIQUE (load_balancer_id, network_id)
);

CREATE TABLE listener (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    load_balancer_id VARCHAR(36) NOT NULL,
    protocol VARCHAR(32) NOT NULL,
    protocol_port INTEGER NOT NULL,
    transport VARCHAR(8) NOT NULL,
    connection_limit INTEGER NOT NULL,
    default_pool_id VARCHAR(36),
    insert_headers TEXT NOT NULL,
    timeout_client_data INTEGER NOT NULL,
    timeout_member_connect INTEGER NOT NULL,
    timeout_member_data INTEGER NOT NULL,
    timeout_tcp_inspect INTEGER NOT NULL,
    allowed_cidrs TEXT,
    default_tls_container_ref VARCHAR(255),
    sni_container_refs TEXT NOT NULL,
    client_ca_tls_container_ref VARCHAR(255),
    client_crl_container_ref VARCHAR(255),
    client_authentication VARCHAR(16) NOT NULL,
    tls_ciphers TEXT,
    tls_versions TEXT NOT NULL,
    alpn_protocols TEXT NOT NULL,
    hsts_max_age INTEGER,
    hsts_include_subdomains BOOLEAN NOT NULL,
    hsts_preload BOOLEAN NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    active_connections BIGINT NOT NULL,
    total_connections BIGINT NOT NULL,
    request_errors BIGINT NOT NULL,
    CONSTRAINT listener_pk PRIMARY KEY (id),
    CONSTRAINT listener_default_pool_id_fk FOREIGN KEY(default_pool_id) REFERENCES pool (id),
    CONSTRAINT listener_load_balancer_id_fk FOREIGN KEY(load_balancer_id) REFERENCES load_balancer (id),
    CONSTRAINT listener_load_balancer_id_transport_protocol_port_uq UNIQUE (load_balancer_id, transport, protocol_port)
);

CREATE INDEX listener_by_pool ON listener (default_pool_id);

CREATE INDEX listener_by_project ON listener (project_id, created_at, id);

CREATE TABLE load_balancer (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    vip_address VARCHAR(64) NOT NULL,
    vip_port_id VARCHAR(36) NOT NULL,
    vip_subnet_id VARCHAR(36),
    vip_network_id VARCHAR(36) NOT NULL,
    vip_qos_policy_id VARCHAR(36),
    vip_vnic_type VARCHAR(64) NOT NULL,
    additional_vips TEXT NOT NULL,
    vip_sg_ids TEXT NOT NULL,
    provider VARCHAR(64) NOT NULL,
    flavor_id VARCHAR(36),
    availability_zone VARCHAR(255),
    owns_port BOOLEAN NOT NULL,
    host VARCHAR(255),
    CONSTRAINT load_balancer_pk PRIMARY KEY (id)
);

CREATE INDEX load_balancer_by_host ON load_balancer (host);

CREATE INDEX load_balancer_by_project ON load_balancer (project_id, created_at, id);

CREATE TABLE member (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    pool_id VARCHAR(36) NOT NULL,
    address VARCHAR(64) NOT NULL,
    ip VARCHAR(64) NOT NULL,
    protocol_port INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    backup BOOLEAN NOT NULL,
    subnet_id VARCHAR(36),
    network_id VARCHAR(36),
    monitor_address VARCHAR(64),
    monitor_port INTEGER,
    vnic_type VARCHAR(64) NOT NULL,
    CONSTRAINT member_pk PRIMARY KEY (id),
    CONSTRAINT member_pool_id_fk FOREIGN KEY(pool_id) REFERENCES pool (id),
    CONSTRAINT member_pool_id_ip_protocol_port_uq UNIQUE (pool_id, ip, protocol_port)
);

CREATE INDEX member_by_project ON member (project_id, created_at, id);

CREATE TABLE pool (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255),
    description VARCHAR(255),
    admin_state_up BOOLEAN NOT NULL,
    provisioning_status VARCHAR(16) NOT NULL,
    operating_status VARCHAR(16) NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE,
    generation INTEGER NOT NULL,
    load_balancer_id VARCHAR(36) NOT NULL,
    protocol VARCHAR(16) NOT NULL,
    lb_algorithm VARCHAR(32) NOT NULL,
    session_persistence TEXT,
    tls_enabled BOOLEAN NOT NULL,
    tls_container_ref VARCHAR(255),
    ca_tls_container_ref VARCHAR(255),
    crl_container_ref VARCHAR(255),
    tls_ciphers TEXT,
    tls_versions TEXT NOT NULL,
    alpn_protocols TEXT NOT NULL,
    CONSTRAINT pool_pk PRIMARY KEY (id),
    CONSTRAINT pool_load_balancer_id_fk FOREIGN KEY(load_balancer_id) REFERENCES load_balancer (id)
);

CREATE INDEX pool_by_balancer ON pool (load_balancer_id);

CREATE INDEX pool_by_project ON pool (project_id, created_at, id);

CREATE TABLE quota (
    project_id VARCHAR(64) NOT NULL,
    load_balancer INTEGER,
    listener INTEGER,
    member INTEGER,
    pool INTEGER,
    health_monitor INTEGER,
    l7policy INTEGER,
    l7rule INTEGER,
    CONSTRAINT quota_pk PRIMARY KEY (project_id)
);
