//! Who asks, and who may.

use super::Form;

pub(super) const FORMS: &[Form] = &[
    ("Revoked", &[("revoked", "text", "the name of the session, or of the token")]),
    (
        "Me",
        &[
            ("name", "text", "who: a user, `token:NAME`, or `local`"),
            ("kind", "text", "`user`, `token` or `local`"),
            ("role", "text", "what he may do: `viewer`, `analyst`, `operator` or `admin`"),
            ("scope?", "text", "the filter of the rows that he may see; absent: all"),
            ("payload", "bool", "whether he may see what packets and lines say"),
            ("totp", "bool", "whether he has a second factor"),
            ("provided", "bool", "whether he signs in by the identity provider, and has no password"),
        ],
    ),
    (
        "Enrolling",
        &[
            ("secret", "text", "the secret of the second factor, in base32"),
            ("uri", "text", "the same for an app, `otpauth://…`"),
        ],
    ),
    (
        "User",
        &[
            ("name", "text", "what he is called"),
            ("role", "text", "what he may do"),
            ("scope", "text?", "the filter of the rows that he may see; null: all"),
            ("payload", "bool", "whether he may see what packets and lines say"),
            ("totp", "bool", "whether he has a second factor"),
            ("created", "time", "when he was added"),
            ("last_sign_in", "time?", "when he signed in last"),
            ("disabled", "bool", "whether he is shut out"),
            ("invited_until", "time?", "until when he may choose a password"),
            ("provider", "text?", "the identity provider by which he signs in, instead of with a password"),
        ],
    ),
    ("Provider", &[("name", "text?", "what it is called; null: there is none")]),
    ("Leaving", &[("location", "text", "the address at the provider, where the browser goes now")]),
    ("Returned", &[("back", "text", "the path of the page where it was begun")]),
    (
        "Invitation",
        &[
            ("name", "text", "who"),
            ("code", "text", "the code with which he chooses a password"),
            ("until", "time", "until when it is good"),
        ],
    ),
    (
        "AccessToken",
        &[
            ("name", "text", "what it is called"),
            ("user", "text?", "whose it is; null: a service's"),
            ("role", "text", "what it may do"),
            ("scope", "text?", "the filter of the rows that it may see; null: all"),
            ("payload", "bool", "whether it may see what packets and lines say"),
            ("created", "time", "when it was made"),
            ("expires", "time?", "until when it is good"),
            ("used", "time?", "when it was last used, about"),
            ("comment", "text", "what it is for"),
        ],
    ),
    (
        "MadeToken",
        &[("name", "text", "what it is called"), ("token", "text", "the token, which is not told again")],
    ),
    (
        "Audit",
        &[
            ("entries", "list AuditEntry", "the entries, the latest first"),
            ("more", "bool", "whether there may be older ones"),
        ],
    ),
    (
        "AuditEntry",
        &[
            ("id", "integer", "its number; none is left out"),
            ("at", "time", "when"),
            ("who", "text", "who did it"),
            ("address", "text?", "from where"),
            ("what", "text", "what: the name of the operation"),
            ("about", "any", "what was asked for, or of what"),
            ("old", "any", "as it was"),
            ("new", "any", "as it is since"),
        ],
    ),
    (
        "Verified",
        &[
            ("entries", "integer", "entries that are right"),
            ("whole", "bool", "whether all are"),
            ("broken_at?", "integer", "the first that is not"),
            ("head", "text", "the hash of the last that is right, in hexadecimal digits"),
        ],
    ),
    (
        "Session",
        &[
            ("name", "text", "what it is called"),
            ("who", "text", "whose it is"),
            ("since", "time", "when it was made"),
            ("used", "time", "when it was last used"),
            ("until", "time", "when it ends in any case"),
            ("address", "text", "where it was made from"),
            ("browser", "text", "what the browser calls itself"),
        ],
    ),
    (
        "SignedIn",
        &[
            ("name", "text", "what the session is called"),
            ("who", "text", "whose it is"),
            ("since", "time", "when it was made"),
            ("until", "time", "when it ends in any case"),
        ],
    ),
];
