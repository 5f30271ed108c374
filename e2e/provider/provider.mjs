// An identity provider as others write them (npm's `oidc-provider`), with people and groups that a test changes.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

/** A key that nobody had before. */
function key(kid) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
}

/**
 * Listens, and gives what ends it. Whoever types a name of `people` is that one, with any password:
 * `{ name: { preferred_username, groups } }`. Groups are only told where the access token asks, as the standard has it.
 */
export async function provide({ issuer, cert, key: keyFile, client, secret, redirect, people }) {
  const provider = new Provider(issuer, {
    clients: [{ client_id: client, client_secret: secret, redirect_uris: [redirect] }],
    claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
    jwks: { keys: [key("first")] },
    cookies: { keys: [randomBytes(16).toString("hex")] },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 60, Interaction: 600, Session: 600, Grant: 600 },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    // nobody is asked whether he agrees
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid profile groups");
      await grant.save();
      return grant;
    },
  });
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(keyFile) }, provider.callback());
  const { hostname, port } = new URL(issuer);
  await new Promise((listening) => server.listen(Number(port), hostname, listening));
  return () => {
    server.closeAllConnections();
    server.close();
  };
}
