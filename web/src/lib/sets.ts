// Networks with names stand in the server's configuration. Until the page may change it, it writes what is to be put there.

/** The network around an address, as far as it is commonly one household or one company. */
export function network(address: string): string {
  return address.includes(":") ? `${address}/48` : `${address.replace(/\.\d+$/, ".0")}/24`;
}

/** Whether the server takes this as a name of a set. */
export const nameable = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name);

/** A key of TOML: quoted where a bare one cannot be. */
const key = (name: string) => (/^[A-Za-z0-9_-]+$/.test(name) ? name : `"${name}"`);

/** What is to be copied: a whole line for a set that is new, a member for one that exists. */
export function entry(member: string, set: string, exists: boolean): string {
  return exists ? `"${member}",` : `${key(set)} = ["${member}"]`;
}
