//! `[chat]`: limits and defaults of the native chat API.

use super::kind;
use super::section::Section;

/// Unless the request says otherwise; less where `max_tokens` is.
const DEFAULT_MAX_TOKENS: u32 = 2048;

/// Limits and defaults of the native chat API.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The longest message, in Unicode characters.
    pub max_content_chars: usize,
    /// The longest conversation.
    pub max_messages: usize,
    /// For requests that name none.
    pub default_temperature: f64,
    /// For requests that name none.
    pub default_max_tokens: u32,
    /// The most tokens that a request may ask for.
    pub max_tokens: u32,
}

impl Chat {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let tokens = kind::integer(1..=1_000_000);
        let max_tokens = section.get("max_tokens", &tokens, 4096);
        let default = DEFAULT_MAX_TOKENS.min(max_tokens);
        let default_max_tokens = section.get("default_max_tokens", &tokens, default);
        if default_max_tokens > max_tokens && section.is_sound("max_tokens") {
            let explanation = format!("must not exceed chat.max_tokens, which is {max_tokens}");
            section.conflict("default_max_tokens", explanation);
        }
        let chars = kind::integer(1..=10_000_000);
        Self {
            max_content_chars: section.get("max_content_chars", &chars, 10_000),
            max_messages: section.get("max_messages", &kind::integer(1..=100_000), 1000),
            default_temperature: section.get("default_temperature", &kind::number(0.0..=2.0), 0.7),
            default_max_tokens,
            max_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_default_stays_below_the_maximum() {
        let chat = Config::parse("[chat]\nmax_tokens = 100", []).unwrap().config.chat;
        assert_eq!(chat.default_max_tokens, 100);
        let text = "[chat]\nmax_tokens = 100\ndefault_max_tokens = 101\n";
        assert_eq!(
            Config::parse(text, []).unwrap_err().to_string(),
            "chat.default_max_tokens = 101 (tidegate.toml:3): \
             must not exceed chat.max_tokens, which is 100"
        );
    }

    #[test]
    fn one_mistake_is_one_fault() {
        let text = "[chat]\nmax_tokens = \"many\"\ndefault_max_tokens = 8192\n";
        let faults = Config::parse(text, []).unwrap_err().to_string();
        assert_eq!(
            faults,
            "chat.max_tokens = \"many\" (tidegate.toml:2): must be 1 to 1000000 (an integer)"
        );
    }
}
