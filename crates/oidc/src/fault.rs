/// Why an ID token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is none.
    #[error("it is no signed token")]
    Form,
    /// Signed in a way that does not count, or not at all.
    #[error("it is signed by `{0}`, and only RS256, ES256 and EdDSA count")]
    Algorithm(String),
    /// It is another kind of token.
    #[error("it is a token of the kind `{0}`")]
    Kind(String),
    /// Its header has something that may not be passed over.
    #[error("its header wants something that is not known here")]
    Critical,
    /// The provider publishes no key that could have signed it.
    #[error("the provider publishes no key for it")]
    Key,
    /// Several keys could have signed it, and it does not say which.
    #[error("it does not say which of the provider's keys signed it")]
    WhichKey,
    /// Another key signed it, or something was changed.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing, or is not what it has to be.
    #[error("its `{0}` is missing or malformed")]
    Claim(&'static str),
    /// It is another provider's.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another client")]
    Audience,
    /// It is over.
    #[error("it is over: are the clocks right?")]
    Over,
    /// It is of the future.
    #[error("it is of the future: are the clocks right?")]
    Future,
    /// It is of another sign-in.
    #[error("it is of another sign-in")]
    Nonce,
}

/// Text of others, as it may stand in a message.
pub(crate) fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
