// What people may do: four roles, each with all that the one before it may.

export const ROLES = ["viewer", "analyst", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** What a role may that the one before it may not. */
export const MAY: Record<Role, string> = {
  viewer: "sees events, hosts and rules",
  analyst: "also exports, asks SQL and shares views",
  operator: "also lets hosts in, imports and looks after the store",
  admin: "also says who may what, erases and reads the audit log",
};

/** Why a role is not enough; nothing, where it is. A role that this page does not know is left to the server. */
export function lacking(has: string | undefined, needs: Role): string | undefined {
  const rank = ROLES.indexOf(has as Role);
  if (rank < 0 || rank >= ROLES.indexOf(needs)) return undefined;
  return `This needs the role ${needs}; yours is ${has}.`;
}

/** Roles that somebody may give: his own and those below. */
export const grantable = (has: string | undefined): readonly Role[] => {
  const rank = ROLES.indexOf(has as Role);
  return rank < 0 ? ROLES : ROLES.slice(0, rank + 1);
};
