"""Everything identity consists of."""

from __future__ import annotations

from pileus.identity import changes, migrations, policies
from pileus.identity.api import (
    app_credentials,
    assignments,
    catalog,
    credentials,
    discovery,
    domain_config,
    domains,
    ec2,
    endpoint_filter,
    endpoint_policies,
    federated_auth,
    feeds,
    grants,
    groups,
    identity_providers,
    k2k,
    limits,
    oauth1,
    oauth2,
    projects,
    revoke_events,
    roles,
    saml,
    tokens,
    trusts,
    users,
)
from pileus.identity.api.listing import page_links
from pileus.identity.faults import envelope
from pileus.identity.model.tables import metadata
from pileus.identity.versions import LEDGER
from pileus.kit.routes import Routes
from pileus.kit.service import Service

SERVICE = Service(
    name="identity", type="identity", ledger=LEDGER, metadata=metadata, migrations=migrations,
    routes=Routes(
        discovery.routes, tokens.routes, domains.routes, projects.routes, users.routes, groups.routes, roles.routes,
        grants.routes, assignments.routes, catalog.routes, credentials.routes, app_credentials.routes, trusts.routes,
        feeds.routes, domain_config.routes, identity_providers.routes, federated_auth.routes, saml.routes, k2k.routes,
        oauth1.routes, oauth2.routes, endpoint_filter.routes, endpoint_policies.routes, limits.routes, ec2.routes,
        revoke_events.routes),
    rules=(policies.MANAGED, roles.GET_DOMAIN_ROLE, roles.LIST_DOMAIN_ROLES, roles.CREATE_DOMAIN_ROLE,
           roles.UPDATE_DOMAIN_ROLE, roles.DELETE_DOMAIN_ROLE, assignments.LIST_TREE),
    envelope=envelope, page_links=page_links, headers=lambda ctx: {"vary": "X-Auth-Token"},
    reconcilers=(changes.hear_of_changes, changes.rotate_keys, changes.forget_old_revocations,
                 changes.end_federated_memberships))
