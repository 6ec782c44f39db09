"""The resources that JSON home tells of: relation, path, parameters."""

from __future__ import annotations

import re

_PATHS = {
    "rel/auth_tokens": "/auth/tokens", "rel/auth_catalog": "/auth/catalog", "rel/auth_projects": "/auth/projects",
    "rel/auth_domains": "/auth/domains", "rel/auth_system": "/auth/system",
    "rel/domains": "/domains", "rel/domain": "/domains/{domain_id}",
    "rel/domain_config": "/domains/{domain_id}/config", "rel/domain_config_default": "/domains/config/default",
    "rel/domain_config_group": "/domains/{domain_id}/config/{group}",
    "rel/domain_config_option": "/domains/{domain_id}/config/{group}/{option}",
    "ext/OS-FEDERATION/1.0/rel/identity_providers": "/OS-FEDERATION/identity_providers",
    "ext/OS-FEDERATION/1.0/rel/identity_provider": "/OS-FEDERATION/identity_providers/{idp_id}",
    "ext/OS-FEDERATION/1.0/rel/identity_provider_protocols": "/OS-FEDERATION/identity_providers/{idp_id}/protocols",
    "ext/OS-FEDERATION/1.0/rel/identity_provider_protocol":
        "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "ext/OS-FEDERATION/1.0/rel/identity_provider_protocol_auth":
        "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth",
    "ext/OS-FEDERATION/1.0/rel/mappings": "/OS-FEDERATION/mappings",
    "ext/OS-FEDERATION/1.0/rel/mapping": "/OS-FEDERATION/mappings/{mapping_id}",
    "ext/OS-FEDERATION/1.0/rel/service_providers": "/OS-FEDERATION/service_providers",
    "ext/OS-FEDERATION/1.0/rel/service_provider": "/OS-FEDERATION/service_providers/{sp_id}",
    "ext/OS-FEDERATION/1.0/rel/saml2": "/auth/OS-FEDERATION/saml2",
    "ext/OS-FEDERATION/1.0/rel/ecp": "/auth/OS-FEDERATION/saml2/ecp",
    "ext/OS-FEDERATION/1.0/rel/metadata": "/OS-FEDERATION/saml2/metadata",
    "ext/OS-FEDERATION/1.0/rel/websso": "/auth/OS-FEDERATION/websso/{protocol_id}",
    "ext/OS-FEDERATION/1.0/rel/identity_providers_websso":
        "/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso",
    "ext/OS-FEDERATION/1.0/rel/projects": "/OS-FEDERATION/projects",
    "ext/OS-FEDERATION/1.0/rel/domains": "/OS-FEDERATION/domains",
    "ext/OS-OAUTH1/1.0/rel/consumers": "/OS-OAUTH1/consumers",
    "ext/OS-OAUTH1/1.0/rel/consumer": "/OS-OAUTH1/consumers/{consumer_id}",
    "ext/OS-OAUTH1/1.0/rel/request_tokens": "/OS-OAUTH1/request_token",
    "ext/OS-OAUTH1/1.0/rel/access_tokens": "/OS-OAUTH1/access_token",
    "ext/OS-OAUTH1/1.0/rel/authorize_request_token": "/OS-OAUTH1/authorize/{request_token_id}",
    "ext/OS-OAUTH1/1.0/rel/user_access_tokens": "/users/{user_id}/OS-OAUTH1/access_tokens",
    "ext/OS-OAUTH1/1.0/rel/user_access_token": "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}",
    "ext/OS-OAUTH2/1.0/rel/token": "/OS-OAUTH2/token",
    "rel/projects": "/projects", "rel/project": "/projects/{project_id}",
    "rel/project_tags": "/projects/{project_id}/tags",
    "rel/users": "/users", "rel/user": "/users/{user_id}", "rel/user_projects": "/users/{user_id}/projects",
    "rel/user_groups": "/users/{user_id}/groups", "rel/user_change_password": "/users/{user_id}/password",
    "rel/groups": "/groups", "rel/group": "/groups/{group_id}", "rel/group_users": "/groups/{group_id}/users",
    "rel/group_user": "/groups/{group_id}/users/{user_id}",
    "rel/roles": "/roles", "rel/role": "/roles/{role_id}", "rel/implied_roles": "/roles/{prior_role_id}/implies",
    "rel/implied_role": "/roles/{prior_role_id}/implies/{implied_role_id}",
    "rel/role_inferences": "/role_inferences", "rel/role_assignments": "/role_assignments",
    "rel/project_user_roles": "/projects/{project_id}/users/{user_id}/roles",
    "rel/project_user_role": "/projects/{project_id}/users/{user_id}/roles/{role_id}",
    "rel/project_group_roles": "/projects/{project_id}/groups/{group_id}/roles",
    "rel/project_group_role": "/projects/{project_id}/groups/{group_id}/roles/{role_id}",
    "rel/domain_user_roles": "/domains/{domain_id}/users/{user_id}/roles",
    "rel/domain_user_role": "/domains/{domain_id}/users/{user_id}/roles/{role_id}",
    "rel/domain_group_roles": "/domains/{domain_id}/groups/{group_id}/roles",
    "rel/domain_group_role": "/domains/{domain_id}/groups/{group_id}/roles/{role_id}",
    "rel/regions": "/regions", "rel/region": "/regions/{region_id}",
    "rel/services": "/services", "rel/service": "/services/{service_id}",
    "rel/endpoints": "/endpoints", "rel/endpoint": "/endpoints/{endpoint_id}",
    "rel/credentials": "/credentials", "rel/credential": "/credentials/{credential_id}",
    "rel/policies": "/policies", "rel/policy": "/policies/{policy_id}",
    "rel/application_credentials": "/users/{user_id}/application_credentials",
    "rel/application_credential": "/users/{user_id}/application_credentials/{application_credential_id}",
    "rel/access_rules": "/users/{user_id}/access_rules",
    "rel/access_rule": "/users/{user_id}/access_rules/{access_rule_id}",
    "rel/limits": "/limits", "rel/limit": "/limits/{limit_id}", "rel/limit_model": "/limits/model",
    "rel/registered_limits": "/registered_limits", "rel/registered_limit": "/registered_limits/{registered_limit_id}",
    "rel/system_user_roles": "/system/users/{user_id}/roles",
    "rel/system_user_role": "/system/users/{user_id}/roles/{role_id}",
    "rel/system_group_roles": "/system/groups/{group_id}/roles",
    "rel/system_group_role": "/system/groups/{group_id}/roles/{role_id}",
}
# What began as extensions is found by their names, and clients look for these.
_EXTENSIONS = {
    "OS-EC2": {"user_credentials": "/users/{user_id}/credentials/OS-EC2",
               "user_credential": "/users/{user_id}/credentials/OS-EC2/{credential_id}", "ec2tokens": "/ec2tokens"},
    "s3tokens": {"s3tokens": "/s3tokens"},
    "OS-REVOKE": {"events": "/OS-REVOKE/events"},
    "OS-TRUST": {"trusts": "/OS-TRUST/trusts", "trust": "/OS-TRUST/trusts/{trust_id}",
                 "trust_roles": "/OS-TRUST/trusts/{trust_id}/roles",
                 "trust_role": "/OS-TRUST/trusts/{trust_id}/roles/{role_id}"},
    "OS-EP-FILTER": {
        "endpoint_groups": "/OS-EP-FILTER/endpoint_groups",
        "endpoint_group": "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}",
        "endpoints_in_endpoint_group": "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/endpoints",
        "projects_associated_with_endpoint_group": "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects",
        "endpoint_group_to_project_association":
            "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id}",
        "endpoint_projects": "/OS-EP-FILTER/endpoints/{endpoint_id}/projects",
        "project_endpoint_groups": "/OS-EP-FILTER/projects/{project_id}/endpoint_groups",
        "project_endpoints": "/OS-EP-FILTER/projects/{project_id}/endpoints",
        "project_endpoint": "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}"},
    "OS-ENDPOINT-POLICY": {
        "endpoint_policy": "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy",
        "policy_endpoints": "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints",
        "endpoint_policy_association": "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id}",
        "service_policy_association": "/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}",
        "region_and_service_policy_association":
            "/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id}"},
    "OS-INHERIT": {
        f"{place}_{actor}_{roles}_inherited_to_projects":
            f"/OS-INHERIT/{place}s/{{{place}_id}}/{actor}s/{{{actor}_id}}/roles{one}/inherited_to_projects"
        for place in ("domain", "project") for actor in ("user", "group")
        for roles, one in (("role", "/{role_id}"), ("roles", ""))},
}
_PATHS |= {f"ext/{extension}/1.0/rel/{name}": path
           for extension, paths in _EXTENSIONS.items() for name, path in paths.items()}
RESOURCES = [(name, path, re.findall(r"\{(\w+)\}", path)) for name, path in _PATHS.items()]
