"""Somebody who signs in.

people.py join ADDRESS CA TOKEN NAME   an administrator invites him; he chooses a password and sets a second factor.
                                       Prints what he has from then on, as JSON.
people.py back ADDRESS CA HAS          he comes back with what he has: his session counts, and he signs in anew
"""
import base64
import hmac
import http.client
import json
import ssl
import struct
import sys
import time

PASSWORD = "seven grey herons wait"


def code(secret, step):
    """The code of a secret, as an authenticator makes it (RFC 6238), some steps of 30 seconds from now."""
    counter = struct.pack(">Q", int(time.time()) // 30 + step)
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    place = digest[19] & 15
    return f"{(struct.unpack('>I', digest[place:place + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


class Page:
    """The page in a browser, as far as the server can tell."""

    def __init__(self, address, ca):
        self.address = address
        self.tls = ssl.create_default_context(cafile=ca)
        self.cookie = None

    def ask(self, method, path, body=None, token=None, wanted=None):
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), context=self.tls, timeout=60)
        headers = {"Origin": f"https://{self.address}", "Sec-Fetch-Site": "same-origin"}
        if token:
            headers = {"Authorization": f"Bearer {token}"}
        elif self.cookie:
            headers["Cookie"] = self.cookie
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, "/api/v1" + path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        as_wanted = answer.status == wanted if wanted else 200 <= answer.status < 300
        assert as_wanted, f"{method} {path}: {answer.status} {text[:400]}"
        if answer.headers["set-cookie"]:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return json.loads(text) if text else None


def join(page, token, name):
    with open(token) as file:
        admin = file.read().strip()
    invited = page.ask("POST", "/users", {"name": name, "role": "analyst"}, token=admin)
    page.ask("POST", "/invitation", {"code": invited["code"], "password": PASSWORD})
    access = page.ask("POST", "/access", {"name": f"{name}-script", "role": "viewer", "days": 1}, token=admin)
    secret = page.ask("POST", "/me/totp", {"password": PASSWORD})["secret"]
    page.ask("POST", "/me/totp/confirm", {"code": code(secret, -1)}, wanted=204)
    page.cookie = None
    page.ask("POST", "/session", {"user": name, "password": PASSWORD}, wanted=401)
    page.ask("POST", "/session", {"user": name, "password": PASSWORD, "code": code(secret, 0)})
    has = {"name": name, "password": PASSWORD, "totp": secret, "session": page.cookie.split("=", 1)[1],
           "access": access["token"], "invitation": invited["code"]}
    print(json.dumps(has))


def back(page, has):
    page.cookie = "__Host-bartizan=" + has["session"]
    assert page.ask("GET", "/me")["name"] == has["name"]
    page.cookie = None
    page.ask("GET", "/hosts", token=has["access"])
    page.ask("POST", "/invitation", {"code": has["invitation"], "password": PASSWORD}, wanted=401)
    page.ask("POST", "/session", {"user": has["name"], "password": has["password"], "code": "000000"}, wanted=401)
    page.ask("POST", "/session",
             {"user": has["name"], "password": has["password"], "code": code(has["totp"], 1)})
    assert page.ask("GET", "/me")["totp"] is True
    print("back")


if __name__ == "__main__":
    what, address, ca, *rest = sys.argv[1:]
    {"join": lambda: join(Page(address, ca), *rest), "back": lambda: back(Page(address, ca), json.loads(rest[0]))}[what]()
