//! What the listing tools print of a ruleset, as it came.

/// Which tool printed a text, and how. The same word names it in the `form` column of `rulesets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// `nft -s -a list ruleset`. Without `-a` rules are found by their position.
    Nft,
    /// `nft -s -j list ruleset`.
    NftJson,
    /// `iptables-save` of iptables-nft.
    IptablesSave,
    /// `ip6tables-save` of iptables-nft.
    Ip6tablesSave,
    /// `iptables-legacy-save`.
    IptablesLegacySave,
    /// `ip6tables-legacy-save`.
    Ip6tablesLegacySave,
}

impl Form {
    /// Every form, in the order in which they are read.
    pub const ALL: [Self; 6] = [
        Self::Nft,
        Self::NftJson,
        Self::IptablesSave,
        Self::Ip6tablesSave,
        Self::IptablesLegacySave,
        Self::Ip6tablesLegacySave,
    ];

    /// The word in the `form` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::NftJson => "nft-json",
            Self::IptablesSave => "iptables-save",
            Self::Ip6tablesSave => "ip6tables-save",
            Self::IptablesLegacySave => "iptables-legacy-save",
            Self::Ip6tablesLegacySave => "ip6tables-legacy-save",
        }
    }

    /// The form of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == word)
    }
}

/// The texts that describe one ruleset, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(pub Vec<(Form, String)>);
