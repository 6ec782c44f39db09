CREATE TABLE migration (
    name VARCHAR(120) NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE saga (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(64) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    active_subject VARCHAR(64),
    request_id VARCHAR(64) NOT NULL,
    parent VARCHAR(36),
    phase VARCHAR(8) NOT NULL,
    unwind_asked BOOLEAN NOT NULL,
    stuck BOOLEAN NOT NULL,
    step VARCHAR(64) NOT NULL,
    step_began DOUBLE NOT NULL,
    data TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    error TEXT,
    wake_at DOUBLE NOT NULL,
    created_at DOUBLE NOT NULL,
    finished_at DOUBLE,
    lease VARCHAR(36),
    lease_until DOUBLE NOT NULL,
    CONSTRAINT saga_pk PRIMARY KEY (id),
    CONSTRAINT saga_active_subject_uq UNIQUE (active_subject)
);

CREATE INDEX saga_by_finish ON saga (finished_at);

CREATE INDEX saga_by_parent ON saga (parent);

CREATE INDEX saga_by_request ON saga (request_id);

CREATE INDEX saga_by_subject ON saga (subject, created_at);

CREATE INDEX saga_due ON saga (phase, stuck, wake_at);

CREATE TABLE saga_event (
    id INTEGER NOT NULL,
    saga_id VARCHAR(36) NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    saga VARCHAR(64) NOT NULL,
    step VARCHAR(64) NOT NULL,
    outcome VARCHAR(8) NOT NULL,
    began_at DOUBLE NOT NULL,
    ended_at DOUBLE NOT NULL,
    detail TEXT,
    CONSTRAINT saga_event_pk PRIMARY KEY (id)
);

CREATE INDEX saga_event_by_request ON saga_event (request_id);

CREATE INDEX saga_event_by_saga ON saga_event (saga_id, id);

CREATE INDEX saga_event_by_subject ON saga_event (subject);
