"""The options of a domain that its configuration API takes, with the names and defaults operators know."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DEFAULT_SECONDS = 5.0                  # for whoever leaves connection_timeout at -1


class LdapOptions(msgspec.Struct, kw_only=True, frozen=True):
    """How to read users and groups from a directory, and which of them may be written there."""

    url: str = "ldap://localhost"
    randomize_urls: bool = False
    user: str | None = None
    password: str | None = None
    suffix: str = "cn=example,cn=com"
    query_scope: Literal["one", "sub"] = "one"
    page_size: int = 0
    alias_dereferencing: Literal["never", "searching", "always", "finding", "default"] = "default"
    debug_level: int | None = None
    chase_referrals: bool | None = None
    user_tree_dn: str | None = None
    user_filter: str | None = None
    user_objectclass: str = "inetOrgPerson"
    user_id_attribute: str = "cn"
    user_name_attribute: str = "sn"
    user_description_attribute: str = "description"
    user_mail_attribute: str = "mail"
    user_pass_attribute: str = "userPassword"
    user_enabled_attribute: str = "enabled"
    user_enabled_invert: bool = False
    user_enabled_mask: int = 0
    user_enabled_default: str = "True"
    user_attribute_ignore: list[str] | str = "default_project_id"
    user_default_project_id_attribute: str | None = None
    user_enabled_emulation: bool = False
    user_enabled_emulation_dn: str | None = None
    user_enabled_emulation_use_group_config: bool = False
    user_additional_attribute_mapping: list[str] | str = []
    user_allow_create: bool = False
    user_allow_update: bool = False
    user_allow_delete: bool = False
    use_dumb_member: bool = False
    dumb_member: str = "cn=dumb,dc=nonexistent"
    group_tree_dn: str | None = None
    group_filter: str | None = None
    group_objectclass: str = "groupOfNames"
    group_id_attribute: str = "cn"
    group_name_attribute: str = "ou"
    group_member_attribute: str = "member"
    group_members_are_ids: bool = False
    group_desc_attribute: str = "description"
    group_attribute_ignore: list[str] | str = []
    group_additional_attribute_mapping: list[str] | str = []
    group_ad_nesting: bool = False
    group_allow_create: bool = False
    group_allow_update: bool = False
    group_allow_delete: bool = False
    tls_cacertfile: str | None = None
    tls_cacertdir: str | None = None
    use_tls: bool = False
    tls_req_cert: Literal["demand", "never", "allow"] = "demand"
    connection_timeout: float = -1
    use_pool: bool = True
    pool_size: int = 10
    pool_retry_max: int = 3
    pool_retry_delay: float = 0.1
    pool_connection_timeout: float = -1
    pool_connection_lifetime: int = 600
    use_auth_pool: bool = True
    auth_pool_size: int = 100
    auth_pool_connection_lifetime: int = 60

    @property
    def urls(self) -> list[str]:
        return [url.strip() for url in self.url.split(",") if url.strip()]

    @property
    def seconds(self) -> float:
        return self.connection_timeout if self.connection_timeout > 0 else DEFAULT_SECONDS

    @property
    def users_dn(self) -> str:
        return self.user_tree_dn or f"ou=Users,{self.suffix}"

    @property
    def groups_dn(self) -> str:
        return self.group_tree_dn or f"ou=UserGroups,{self.suffix}"


class IdentityOptions(msgspec.Struct, kw_only=True, frozen=True):
    driver: str = "sql"
    list_limit: int | None = None


SECTIONS: dict[str, type[msgspec.Struct]] = {"identity": IdentityOptions, "ldap": LdapOptions}
SENSITIVE = {("ldap", "password")}


def names(section: str) -> list[str]:
    return [field.name for field in msgspec.structs.fields(SECTIONS[section])]


def defaults(section: str) -> dict[str, Any]:
    """What holds where a domain says nothing, without what is nobody's to see."""
    found = msgspec.structs.asdict(SECTIONS[section]())
    return {name: value for name, value in found.items() if (section, name) not in SENSITIVE}


def words(value: list[str] | str) -> list[str]:
    """A list as JSON has it, or as operators wrote it into a file."""
    found = value.split(",") if isinstance(value, str) else value
    return [word.strip() for word in found if word.strip()]
